"""The child drops the inherited connection without closing it, and opens its own.

Hazard. Dropping the last reference is enough to end the parent's session with mysqlclient: it calls `mysql_close()`
when a connection object is deallocated, in any process, which sends `COM_QUIT`. PyMySQL's finaliser only closes the
child's copy of the descriptor. The finalisers of psycopg and psycopg2 do nothing in a process that did not open the
connection, and leave its descriptor open. With these drivers the parent keeps its session.
"""

import gc
import multiprocessing

from drivers.helper import connect, look_up, prepare, step, wait_for

# The pattern.

connection = None


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def drop_inherited():
    """Call this first in the worker: drop the inherited connection without closing it."""
    global connection
    connection = None


# What happens.


def child():
    step("drop", drop_inherited)
    step("collect", gc.collect)
    own = connect()
    look_up(own, 101)


def main():
    global connection
    prepare()
    connection = connect()
    look_up(connection, 1)
    wait_for(start_worker(child))
    look_up(connection, 2)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
