"""The child lets go of the connections it inherited without a word to the server, and opens its own.

Remedy. The inherited descriptors are pointed at the null device; only then are the connections closed, or
dropped. Whatever the driver says to end a session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS
`close_notify`) goes nowhere. The parent keeps its sessions with all that belongs to them: temporary tables,
settings, locks. It costs the child nothing but its own connections. The null device is no socket: a query on
a discarded connection is an error, not a question to the server.

Reaching the descriptor: the pool's `connect` event tells of every connection as it is opened, so those that
are checked out are found as well as those that wait in the pool. `driver_connection` is the driver's;
mysqlclient and psycopg have `fileno()`, PyMySQL has no public way, its socket is `_sock` (1.2.4). What is
checked out ends with `Connection.invalidate()`, or, where a `Session` holds it, with `Session.invalidate()`.
Where it is dropped instead, the pool rolls it back first: that fails, reaching nobody, and is logged
("Exception during reset or similar"; mysqlclient and PyMySQL).

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, pool_inherited,
pool_closed_in_child, exited_child, crashed_child, untouched_in_child, forked_while_reading
"""

import gc
import multiprocessing
import os
import weakref
from typing import Any

from sqlalchemy import create_engine, event

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)
entries: weakref.WeakSet[Any] = weakref.WeakSet()


@event.listens_for(engine, "connect")
def remember(dbapi_connection, entry):
    """Keep track of the pool's entries, in the pool as well as checked out of it."""
    entries.add(entry)


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: let none of the inherited connections reach the server; then dispose of the pool."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for entry in entries:
        if (driver := entry.driver_connection) is not None:
            descriptor = (driver if hasattr(driver, "fileno") else driver._sock).fileno()
            os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


# What happens.


checked_out: Any = None


def child_that_closes():
    step("discard", discard_inherited)
    step("close", checked_out.invalidate)
    step("dispose", engine.dispose)
    look_up(engine, 101)


def child_that_drops():
    global checked_out
    step("discard", discard_inherited)
    step("dispose", engine.dispose, close=False)
    checked_out = None
    step("drop", gc.collect)
    look_up(engine, 201)


def main():
    global checked_out
    prepare()
    checked_out = engine.connect()
    look_up(checked_out, 1)
    look_up(engine, 2)
    wait_for(start_worker(child_that_closes))
    look_up(checked_out, 3)
    look_up(engine, 4)
    wait_for(start_worker(child_that_drops))
    look_up(checked_out, 5)
    look_up(engine, 6)


if __name__ == "__main__":
    main()
