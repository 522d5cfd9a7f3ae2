"""The child rolls back on the inherited connection, inside its parent's transaction; the parent commits.

Hazard. The transaction is the server session's, and `ROLLBACK` ends it whoever sends it. The server answers the
child; the parent's driver goes on believing what it last read itself. So the parent's commit is confirmed, and
order 1001 is gone.

Order 1002, written after that, stays. With mysqlclient and PyMySQL it is in the next transaction, which the server
began, and is committed. psycopg believes in the transaction that is gone and sends no `BEGIN`, so the server
commits 1002 at once; the reply says so, and `commit()` then sends nothing. Half of a transaction is on the server.

With TLS the parent learns that something is wrong: the child's `ROLLBACK` used up a record number that the parent
uses again, and from there on everything raises, the commit too.

Remedies: discarded_at_fork, refused_in_child, spawned_children
"""

import multiprocessing

from drivers.helper import connect, insert, look_up, prepare, show_transaction, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def give_up(connection):
    """Last thing in the worker whose task failed: roll back, as with any connection."""
    connection.rollback()


# What happens.


def child(inherited):
    show_transaction(inherited)
    step("rollback", give_up, inherited)
    show_transaction(inherited)


def main():
    prepare()
    connection = connect(autocommit=False)
    insert(connection, 1001)
    show_transaction(connection)
    wait_for(start_worker(child, connection))
    show_transaction(connection)
    insert(connection, 1002)
    show_transaction(connection)
    step("commit", connection.commit)
    look_up(connection, 1)


if __name__ == "__main__":
    main()
