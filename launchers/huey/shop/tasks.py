"""The queue and its task."""

from huey import SqliteHuey
from shop.jobs import print_order

huey = SqliteHuey(filename="queue.db")


@huey.task()
def order(number):
    """Print an order."""
    print_order(number)
