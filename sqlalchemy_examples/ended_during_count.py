"""A worker ends while its query on the inherited connection is in flight, and the parent runs one with other columns.

Hazard. The worker's row, which has one column, stays in the socket, and the parent's query reads it in place of its
own. SQLAlchemy raises `NoSuchColumnError`, "Could not locate column in row for column 'orders.id'".
"""

import multiprocessing
import os
import threading

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import (
    DATABASE_URL,
    count,
    hold_replies,
    insert,
    look_up,
    prepare,
    release_reply,
    wait_for,
    wait_until_held,
)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the session of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def limit_time(time_is_up):
    """End this worker when its time is up, whatever it is doing, as time limits of task queues do."""

    def leave():
        time_is_up.acquire()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


# What happens.


def child(inherited, time_is_up):
    limit_time(time_is_up)
    count(inherited, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    session = Session(engine)
    insert(session, 1001)
    holder = hold_replies()
    time_is_up = multiprocessing.get_context("fork").Semaphore(0)
    worker = start_worker(child, session, time_is_up)
    wait_until_held(holder)
    time_is_up.release()
    wait_for(worker)
    release_reply(holder, hold=False)
    look_up(session, 2)


if __name__ == "__main__":
    main()
