"""Every forked process discards the inherited connections by itself, without sending anything to the server.

Remedy. `os.register_at_fork` does in every child what `discarded_in_child` does by hand, whichever code forks, so
that no call site has to remember it. Call `install()` once, before the first connection is opened. The descriptor of
every connection of every engine, in its pool or checked out of it, is redirected to `/dev/null` before the child runs
its first line, and its place in the pool is free for another. The child may use its engines, dispose of them or exit
in any way; the parent keeps its sessions, an open transaction included. The cost is a `dup2` per connection and fork.
`subprocess` does not run the hooks and does not need them: it closes descriptors.

A `Session` or `Connection` that was in a transaction reports it when the child uses it: SQLAlchemy knows that its
connection is gone, and raises `PendingRollbackError` until the child rolls back. What another thread was using is out
of reach, but takes its place in the child's pool. Each descriptor and its `fstat()` are recorded at connect time and
compared before `dup2`. Python clears what other threads hold in a `threading.local` before any hook runs in the child,
and mysqlclient sends `COM_QUIT` when a connection is deallocated: the references taken before the fork prevent that.

Needs: descriptor

Points:
    start: install()
"""

import contextlib
import functools
import multiprocessing
import os
import sys
import threading
import weakref
from typing import Any

from sqlalchemy import Connection, Engine, Pool, create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from sqlalchemy_examples.helper import DATABASE_URL, descriptor, insert, look_up, prepare, step, wait_for

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()
entries: weakref.WeakSet[ConnectionPoolEntry] = weakref.WeakSet()
connections: weakref.WeakKeyDictionary[Connection, int] = weakref.WeakKeyDictionary()
held: list[list[Any]] = []


def remember(dbapi_connection, entry):
    """Record the descriptor of a connection that a pool has opened, and the pool's entry for it."""
    driver = entry.driver_connection
    fd = descriptor(driver)
    sockets[driver] = fd, os.fstat(fd)
    entries.add(entry)


def in_use(connection):
    """Record a connection that is taken out of its pool, and the thread that uses it."""
    connections[connection] = threading.get_ident()


@functools.cache
def install():
    """Install the hooks, once, before the first connection of any engine."""
    event.listen(Pool, "connect", remember)
    event.listen(Engine, "engine_connect", in_use)
    os.register_at_fork(before=hold, after_in_parent=held.pop, after_in_child=discard)


def hold():
    """Before a fork: keep the connections of other threads from being deallocated in the child before `discard`."""
    held.append(list(sockets))


def discard():
    """First thing in a child: redirect the descriptors of the inherited connections to `/dev/null`."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd, socket in sockets.values():
        with contextlib.suppress(OSError):  # the descriptor is closed
            if os.path.samestat(os.fstat(fd), socket):
                os.dup2(null, fd, inheritable=False)
    os.close(null)
    # What other threads were using is left alone: nothing in the child will ever release its locks.
    for connection, thread in list(connections.items()):
        if thread == threading.get_ident() and not connection.closed:
            connection.invalidate()
    for entry in list(entries):
        if not entry.in_use:
            entry.invalidate()
    sockets.clear()
    held.clear()


# What happens.

engine: Any = None


def child_that_closes():
    step("dispose", engine.dispose)
    look_up(engine, 101)


def child_that_exits(session):
    look_up(engine, 201)
    step("rollback", session.rollback)
    look_up(session, 202)
    sys.exit()


def main():
    global engine
    install()
    prepare()
    engine = create_engine(DATABASE_URL)
    with Session(engine) as session:
        look_up(session, 1)
        look_up(engine, 2)
        process = multiprocessing.get_context("fork").Process(target=child_that_closes)
        process.start()
        wait_for(process)
        look_up(engine, 3)
        insert(session, 1001)
        pid = os.fork()
        if pid == 0:
            child_that_exits(session)
        wait_for(pid)
        insert(session, 1002)
        look_up(session, 4)
        step("commit", session.commit)
    look_up(engine, 5)


if __name__ == "__main__":
    main()
