"""The child commits on the inherited connection, inside its parent's transaction; the parent rolls back.

Hazard. The transaction is the server session's, and `COMMIT` ends it whoever sends it. The server answers the
child; the parent's driver goes on believing what it last read itself. So the parent's rollback is confirmed, and
order 1001 is on the server.

Order 1002, written after that, depends on who begins transactions. With mysqlclient and PyMySQL the server does:
autocommit is off in the session, the next statement begins the next transaction, and 1002 is rolled back. psycopg
sends `BEGIN` itself, where it believes that none is open. It believes in the one that is gone, so the server
commits 1002 at once; the reply says so, and `rollback()` then sends nothing: both orders stay.

With TLS the parent does learn of it, though not what happened: the child's `COMMIT` used up a record number that
the parent uses again, and from there on everything raises. Order 1001 is committed all the same.

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


def finish(connection):
    """Last thing in the worker: commit, as with any connection."""
    connection.commit()


# What happens.


def child(inherited):
    show_transaction(inherited)
    step("commit", finish, inherited)
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
    step("rollback", connection.rollback)
    look_up(connection, 1)


if __name__ == "__main__":
    main()
