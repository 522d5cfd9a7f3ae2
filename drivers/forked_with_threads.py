"""Another thread has a query in flight when the process forks, and the child uses the same connection.

Hazard. The fork copies the connection in mid-query, locks included, but not the thread that holds them, so nothing in
the child will ever release them. In the child mysqlclient raises at once ("This connection is already in use from
another thread"). psycopg and psycopg2 wait forever for the connection's lock, before they send anything. PyMySQL has
no lock: it sends the child's query and then waits forever for the lock of Python's buffered reader, which the thread
held. The reply is still in the socket when the parent next runs a query, and the parent reads the child's row as its
own, without an error.
"""

import multiprocessing
import threading

from drivers.helper import (
    connect,
    hold_replies,
    look_up,
    prepare,
    release_reply,
    wait_for,
    wait_until_held,
    wait_until_reading,
)

# The pattern.


def start_thread(work, *args):
    """Run `work(*args)` in a thread of this process."""
    thread = threading.Thread(target=work, args=args, name="report")
    thread.start()
    return thread


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def report(connection):
    look_up(connection, 2, held=True)


def child(inherited):
    look_up(inherited, 101)


def main():
    prepare()
    connection = connect()
    look_up(connection, 1)
    holder = hold_replies()
    thread = start_thread(report, connection)
    wait_until_held(holder)
    wait_until_reading(thread)
    worker = start_worker(child, connection)
    # It raises at once, or waits forever: after a second the parent stops waiting for it.
    worker.join(1)
    release_reply(holder)
    thread.join()
    look_up(connection, 3)
    wait_for(worker)


if __name__ == "__main__":
    main()
