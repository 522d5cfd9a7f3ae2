"""The child closes the inherited connection while the parent has an uncommitted write; then the parent commits.

Hazard. Closing sends the termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`). The server ends the session
and rolls back its transaction, including the parent's order 1001. Django in the parent still records an open
transaction until the `atomic()` block ends, and then raises. It drops the connection as well, so the next write runs
on a new one, in autocommit: order 1002 is on the server without the order before it.

The child gets an error too. It inherits Django's record of being inside `atomic()`, and if a connection is closed
inside such a block, Django opens no other before the block ends. `close()` leaves the closed connection in place, and
the next query raises: psycopg's and mysqlclient's error, or with PyMySQL `TransactionManagementError`.
"""

import multiprocessing
from contextlib import ExitStack

from django.db import connection, transaction

from django_examples.helper import insert, look_up, prepare, show_transaction, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def close_inherited():
    """Call this first in the worker: close the inherited connection; Django reconnects when it needs to."""
    connection.close()


# What happens.


def child():
    step("close", close_inherited)
    show_transaction()
    look_up(101)


def main():
    prepare()
    block = ExitStack()
    step("begin", block.enter_context, transaction.atomic())
    look_up(1)
    insert(1001)
    show_transaction()
    wait_for(start_worker(child))
    show_transaction()
    step("commit", block.close)
    show_transaction()
    insert(1002)
    look_up(2)


if __name__ == "__main__":
    main()
