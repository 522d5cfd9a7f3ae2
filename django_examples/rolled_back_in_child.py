"""The child rolls back on the inherited connection, inside its parent's transaction; the parent commits.

Hazard. The transaction is the server session's, and `ROLLBACK` ends it whoever sends it. The server answers the
child; Django in the parent goes on believing that it has a transaction (autocommit off). So the parent's commit is
confirmed, and order 1001 is gone.

Order 1002, written after that, stays. With mysqlclient and PyMySQL it is in the next transaction, which the server
began, and is committed. psycopg believes in the transaction that is gone and sends no `BEGIN`, so the server
commits 1002 at once; the reply says so, and `commit()` then sends nothing. Half of a transaction is on the server.

With TLS the parent learns that something is wrong: the child's `ROLLBACK` used up a record number that the parent
uses again, and from there on everything raises, the commit too.

All this where transactions are managed by hand, from `set_autocommit(False)` to `commit()` or `rollback()`. Inside
`atomic()` it begins differently: the belief to be inside is copied to the child as well, and there `rollback()`
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


def give_up():
    """Last thing in the worker whose task failed: roll back, as with any transaction managed by hand."""
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
