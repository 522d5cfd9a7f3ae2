"""The child drops the inherited connection without closing it, and opens its own.

Hazard. `connection.connect()`, the obvious way to reconnect, replaces the old connection without closing it. With
mysqlclient this ends the parent's session: it calls `mysql_close()` when a connection object is deallocated, in any
process, which sends `COM_QUIT`. PyMySQL's finaliser only closes the child's copy of the descriptor. The finalisers of
psycopg and psycopg2 do nothing in a process that did not open the connection, and leave its descriptor open. With
these drivers the parent keeps its session. `connect()` is not documented; this was observed with Django 5.2.
"""

import gc
import multiprocessing

from django.db import connection

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def drop_inherited():
    """Call this first in the worker: replace the inherited connection without closing it."""
    connection.connect()


# What happens.


def child():
    step("drop", drop_inherited)
    step("collect", gc.collect)
    look_up(101)


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child))
    look_up(2)
    look_up(3)


if __name__ == "__main__":
    main()
