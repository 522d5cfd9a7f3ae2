"""The parent closes its pool before it forks; everybody opens one when they next need it.

Remedy. A pool that is closed in the parent cannot be inherited, and neither can its worker threads, which no
fork copies. The parent pays with its sessions: temporary tables, settings and locks are gone, and each
process opens a pool of its own after the fork. `close()` closes what is in the pool: what is checked out must
have been given back.
https://www.psycopg.org/psycopg3/docs/advanced/pool.html

Drivers: psycopg

Remedy for: pool_inherited, pool_closed_in_child
"""

import multiprocessing
import os
from typing import Any

from psycopg_pool import ConnectionPool

from drivers.helper import check_out, look_up, prepare, step, wait_for

CONNINFO = os.environ["DATABASE_URL"].replace("+psycopg:", ":", 1)

# The pattern.

pool: Any = None


def open_pool():
    """Open this process's pool."""
    global pool
    pool = ConnectionPool(CONNINFO, min_size=1, max_size=2, kwargs={"autocommit": True}, open=True)
    pool.wait()


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection."""
    pool.close()
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    step("open", open_pool)
    connection = check_out(pool)
    look_up(connection, 101)
    step("check in", pool.putconn, connection)
    step("close", pool.close)


def main():
    prepare()
    step("open", open_pool)
    connection = check_out(pool)
    look_up(connection, 1)
    step("check in", pool.putconn, connection)
    worker = step("fork", start_worker, child)
    step("open", open_pool)
    connection = check_out(pool)
    look_up(connection, 2)
    wait_for(worker)
    look_up(connection, 3)
    step("check in", pool.putconn, connection)
    step("close", pool.close)


if __name__ == "__main__":
    main()
