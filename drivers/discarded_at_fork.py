"""Every forked process lets go of the inherited connections by itself, without a word to the server.

Remedy. What `discarded_in_child` does by hand, done by `os.register_at_fork` in every child, whoever forks
and however: no call site has to remember. The connections registered are pointed at the null device before
the child runs its first line; it may close them, drop them or leave as it likes, and the parent keeps its
session, its open transaction included. It costs a `dup2` per connection and fork. `subprocess` does not run
the hooks, and needs none: it closes descriptors.

Descriptors are noted while the connection is new, for mysqlclient goes on naming the descriptor of a
connection it has lost, and compared with the socket that they stood for. PyMySQL has no public way to its
socket, `_sock` (1.2.4). What other threads held in a `threading.local` is deallocated in the child before any
hook runs there, and mysqlclient says goodbye when it is deallocated: hence the references taken before the
fork.

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
closed_inside_transaction, committed_in_child, rolled_back_in_child, forked_while_reading,
forked_with_threads, untouched_in_child, killed_in_child
"""

import contextlib
import functools
import multiprocessing
import os
import sys
import weakref
from typing import Any

from drivers.helper import connect, insert, look_up, prepare, step, wait_for

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()
held: list[list[Any]] = []


def discard_at_fork(connection):
    """Have every process forked from now on let go of `connection`, and return it."""
    install()
    descriptor = (connection if hasattr(connection, "fileno") else connection._sock).fileno()
    sockets[connection] = descriptor, os.fstat(descriptor)
    return connection


@functools.cache
def install():
    """Install the hooks, once."""
    os.register_at_fork(before=hold, after_in_parent=held.pop, after_in_child=discard)


def hold():
    """Before a fork: keep the connections of other threads from being deallocated in the child before `discard`."""
    held.append(list(sockets))


def discard():
    """First thing in a child: point the descriptors of the inherited connections at the null device."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor, socket in sockets.values():
        with contextlib.suppress(OSError):  # the descriptor is closed
            if os.path.samestat(os.fstat(descriptor), socket):
                os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
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
