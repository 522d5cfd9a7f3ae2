"""The child commits on the inherited connection, inside the parent's transaction; then the parent rolls back.

Hazard. The transaction belongs to the server session, and `COMMIT` ends it whichever process sends it. Only the child
reads the server's reply; Django in the parent still records an open transaction (autocommit off). So the parent's
rollback is confirmed, and order 1001 is on the server.

What happens to order 1002, written after that, depends on what begins a transaction. With mysqlclient and PyMySQL the
server does: autocommit is off in the session, the next statement begins the next transaction, and 1002 is rolled
back. psycopg sends `BEGIN` itself, but only if it knows of no open transaction. Here it still counts the old one as
open, so the server commits 1002 at once. The reply reports that no transaction is open, `rollback()` then sends
nothing, and both orders stay.

With TLS the parent gets an error that does not name the cause: the child's `COMMIT` used a TLS sequence number that
the parent uses again, and from then on every statement raises. Order 1001 is still committed.

All this applies to transactions that are managed by hand, from `set_autocommit(False)` to `commit()` or `rollback()`.
Inside `atomic()` the child inherits Django's record of being inside the block, and there `commit()` raises
`TransactionManagementError` before anything is sent (child 1).
"""

import multiprocessing

from django.db import transaction

from django_examples.helper import insert, look_up, prepare, show_transaction, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def finish():
    """Call this last in the worker: commit, as with any transaction managed by hand."""
    transaction.commit()


# What happens.


def child():
    show_transaction()
    step("commit", finish)
    show_transaction()


def main():
    prepare()
    with transaction.atomic():
        look_up(1)
        wait_for(start_worker(child))
    step("begin", transaction.set_autocommit, False)
    insert(1001)
    show_transaction()
    wait_for(start_worker(child))
    show_transaction()
    insert(1002)
    show_transaction()
    step("rollback", transaction.rollback)
    look_up(2)


if __name__ == "__main__":
    main()
