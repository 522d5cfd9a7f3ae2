"""The child closes the inherited connection while its parent has written and not committed; the parent commits.

Hazard. Closing says goodbye in the protocol (MySQL `COM_QUIT`, PostgreSQL `Terminate`), the server ends the session
and with it the transaction: the parent's order 1001 is rolled back. The parent's driver believes in its transaction
until it commits, and then raises. Nothing is lost in silence: no commit was confirmed.

Remedies: discarded_at_fork, refused_in_child, spawned_children
"""

import multiprocessing

from drivers.helper import connect, insert, look_up, prepare, show_transaction, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def close_inherited(connection):
    """First thing in the worker: the inherited connection is the parent's, so close our copy of it."""
    connection.close()


# What happens.


def child(inherited):
    step("close", close_inherited, inherited)
    own = connect()
    look_up(own, 101)


def main():
    prepare()
    connection = connect(autocommit=False)
    insert(connection, 1001)
    show_transaction(connection)
    wait_for(start_worker(child, connection))
    show_transaction(connection)
    step("commit", connection.commit)
    show_transaction(connection)
    insert(connection, 1002)


if __name__ == "__main__":
    main()
