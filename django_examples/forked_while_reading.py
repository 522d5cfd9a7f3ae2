"""A result is half read when the process forks, and both processes continue to read it.

Hazard. Both processes have a copy of the rows that were in the client's memory, and share the rest. On PostgreSQL
`iterator()` opens a cursor on the server, and each `FETCH` advances the session's one cursor: rows that the child
fetched never reach the parent, and there is no error. With TLS the parent cannot decrypt what follows the bytes that
the child read, and gets an error. On MySQL `iterator()` loads the whole result at once, so each process reads its own
copy and nothing goes wrong (https://docs.djangoproject.com/en/5.2/ref/models/querysets/#without-server-side-cursors).
"""

import multiprocessing

from django_examples.helper import ServerSession, prepare, read, wait_for
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


def read_on(orders):
    for number in range(6, 36):
        if read(orders, number) is None:
            break


def main():
    prepare()
    orders = all_orders()
    for number in range(1, 6):
        read(orders, number)
    wait_for(start_worker(read_on, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
