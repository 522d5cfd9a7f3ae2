"""The child lets go of the connections it inherited without a word to the server, and opens its own.

Remedy. The inherited descriptors are pointed at the null device; only then are the connections closed, or
dropped. Whatever the driver says to end a session (MySQL `COM_QUIT`, PostgreSQL `Terminate`, TLS
`close_notify`) goes nowhere. The parent keeps its sessions with all that belongs to them: temporary tables,
settings, locks. It costs the child nothing but its own connections. The null device is no socket: a query on
a discarded connection is an error, not a question to the server.

Reaching the descriptor: `connection.connection` is the driver's connection. mysqlclient and psycopg have
`fileno()`; PyMySQL has no public way, its socket is `_sock` (1.2.4). `connections.all()` holds the
connections of this thread. Discard a connection that works: mysqlclient 2.3.2 goes on naming the descriptor
of one that it has lost, and something else may have that number by now.

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
untouched_in_child, forked_while_reading
"""

import gc
import multiprocessing
import os

from django.db import connection, connections

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: let none of the inherited connections reach the server; then close or drop them."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for inherited in connections.all(initialized_only=True):
        if (driver := inherited.connection) is not None:
            descriptor = (driver if hasattr(driver, "fileno") else driver._sock).fileno()
            os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


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
