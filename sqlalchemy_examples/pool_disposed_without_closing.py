"""The child replaces the inherited pool and leaves the old one to the garbage collector; then the parent queries.

Hazard. SQLAlchemy's manual recommends this for a child, and it keeps the parent's session with psycopg and PyMySQL.
With mysqlclient it does so only until Python's garbage collector finds the old pool, which is a reference cycle. What
happens then depends on the driver's finaliser. psycopg's closes only in the process that connected. PyMySQL's closes
the descriptor and sends nothing. mysqlclient's calls `mysql_close()`, which sends `COM_QUIT`, and the server ends the
parent's session, some time after the fork and far from its cause.

https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork
https://github.com/apache/airflow/issues/56879
"""

import gc
import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def replace_inherited(engine):
    """Call this first in the worker, as SQLAlchemy's manual recommends: create a new pool, close nothing."""
    engine.dispose(close=False)


# What happens.


def child(engine, disposed, parent_asked):
    step("dispose", replace_inherited, engine)
    look_up(engine, 101)
    disposed.set()
    parent_asked.wait()
    # In a worker that lives long enough the collector runs by itself; here it runs in a step of its own.
    step("collect garbage", gc.collect)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    look_up(engine, 1)
    # In a program that has run for a while the pool is in an old generation, which is collected rarely.
    gc.collect()
    fork = multiprocessing.get_context("fork")
    disposed, parent_asked = fork.Event(), fork.Event()
    worker = start_worker(child, engine, disposed, parent_asked)
    disposed.wait()
    look_up(engine, 2)
    parent_asked.set()
    wait_for(worker)
    look_up(engine, 3)
    look_up(engine, 4)


if __name__ == "__main__":
    main()
