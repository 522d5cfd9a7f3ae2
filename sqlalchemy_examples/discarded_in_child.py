"""The child discards the connections it inherited without sending anything to the server, and opens its own.

Remedy. The child redirects the inherited descriptors to `/dev/null`; only then does it close the connections or drop
them. Whatever the driver sends to end a session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS `close_notify`) never
reaches the server. The parent keeps its sessions and everything that belongs to them: temporary tables, settings,
locks. The cost is the child's own connections. `/dev/null` is no socket, so a query on a discarded connection raises
an exception.

The pool's `connect` event reports every connection as it is opened, so that connections that are checked out are found
as well as those idle in the pool; `driver_connection` is the driver's. End a checked-out connection with
`Connection.invalidate()`, or with `Session.invalidate()` if a `Session` holds it. If it is dropped instead, the pool
rolls it back first: that fails without reaching the server, and is logged ("Exception during reset or similar";
mysqlclient and PyMySQL).

Needs: descriptor

Points:
    start: track_connections()
    child: discard_inherited()
"""

import gc
import multiprocessing
import os
import weakref
from typing import Any

from sqlalchemy import Pool, create_engine, event

from sqlalchemy_examples.helper import DATABASE_URL, descriptor, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)
entries: weakref.WeakSet[Any] = weakref.WeakSet()


def remember(dbapi_connection, entry):
    """Keep track of the pools' entries, in their pools as well as checked out of them."""
    entries.add(entry)


def track_connections():
    """Call this once, before any engine opens its first connection."""
    event.listen(Pool, "connect", remember)


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: close the inherited connections without sending anything; pools open others."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for entry in list(entries):
        if entry.driver_connection is not None:
            os.dup2(null, descriptor(entry.driver_connection), inheritable=False)
            entry.invalidate()
    os.close(null)


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
    track_connections()
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
