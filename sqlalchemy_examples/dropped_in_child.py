"""The child drops the inherited connections without closing them, and opens its own.

Hazard. A new engine replaces the old one, and the garbage collector finds the old pool. With mysqlclient this ends
the parent's session: it calls `mysql_close()` when a connection object is deallocated, in any process, which sends
`COM_QUIT`. PyMySQL's finaliser only closes the child's copy of the descriptor. The finalisers of psycopg and psycopg2
do nothing in a process that did not open the connection, and leave its descriptor open. With these drivers the parent
keeps its session.
"""

import gc
import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def drop_inherited():
    """Call this first in the worker: replace the inherited engine without closing anything."""
    global engine
    engine = create_engine(DATABASE_URL)


# What happens.


def child():
    step("drop", drop_inherited)
    step("collect", gc.collect)
    look_up(engine, 101)


def main():
    prepare()
    look_up(engine, 1)
    wait_for(start_worker(child))
    look_up(engine, 2)
    look_up(engine, 3)


if __name__ == "__main__":
    main()
