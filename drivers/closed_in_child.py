"""The child closes the inherited connection and opens its own; then the parent queries again.

Hazard. Don't do this: closing an inherited connection in the child ends the parent's session. `close()` sends the
termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`), and the server ends the session for both processes.
The child can still query, on its own connection; the parent gets an error.
"""

import multiprocessing

from drivers.helper import connect, look_up, prepare, step, wait_for

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
    connection = connect()
    look_up(connection, 1)
    wait_for(start_worker(child, connection))
    look_up(connection, 2)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
