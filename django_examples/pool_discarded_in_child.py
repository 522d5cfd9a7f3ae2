"""The child lets go of every connection of the inherited pool without a word to the server, and opens another pool.

Remedy. The descriptors of all inherited connections, checked out or waiting in the pool, are pointed at the
null device; only then is the pool closed. What psycopg says to end a session (`Terminate`) goes nowhere, and
the parent's pool keeps its sessions. A subclass of psycopg's connection tells of every connection as it is
opened: name it in the settings as `OPTIONS["pool"]["connection_class"]`. The inherited pool itself is of no
use in the child: its worker threads were not copied.

The pool is Django's option for PostgreSQL, see the alias `pooled` in settings.py. That Django hands
`connection_class` on to the pool, the wrapper's `pool` and `close_pool()` are not documented (Django 5.2.19).
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool

Needs: pool, descriptor

Remedy for: pool_inherited, pool_closed_in_child
"""

import multiprocessing
import os
import weakref
from typing import Any

import psycopg
from django.db import connections

from django_examples.helper import check_out, look_up, prepare, step, wait_for

# The pattern.

opened: weakref.WeakSet[Any] = weakref.WeakSet()


class TrackedConnection(psycopg.Connection):
    """A connection that is found again after a fork, wherever the pool keeps it."""

    @classmethod
    def connect(cls, *args, **options):
        """Open a connection and keep track of it."""
        connection = super().connect(*args, **options)
        opened.add(connection)
        return connection


connections.databases["pooled"]["OPTIONS"]["pool"]["connection_class"] = TrackedConnection  # in settings


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: let no inherited connection reach the server; then close the pools."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in opened:
        if not connection.closed:
            os.dup2(nowhere, connection.fileno(), inheritable=False)
    os.close(nowhere)
    for inherited in connections.all(initialized_only=True):
        inherited.connection = None
        if hasattr(inherited, "close_pool"):
            inherited.close_pool()


# What happens.


def child():
    step("discard", discard_inherited)
    check_out("pooled")
    look_up(101, using="pooled")


def main():
    prepare()
    pool = connections["pooled"].pool  # type: ignore[attr-defined]  # PostgreSQL's alone have one
    step("open", pool.open)
    step("wait", pool.wait)
    check_out("pooled")
    look_up(1, using="pooled")
    step("close", connections["pooled"].close)
    check_out("pooled")
    look_up(2, using="pooled")
    wait_for(start_worker(child))
    look_up(3, using="pooled")
    step("close", connections["pooled"].close)
    check_out("pooled")
    look_up(4, using="pooled")


if __name__ == "__main__":
    main()
