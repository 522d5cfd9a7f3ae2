"""Another thread has a query in flight when the process forks, and the child runs a query too.

Hazard. None so far: the thread has checked the connection out of the pool, so the child's copy of the pool does not
hand it out, and the child opens its own. The inherited connection is never deallocated in the child, because what a
thread's stack refers to stays there forever. The child's pool is one connection smaller, because nothing returns that
one. Threads that share a connection are affected (see drivers/forked_with_threads.py).
"""

import gc
import multiprocessing
import threading

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import (
    DATABASE_URL,
    hold_replies,
    look_up,
    prepare,
    release_reply,
    step,
    wait_for,
    wait_until_held,
)

# The pattern.


def start_thread(work, *args):
    """Run `work(*args)` in a thread of this process."""
    thread = threading.Thread(target=work, args=args, name="report")
    thread.start()
    return thread


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the pool of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def report(engine):
    look_up(engine, 2, held=True)


def child(engine):
    step("collect", gc.collect)
    look_up(engine, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    look_up(engine, 1)
    holder = hold_replies()
    thread = start_thread(report, engine)
    wait_until_held(holder)
    wait_for(start_worker(child, engine))
    release_reply(holder)
    thread.join()
    look_up(engine, 3)


if __name__ == "__main__":
    main()
