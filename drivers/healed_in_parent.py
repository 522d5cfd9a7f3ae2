"""The parent finds out by itself that a child has ended its session, and reconnects.

Remedy. Before a unit of work the parent checks that the connection still works, and opens another if it does not. A
child that closed the inherited connection has ended the session, and the parent can still query. The cost is a round
trip per unit of work, and it heals only between units: temporary tables, settings, locks and an open transaction are
gone, and no error reports it. It does not help against a connection that two processes use at once: such a connection
passes the check.

mysqlclient and PyMySQL have `ping()`; letting it reconnect by itself (`ping(True)`) is deprecated in both.
"""

import contextlib
import multiprocessing
from typing import Any

from drivers.helper import connect, look_up, ping, prepare, step, wait_for

# The pattern.

connection: Any = None


def start_unit_of_work():
    """Return the connection, or another in its place if it does not work."""
    global connection
    if connection is None or not works(connection):
        connection = connect()
    return connection


def works(connection):
    """Return whether the server still replies."""
    try:
        ping(connection)
    except Exception:  # the drivers' errors have no common class
        with contextlib.suppress(Exception):
            connection.close()
        return False
    return True


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    step("close", connection.close)
    look_up(connect(), 101)


def main():
    prepare()
    look_up(start_unit_of_work(), 1)
    look_up(start_unit_of_work(), 2)
    wait_for(start_worker(child))
    look_up(start_unit_of_work(), 3)
    look_up(start_unit_of_work(), 4)


if __name__ == "__main__":
    main()
