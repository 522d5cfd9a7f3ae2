"""The child lets go of the connection it inherited without a word to the server, and opens its own.

Remedy. The inherited descriptor is pointed at the null device; only then is the connection closed, or
dropped. Whatever the driver says to end the session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS
`close_notify`) goes nowhere. The parent keeps its session with all that belongs to it: temporary tables,
settings, locks, an open transaction. It costs the child nothing but its own connection. The null device is no
socket: a query on a discarded connection is an error, not a question to the server.

Reaching the descriptor: mysqlclient and psycopg have `fileno()`; PyMySQL has no public way, its socket is
`_sock` (1.2.4). Discard a connection that works: mysqlclient 2.3.2 goes on naming the descriptor of one that
it has lost, and something else may have that number by now.

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
untouched_in_child, forked_while_reading, killed_in_child
"""

import gc
import multiprocessing
import os
from typing import Any

from drivers.helper import connect, look_up, prepare, step, wait_for

# The pattern.

connection: Any = None


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard(connection):
    """Point a connection's descriptor at the null device, so that nothing it still says reaches the server."""
    descriptor = (connection if hasattr(connection, "fileno") else connection._sock).fileno()
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


# What happens.


def child_that_closes():
    step("discard", discard, connection)
    step("close", connection.close)
    look_up(connect(), 101)


def child_that_drops():
    global connection
    step("discard", discard, connection)
    connection = None
    step("drop", gc.collect)
    look_up(connect(), 201)


def main():
    global connection
    prepare()
    connection = connect()
    look_up(connection, 1)
    wait_for(start_worker(child_that_closes))
    look_up(connection, 2)
    wait_for(start_worker(child_that_drops))
    look_up(connection, 3)


if __name__ == "__main__":
    main()
