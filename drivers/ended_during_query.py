"""A worker ends while its query on the inherited connection is in flight, and the parent commits.

Hazard. A time limit ends the worker between query and reply, and the reply stays in the socket. The parent's `COMMIT`
reads that reply, because replies carry no request id. psycopg and mysqlclient accept the row as a confirmation. With
TLS the commit that they confirm never happens: the worker's query used a TLS sequence number, so the server rejects
what the parent sends after it, and order 1001 is lost without an error. psycopg2 raises "error with status
PGRES_TUPLES_OK and no message from the libpq" and PyMySQL raises error 2014, "Command Out of Sync"; without TLS order
1001 is still committed. From then on each query on the connection gets the reply to the previous one.
"""

import multiprocessing
import os
import threading

from drivers.helper import (
    connect,
    hold_replies,
    insert,
    look_up,
    prepare,
    release_reply,
    step,
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
    look_up(inherited, 101, held=True)


def main():
    prepare()
    connection = connect(autocommit=False)
    insert(connection, 1001)
    holder = hold_replies()
    time_is_up = multiprocessing.get_context("fork").Semaphore(0)
    worker = start_worker(child, connection, time_is_up)
    wait_until_held(holder)
    time_is_up.release()
    wait_for(worker)
    release_reply(holder)
    step("commit", connection.commit)


if __name__ == "__main__":
    main()
