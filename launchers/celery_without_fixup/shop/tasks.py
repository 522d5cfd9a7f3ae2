"""The Celery application, without the fixup for Django, and its task."""

import os

from celery import Celery
from shop.jobs import look_up

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"], fixups=[])


@app.task
def order(number):
    """Look up an order."""
    return look_up(number)
