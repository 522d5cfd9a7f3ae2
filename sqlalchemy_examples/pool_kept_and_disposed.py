"""The child creates a new pool, closes nothing, and keeps a reference to the old pool.

Remedy. `engine.dispose(close=False)`, which SQLAlchemy's manual recommends for the child, drops the inherited pool
without closing it, and mysqlclient sends `COM_QUIT` when a connection is deallocated. If the old pool is kept in a
list, it is never deallocated: no driver sends anything, and the parent keeps its session. It costs the child the
memory and descriptors of the inherited pool. This holds as long as the child exits as `multiprocessing` children do
(`os._exit`): an interpreter that exits deallocates the list, which with mysqlclient ends the parent's session.
https://docs.sqlalchemy.org/en/21/core/connections.html#sqlalchemy.engine.Engine.dispose.params.close

Points:
    child: leave_inherited(engine)
"""

import gc
import multiprocessing

from sqlalchemy import Pool, create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)
kept: list[Pool] = []


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def leave_inherited(inherited):
    """Call this first in the worker: create a new pool, and keep the old one from being deallocated."""
    kept.append(inherited.pool)
    inherited.dispose(close=False)


# What happens.


def child():
    step("dispose", leave_inherited, engine)
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
