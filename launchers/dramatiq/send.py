"""Sends a message for each number that comes in on standard input."""

import os
import sys

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["REDIS_URL"])
for line in sys.stdin:
    broker.enqueue(Message("default", "order", (int(line),), {}, {}))
