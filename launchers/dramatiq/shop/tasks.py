"""The broker and its actor."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from shop.jobs import print_order

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor(max_retries=0)
def order(number):
    """Print an order."""
    print_order(number)
