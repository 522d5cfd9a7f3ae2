"""A worker ends while its `UPDATE` on the inherited connection is in flight, and the parent runs a query.

Hazard. The confirmation of the `UPDATE` stays in the socket, and the parent's query reads it in place of its rows.
psycopg2 raises "no results to fetch", psycopg "the last operation didn't produce records". The MySQL drivers report
that the order does not exist, without an error. The rows that the parent asked for are still in flight: without TLS
the next query may read them.
"""

import multiprocessing
import os
import threading

from drivers.helper import (
    connect,
    hold_replies,
    look_up,
    prepare,
    release_reply,
    update,
    wait_for,
    wait_until_held,
)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
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
    update(inherited, 101)


def main():
    prepare()
    connection = connect()
    look_up(connection, 1)
    holder = hold_replies()
    time_is_up = multiprocessing.get_context("fork").Semaphore(0)
    worker = start_worker(child, connection, time_is_up)
    wait_until_held(holder)
    time_is_up.release()
    wait_for(worker)
    release_reply(holder, hold=False)
    look_up(connection, 2)


if __name__ == "__main__":
    main()
