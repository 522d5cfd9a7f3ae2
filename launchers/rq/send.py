"""Sends a job for each number that comes in on standard input."""

import os
import sys

from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))
for line in sys.stdin:
    queue.enqueue("shop.jobs.print_order", int(line))
