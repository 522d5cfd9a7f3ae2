"""The child closes the inherited connection while the parent has an uncommitted write; then the parent commits.

Hazard. Closing sends the termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`). The server ends the session
and rolls back its transaction, including the parent's order 1001. The parent's driver still reports an open
transaction, and raises when the parent commits. Nothing is lost silently: no commit was confirmed.
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
    """Call this first in the worker: close its copy of the inherited connection."""
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
