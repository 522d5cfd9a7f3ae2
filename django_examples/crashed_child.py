"""The child does not use the connection and dies of an unhandled exception.

Hazard. An unhandled exception ends a program the same way as `sys.exit()`: the interpreter deallocates its objects,
Django's connection included. mysqlclient sends `COM_QUIT` when a connection object is deallocated (`mysql_close()`),
and the server ends the parent's session, so one failed job in a worker costs the parent its connection. PyMySQL's
finaliser only closes the child's copy of the descriptor, and the finalisers of psycopg and psycopg2 do nothing in a
process that did not open the connection: with these drivers the parent keeps its session. A `multiprocessing` child
catches the exception and exits via `os._exit()`, which deallocates nothing.
"""

import os

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which ends when the work is done."""
    pid = os.fork()
    if pid == 0:
        work(*args)
        os._exit(0)
    return pid


# What happens.


def child():
    step("work", sum, range(1000))
    raise RuntimeError("the work failed")


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child))
    look_up(2)
    look_up(3)


if __name__ == "__main__":
    main()
