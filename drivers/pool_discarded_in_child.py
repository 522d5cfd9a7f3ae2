"""The child discards the inherited pool's connections without sending anything to the server, and opens its own pool.

Remedy. The child redirects the descriptors of all inherited connections to `/dev/null`, whether they are checked out
or idle in the pool; only then does it close the pool or drop it. The `Terminate` that psycopg sends to end a session
never reaches the server, and the parent's pool keeps its sessions. The pool calls `configure` with every connection
that it opens, which is how the connections are found. The inherited pool itself is of no use in the child: its
worker threads do not exist there.

Needs: psycopg_pool, descriptor

Points:
    connect: pool = ConnectionPool(CONNINFO, configure=opened.add)
    child: discard_inherited()
"""

import gc
import multiprocessing
import os
import weakref
from typing import Any

from psycopg_pool import ConnectionPool

from drivers.helper import check_out, descriptor, look_up, prepare, step, wait_for

CONNINFO = os.environ["DATABASE_URL"].replace("+psycopg:", ":", 1)

# The pattern.

pool: Any = None
opened: weakref.WeakSet[Any] = weakref.WeakSet()


def open_pool():
    """Open this process's pool, and keep track of its connections."""
    global pool
    pool = ConnectionPool(
        CONNINFO, min_size=2, max_size=2, kwargs={"autocommit": True}, configure=opened.add, open=True
    )
    pool.wait()


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def discard_inherited():
    """First thing in the worker: let no inherited connection reach the server; then close or drop the pool."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in opened:
        if not connection.closed:
            os.dup2(null, descriptor(connection), inheritable=False)
    os.close(null)


# What happens.

checked_out: Any = None


def child_that_closes():
    step("discard", discard_inherited)
    step("close", pool.close)
    step("close", checked_out.close)
    step("open", open_pool)
    look_up(check_out(pool), 101)


def child_that_drops():
    global pool, checked_out
    step("discard", discard_inherited)
    pool = checked_out = None
    step("drop", gc.collect)
    step("open", open_pool)
    look_up(check_out(pool), 201)


def main():
    global checked_out
    prepare()
    step("open", open_pool)
    checked_out = check_out(pool)
    look_up(checked_out, 1)
    waiting = check_out(pool)
    look_up(waiting, 2)
    step("check in", pool.putconn, waiting)
    wait_for(start_worker(child_that_closes))
    wait_for(start_worker(child_that_drops))
    look_up(checked_out, 3)
    look_up(check_out(pool), 4)
    step("close", pool.close)


if __name__ == "__main__":
    main()
