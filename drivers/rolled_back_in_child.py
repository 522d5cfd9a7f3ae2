"""The child rolls back on the inherited connection, inside the parent's transaction; then the parent commits.

Hazard. The transaction belongs to the server session, and `ROLLBACK` ends it whichever process sends it. Only the
child reads the server's reply; the parent's driver keeps the state that it last read. So the parent's commit is
confirmed, and order 1001 is gone.

Order 1002, written after that, stays. With mysqlclient and PyMySQL it is in the next transaction, which the server
began, and is committed. psycopg still counts the old transaction as open and sends no `BEGIN`, so the server commits
1002 at once. The reply reports that no transaction is open, and `commit()` then sends nothing. Half of a transaction
is on the server.

With TLS the parent gets an error: the child's `ROLLBACK` used a TLS sequence number that the parent uses again, and
from then on every statement raises, the commit too.
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
    """Call this last in a worker whose task failed: roll back, as with any connection."""
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
