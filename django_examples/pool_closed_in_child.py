"""The child inherits a pool with idle connections and closes its connection; then both processes take one.

Hazard. With a pool, `connection.close()` closes nothing: it returns the connection to the child's copy of the pool,
and all connections in that copy are the parent's. The next connection that the child takes is the next one that the
parent takes: they share one server session, and no error reports it. Without TLS each process gets its result as long
as they take turns. With TLS each process keeps its own TLS sequence number: the child's query fails with "bad record
mac", and the session ends for both.

The pool is Django's option for PostgreSQL, see the alias `pooled` in settings.py. The wrapper's attribute `pool`,
used here to fill the pool before the fork, is not documented (Django 5.2.19).
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool

Needs: pool
"""

import multiprocessing

from django.db import connections

from django_examples.helper import check_out, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def open_pool():
    """Open the pool of the alias `pooled` (see settings.py) before the first request needs it."""
    pool = connections["pooled"].pool  # type: ignore[attr-defined]  # PostgreSQL's alone have one
    pool.open()
    pool.wait()


def close_inherited():
    """Call this first in the worker: close the inherited connection; Django reconnects when it needs to."""
    connections["pooled"].close()


# What happens.


def child(parent_holds):
    parent_holds.wait()
    step("close", close_inherited)
    check_out("pooled")
    look_up(101, using="pooled")


def main():
    prepare()
    step("open", open_pool)
    check_out("pooled")
    look_up(1, using="pooled")
    parent_holds = multiprocessing.get_context("fork").Event()
    worker = start_worker(child, parent_holds)
    step("close", connections["pooled"].close)
    check_out("pooled")
    look_up(2, using="pooled")
    parent_holds.set()
    wait_for(worker)
    look_up(3, using="pooled")


if __name__ == "__main__":
    main()
