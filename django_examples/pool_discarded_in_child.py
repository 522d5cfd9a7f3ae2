"""The child discards the inherited pool's connections without sending anything to the server, and opens its own pool.

Remedy. The child redirects the descriptors of all inherited connections to `/dev/null`, whether they are checked out
or idle in the pool; only then does it close the pool. The `Terminate` that psycopg sends to end a session never
reaches the server, and the parent's pool keeps its sessions. A subclass of psycopg's connection keeps track of every
connection as it is opened: `track_connections()` names it in `OPTIONS["pool"]`, before the first query. The inherited
pool itself is of no use in the child: its worker threads do not exist there, so the pool is closed without waiting.

The pool is Django's option for PostgreSQL; see the alias `pooled` in settings.py. That Django passes
`connection_class` to the pool, and the wrapper's `pool` and `close_pool()`, are not documented (Django 5.2.19).
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool

Needs: pool, descriptor

Points:
    start: track_connections()
    child: discard_inherited()
"""

import multiprocessing
import os
import weakref
from typing import Any

import psycopg
from django.db import connections

from django_examples.helper import check_out, descriptor, look_up, prepare, step, wait_for

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


def track_connections():
    """Call this once, before the first query: have the pools open connections that are found again."""
    for database in connections.databases.values():
        if pool := database["OPTIONS"].get("pool"):
            options = pool if isinstance(pool, dict) else {}
            database["OPTIONS"]["pool"] = {**options, "connection_class": TrackedConnection}


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: let no inherited connection reach the server; then close the pools."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in opened:
        if not connection.closed:
            os.dup2(null, descriptor(connection), inheritable=False)
    os.close(null)
    for inherited in connections.all():
        inherited.connection = None
        if pool := getattr(inherited, "pool", None):
            pool.close(timeout=0)  # its threads are not there to be waited for
            inherited.close_pool()  # type: ignore[attr-defined]


# What happens.


def child():
    step("discard", discard_inherited)
    check_out("pooled")
    look_up(101, using="pooled")


def main():
    track_connections()
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
