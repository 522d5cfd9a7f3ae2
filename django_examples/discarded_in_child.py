"""The child discards the connections it inherited without sending anything to the server, and opens its own.

Remedy. The child redirects the inherited descriptors to `/dev/null`; only then does it close the connections or drop
them. Whatever the driver sends to end a session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS `close_notify`) never
reaches the server. The parent keeps its sessions and everything that belongs to them: temporary tables, settings,
locks. The cost is the child's own connections. `/dev/null` is no socket, so a query on a discarded connection raises
an exception.

`connection.connection` is the driver's connection, and `connections.all()` returns the connections of this thread.
Discard only connections that work: after losing a connection mysqlclient's `fileno()` still returns the old number,
which may belong to something else by then.

Needs: descriptor

Points:
    child: discard_inherited()
"""

import gc
import multiprocessing
import os

from django.db import connection, connections

from django_examples.helper import descriptor, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: close the inherited connections without sending anything; Django opens its own."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for inherited in connections.all(initialized_only=True):
        if inherited.connection is not None:
            os.dup2(null, descriptor(inherited.connection), inheritable=False)
            inherited.close()
    os.close(null)


# What happens.


def child_that_closes():
    step("discard", discard_inherited)
    step("close", connection.close)
    look_up(101)


def child_that_drops():
    step("discard", discard_inherited)
    connection.connection = None
    step("drop", gc.collect)
    look_up(201)


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child_that_closes))
    look_up(2)
    wait_for(start_worker(child_that_drops))
    look_up(3)


if __name__ == "__main__":
    main()
