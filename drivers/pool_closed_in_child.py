"""The child closes a pool that it inherited with idle connections; the parent continues, then takes a connection.

Hazard. `ConnectionPool.close()` closes the idle connections, which sends `Terminate`, and the server ends their
sessions for the parent as well. The connection that the parent has checked out is not affected. The child can still
query, on its own connection. The parent's pool hands out the dead connection without a check, and replaces it when it
is returned.

The parent closes its pool before it exits: if a process exits while a thread of its pool connects, OpenSSL cleans up
under that thread, and the process may die by SIGSEGV. This was observed once here, before the pool was closed.
https://github.com/openssl/openssl/issues/6214

Needs: psycopg_pool
"""

import multiprocessing
import os

from psycopg_pool import ConnectionPool

from drivers.helper import check_out, connect, look_up, prepare, step, wait_for

CONNINFO = os.environ["DATABASE_URL"].replace("+psycopg:", ":", 1)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def open_pool():
    """Open two connections now, and a third when it is needed."""
    pool = ConnectionPool(CONNINFO, min_size=2, max_size=3, kwargs={"autocommit": True}, open=True)
    pool.wait()
    return pool


def close_inherited(pool):
    """Call this first in the worker: close its copy of the inherited pool."""
    pool.close()


# What happens.


def child(pool):
    step("close", close_inherited, pool)
    own = connect()
    look_up(own, 101)


def main():
    prepare()
    pool = step("open", open_pool)
    first = check_out(pool)
    look_up(first, 1)
    wait_for(start_worker(child, pool))
    look_up(first, 2)
    second = check_out(pool)
    look_up(second, 3)
    step("check in", pool.putconn, second)
    third = check_out(pool)
    look_up(third, 4)
    step("close", pool.close)


if __name__ == "__main__":
    main()
