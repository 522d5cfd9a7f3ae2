"""The child discards the connection it inherited without sending anything to the server, and opens its own.

Remedy. The child redirects the inherited descriptor to `/dev/null`; only then does it close the connection or drop
it. Whatever the driver sends to end the session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS `close_notify`)
never reaches the server. The parent keeps its session and everything that belongs to it: temporary tables,
settings, locks, an open transaction. The cost is one connection for the child. `/dev/null` is no socket, so a query
on a discarded connection raises an exception.

Discard only connections that work: after losing a connection mysqlclient's `fileno()` still returns the old number,
which may belong to something else by then.

Needs: descriptor

Points:
    child: discard(db.connection); db.connection = None
"""

import gc
import multiprocessing
import os
from typing import Any

from drivers.helper import connect, descriptor, look_up, prepare, step, wait_for

# The pattern.

connection: Any = None


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard(connection):
    """Redirect a connection's descriptor to `/dev/null`, so that nothing it still sends reaches the server."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, descriptor(connection), inheritable=False)
    os.close(null)


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
