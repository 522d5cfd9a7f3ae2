"""The parent closes its pool before it forks; everybody opens one when they next need it.

Remedy. A pool that is closed in the parent cannot be inherited, and neither can its worker threads, which no
fork copies. The parent pays with its sessions: temporary tables, settings and locks are gone, and each
process opens a pool of its own after the fork. `close()` closes what is in the pool: what is checked out must
have been given back.
https://www.psycopg.org/psycopg3/docs/advanced/pool.html

`close()` joins the pool's threads, and yet they may still be leaving when it returns: `join()` waits for their end
in the operating system from Python 3.13 on only. What OpenSSL keeps for a thread goes with the thread, under a lock
of the whole process. A child that is forked meanwhile inherits that lock, held, and waits for it for ever when it
connects with TLS. Hence `close_pool`, which waits until Linux shows the threads no more.
https://github.com/python/cpython/issues/110829, https://github.com/openssl/openssl/issues/19066,
`init_thread_stop` in https://github.com/openssl/openssl/blob/master/crypto/initthread.c

Needs: psycopg_pool

Remedy for: pool_inherited, pool_closed_in_child
"""

import multiprocessing
import os
import threading
from pathlib import Path
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


def close_pool():
    """Close this process's pool, and wait until its threads have left the process."""
    leaving = {thread.native_id for thread in threading.enumerate()}
    pool.close()
    leaving -= {thread.native_id for thread in threading.enumerate()}
    for thread in leaving:
        while Path(f"/proc/self/task/{thread}").exists():
            os.sched_yield()


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection."""
    close_pool()
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
