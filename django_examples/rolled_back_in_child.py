"""The child rolls back on the inherited connection, inside the parent's transaction; then the parent commits.

Hazard. The transaction belongs to the server session, and `ROLLBACK` ends it whichever process sends it. Only the
child reads the server's reply; Django in the parent still records an open transaction (autocommit off). So the
parent's commit is confirmed, and order 1001 is gone.

Order 1002, written after that, stays. With mysqlclient and PyMySQL it is in the next transaction, which the server
began, and is committed. psycopg still counts the old transaction as open and sends no `BEGIN`, so the server commits
1002 at once. The reply reports that no transaction is open, and `commit()` then sends nothing. Half of a transaction
is on the server.

With TLS the parent gets an error: the child's `ROLLBACK` used a TLS sequence number that the parent uses again, and
from then on every statement raises, the commit too.

All this applies to transactions that are managed by hand, from `set_autocommit(False)` to `commit()` or `rollback()`.
Inside `atomic()` the child inherits Django's record of being inside the block, and there `rollback()` raises
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


def give_up():
    """Call this last in a worker whose task failed: roll back, as with any transaction managed by hand."""
    transaction.rollback()


# What happens.


def child():
    show_transaction()
    step("rollback", give_up)
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
    step("commit", transaction.commit)
    look_up(2)


if __name__ == "__main__":
    main()
