"""Sends a task for each number that comes in on standard input."""

import os
import sys

from celery import Celery

app = Celery(broker=f"redis+socket://{os.environ['REDIS_SOCKET']}?virtual_host={os.environ['REDIS_DATABASE']}")
for line in sys.stdin:
    app.send_task("shop.tasks.order", [int(line)])
