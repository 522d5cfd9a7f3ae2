"""The child commits on the inherited connection, inside its parent's transaction; the parent rolls back.

Hazard. The transaction is the server session's, and `COMMIT` ends it whoever sends it. The server answers the
child; Django in the parent goes on believing that it has a transaction (autocommit off). So the parent's rollback
is confirmed, and order 1001 is on the server.

Order 1002, written after that, depends on who begins transactions. With mysqlclient and PyMySQL the server does:
autocommit is off in the session, the next statement begins the next transaction, and 1002 is rolled back. psycopg
sends `BEGIN` itself, where it believes that none is open. It believes in the one that is gone, so the server
commits 1002 at once; the reply says so, and `rollback()` then sends nothing: both orders stay.

With TLS the parent does learn of it, though not what happened: the child's `COMMIT` used up a record number that
the parent uses again, and from there on everything raises. Order 1001 is committed all the same.

All this where transactions are managed by hand, from `set_autocommit(False)` to `commit()` or `rollback()`. Inside
`atomic()` it begins differently: the belief to be inside is copied to the child as well, and there `commit()`
raises `TransactionManagementError` before anything is sent (child 1).

Remedies: discarded_at_fork, refused_in_child, spawned_children
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
    """Last thing in the worker: commit, as with any transaction managed by hand."""
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
