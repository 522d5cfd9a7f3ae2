"""The parent closes its connection before it forks; each process reconnects when it next runs a query.

Remedy. A connection that the parent has closed cannot be inherited. Closing sends the termination message (MySQL
`COM_QUIT`, PostgreSQL `Terminate`) and ends a session that no process needs any more. It needs no support from the
driver. It costs the parent its session: temporary tables, settings, locks and whatever was not committed are gone,
and the parent reconnects after the fork.

Points:
    before: db.close()
"""

import multiprocessing
from typing import Any

from drivers.helper import connect, look_up, prepare, step, wait_for

connection: Any = None

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection."""
    connection.close()
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    global connection
    connection = connect()
    look_up(connection, 101)


def main():
    global connection
    prepare()
    connection = connect()
    look_up(connection, 1)
    worker = step("fork", start_worker, child)
    connection = connect()
    look_up(connection, 2)
    wait_for(worker)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
