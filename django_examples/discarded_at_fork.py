"""Every forked process lets go of the inherited connections by itself, without a word to the server.

Remedy. What `discarded_in_child` does by hand, done by `os.register_at_fork` in every child, whoever forks
and however: no call site has to remember. Call `install()` once, in an `AppConfig.ready()`. Every connection
that Django opens, of any alias and thread, is pointed at the null device before the child runs its first
line; it may close them, drop them or leave as it likes, and the parent keeps its sessions, an open
transaction included. It costs a `dup2` per connection and fork. `subprocess` does not run the hooks, and
needs none: it closes descriptors.

A child that is forked inside `atomic()` starts outside of it, in autocommit. Descriptors are noted while the
connection is new, for mysqlclient goes on naming the descriptor of a connection it has lost, and compared
with the socket that they stood for. PyMySQL has no public way to its socket, `_sock` (1.2.4). What other
threads held in a `threading.local`, as Django's connections are, is deallocated in the child before any hook
runs there, and mysqlclient says goodbye when it is deallocated: hence the references taken before the fork.
That setting a wrapper's `connection` to None makes it connect anew is how Django 5.2 works, and not
documented.

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
closed_inside_transaction, committed_in_child, rolled_back_in_child, forked_while_reading,
forked_with_threads, untouched_in_child
"""

import contextlib
import functools
import multiprocessing
import os
import sys
import weakref
from typing import Any

from django.db import connections, transaction
from django.db.backends.signals import connection_created

from django_examples.helper import insert, look_up, prepare, step, wait_for

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()
held: list[list[Any]] = []


def remember(connection, **_):
    """Note the descriptor of a connection that Django has opened."""
    driver = connection.connection
    descriptor = (driver if hasattr(driver, "fileno") else driver._sock).fileno()
    sockets[driver] = descriptor, os.fstat(descriptor)


@functools.cache
def install():
    """Install the hooks, once, before the first query."""
    connection_created.connect(remember)
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
    for inherited in connections.all(initialized_only=True):
        inherited.connection = None
    sockets.clear()
    held.clear()


# What happens.


def child_that_closes():
    step("close", connections.close_all)
    look_up(101)


def child_that_exits():
    look_up(201)
    sys.exit()


def main():
    install()
    prepare()
    with transaction.atomic():
        look_up(1)
        process = multiprocessing.get_context("fork").Process(target=child_that_closes)
        process.start()
        wait_for(process)
        look_up(2)
    step("begin", transaction.set_autocommit, False)
    insert(1001)
    pid = os.fork()
    if pid == 0:
        child_that_exits()
    wait_for(pid)
    insert(1002)
    step("commit", transaction.commit)
    look_up(3)


if __name__ == "__main__":
    main()
