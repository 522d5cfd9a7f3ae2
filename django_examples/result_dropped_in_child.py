"""A result is half read when the process forks, and the child drops its copy of it.

Hazard. Django closes the cursor when the iterator is dropped, in whichever process. On PostgreSQL this sends `CLOSE`,
and the parent's next `FETCH` raises "cursor does not exist"; with TLS it fails with "bad record mac". On MySQL Django
loads whole results, except with Connector/Python in pure Python, which reads the rest of the rows from the socket
without TLS: the parent waits for them forever.
"""

import multiprocessing

from django_examples.helper import ServerSession, prepare, read, step, wait_for
from django_examples.models import Order

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def all_orders():
    """Yield all orders, too many to hold in memory at once."""
    yield from Order.objects.annotate(session=ServerSession()).order_by("pk").iterator(chunk_size=10)


# What happens.


def drop(orders):
    step("drop", orders.close)


def read_on(orders):
    for number in range(6, 36):
        if read(orders, number) is None:
            break


def main():
    prepare()
    orders = all_orders()
    for number in range(1, 6):
        read(orders, number)
    wait_for(start_worker(drop, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
