"""Parent and child take connections from one inherited pool at the same time.

Hazard. The fork copies the pool's list of connections, and both processes take the same one from its head: they share
one server session, and no error reports it. Without TLS each process gets its result as long as they take turns. With
TLS each process keeps its own TLS sequence number: the child's query fails with "bad record mac", and the session
ends for both.

The fork copies no threads, and the pool connects in its worker threads. In the child the pool never grows: the parent
gets a third connection, while the child waits for one until its timeout (30 seconds by default) and gets
`PoolTimeout`.

https://github.com/psycopg/psycopg/issues/395

Needs: psycopg_pool
"""

import multiprocessing
import os

from psycopg_pool import ConnectionPool

from drivers.helper import check_out, look_up, prepare, step, wait_for

CONNINFO = os.environ["DATABASE_URL"].replace("+psycopg:", ":", 1)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the pool of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def open_pool():
    """Open two connections now, and a third when it is needed."""
    pool = ConnectionPool(CONNINFO, min_size=2, max_size=3, kwargs={"autocommit": True}, open=True)
    pool.wait()
    return pool


# What happens.


def child(pool, parent_holds):
    parent_holds.wait()
    first = check_out(pool)
    look_up(first, 101)
    check_out(pool)
    check_out(pool, timeout=1)


def main():
    prepare()
    pool = step("open", open_pool)
    parent_holds = multiprocessing.get_context("fork").Event()
    worker = start_worker(child, pool, parent_holds)
    first = check_out(pool)
    look_up(first, 1)
    parent_holds.set()
    wait_for(worker)
    look_up(first, 2)
    check_out(pool)
    check_out(pool)
    step("close", pool.close)


if __name__ == "__main__":
    main()
