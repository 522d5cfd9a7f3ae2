"""Every process creates its own engine when it first needs one.

Remedy. A function returns the engine and caches one per pid, so a forked process creates its own. The child does not
use, close or drop the parent's engine, which stays in the cache, and the parent keeps its session. The cost is a
`getpid()` per use, and in the child the memory and descriptors of the inherited pool. This holds as long as the child
exits as `multiprocessing` children do (`os._exit`): an interpreter that exits deallocates the cache, which with
mysqlclient ends the parent's session. Call the function each time: an engine kept in a variable is the parent's.
"""

import functools
import multiprocessing
import os

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, wait_for

# The pattern.


def engine():
    """Return this process's engine."""
    return _engine(os.getpid())


@functools.cache
def _engine(pid):
    return create_engine(DATABASE_URL)


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child(number):
    look_up(engine(), number)
    look_up(engine(), number + 1)


def main():
    prepare()
    look_up(engine(), 1)
    workers = [start_worker(child, 101), start_worker(child, 201)]
    look_up(engine(), 2)
    for worker in workers:
        wait_for(worker)
    look_up(engine(), 3)


if __name__ == "__main__":
    main()
