"""Sends a task for each number that comes in on standard input."""

import os
import sys

from celery import Celery

app = Celery(broker=os.environ["CELERY_BROKER_URL"])
for line in sys.stdin:
    app.send_task("shop.tasks.order", [int(line)])
