"""Every forked process discards the inherited connections by itself, without sending anything to the server.

Remedy. `os.register_at_fork` does in every child what `discarded_in_child` does by hand, whichever code forks, so
that no call site has to remember it. The descriptors of the registered connections are redirected to `/dev/null`
before the child runs its first line. The child may close the connections, drop them or exit in any way; the parent
keeps its session, an open transaction included. The cost is a `dup2` per connection and fork. `subprocess` does not
run the hooks and does not need them: it closes descriptors.

Each descriptor and its `fstat()` are recorded at connect time and compared before `dup2`, because after losing a
connection mysqlclient's `fileno()` still returns the old number. Python clears what other threads hold in a
`threading.local` before any hook runs in the child, and mysqlclient sends `COM_QUIT` when a connection is
deallocated: the references taken before the fork prevent that.

Needs: descriptor

Points:
    connect: discard_at_fork(connection)
"""

import contextlib
import functools
import multiprocessing
import os
import sys
import weakref
from typing import Any

from drivers.helper import connect, descriptor, insert, look_up, prepare, step, wait_for

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()
held: list[list[Any]] = []


def discard_at_fork(connection):
    """Have every process forked from now on discard `connection`, and return it."""
    install()
    fd = descriptor(connection)
    sockets[connection] = fd, os.fstat(fd)
    return connection


@functools.cache
def install():
    """Install the hooks, once."""
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
    sockets.clear()
    held.clear()


# What happens.

connection: Any = None


def child_that_closes():
    step("close", connection.close)
    look_up(connect(), 101)


def child_that_exits():
    look_up(connect(), 201)
    sys.exit()


def main():
    global connection
    prepare()
    connection = discard_at_fork(connect(autocommit=False))
    look_up(connection, 1)
    process = multiprocessing.get_context("fork").Process(target=child_that_closes)
    process.start()
    wait_for(process)
    look_up(connection, 2)
    insert(connection, 1001)
    pid = os.fork()
    if pid == 0:
        child_that_exits()
    wait_for(pid)
    insert(connection, 1002)
    step("commit", connection.commit)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
