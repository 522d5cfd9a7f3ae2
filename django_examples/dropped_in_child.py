"""The child lets go of the connection it inherited without closing it, and opens its own.

Hazard. `connection.connect()`, the obvious way to reconnect, puts a new connection in the old one's place without
closing that. Nobody closes anything, and yet mysqlclient says goodbye: it calls `mysql_close()` when a connection
object is deallocated, in whatever process that is, and the server ends the parent's session (`COM_QUIT`). PyMySQL's
finaliser only closes the child's copy of the descriptor, and those of psycopg and psycopg2 leave a connection alone,
descriptor and all, in a process that did not open it: with these the parent notices nothing. `connect()` is not
documented; this was seen with Django 5.2.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
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
    """First thing in the worker: connect anew, in the inherited connection's place; nothing is closed."""
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
