"""The Celery application and its task."""

import os

from celery import Celery
from shop.jobs import look_up

app = Celery("shop", broker=f"redis+socket://{os.environ['REDIS_SOCKET']}?virtual_host={os.environ['REDIS_DATABASE']}")


@app.task
def order(number):
    """Look up an order."""
    look_up(number)
