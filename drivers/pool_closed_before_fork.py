"""The parent closes its pool before it forks; each process opens a pool when it next needs one.

Remedy. A pool that the parent has closed cannot be inherited. An inherited pool would be of no use: a fork does not
copy its worker threads. It costs the parent its sessions: temporary tables, settings and locks are gone, and each
process opens its own pool after the fork. `close()` closes what is in the pool: return checked-out connections first.
https://www.psycopg.org/psycopg3/docs/advanced/pool.html

`close()` joins the pool's threads, but they may still be exiting when it returns: only from Python 3.13 on does
`join()` wait until the operating system has ended a thread. When a thread ends, OpenSSL frees its data under a lock
of the whole process. A child that is forked at that moment inherits the lock in its locked state, and waits for it
forever when it connects with TLS. Therefore `close_pool` waits until Linux no longer lists the threads.
`init_thread_stop` in https://github.com/openssl/openssl/blob/master/crypto/initthread.c
https://github.com/python/cpython/issues/110829, https://github.com/openssl/openssl/issues/19066,

Needs: psycopg_pool
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
    """Close this process's pool, and wait until its threads have ended."""
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
