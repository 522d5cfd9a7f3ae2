"""Every forked process discards the inherited connections by itself, without sending anything to the server.

Remedy. `os.register_at_fork` does in every child what `discarded_in_child` does by hand, whichever code forks, so
that no call site has to remember it. Call `install()` once, in an `AppConfig.ready()`. The descriptor of every
connection that Django opens, of any alias and thread, is redirected to `/dev/null` before the child runs its first
line. The child may close the connections, drop them or exit in any way; the parent keeps its sessions, an open
transaction included. The cost is a `dup2` per connection and fork. `subprocess` does not run the hooks and does not
need them: it closes descriptors.

A child that is forked inside `atomic()` starts outside of it, in autocommit. Each descriptor and its `fstat()` are
recorded at connect time and compared before `dup2`, because after losing a connection mysqlclient's `fileno()` still
returns the old number. Python clears what other threads hold in a `threading.local`, as Django's connections are,
before any hook runs in the child, and mysqlclient sends `COM_QUIT` when a connection is deallocated: the references
taken before the fork prevent that. A wrapper whose `connection` is set to None reconnects; Django 5.2 works that way
and does not document it.

Needs: descriptor

Points:
    start: install()
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

from django_examples.helper import descriptor, insert, look_up, prepare, step, wait_for

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()
held: list[list[Any]] = []


def remember(connection, **_):
    """Record the descriptor of a connection that Django has opened."""
    driver = connection.connection
    fd = descriptor(driver)
    sockets[driver] = fd, os.fstat(fd)


@functools.cache
def install():
    """Install the hooks, once, before the first query."""
    connection_created.connect(remember)
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
