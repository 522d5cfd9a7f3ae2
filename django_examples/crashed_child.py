"""The child touches nothing and dies of an exception that nobody handles.

Hazard. An unhandled exception ends a program by the same way as `sys.exit()`: it deallocates what it holds, Django's
connection included, and mysqlclient says goodbye when a connection object is deallocated (`mysql_close()`, `COM_QUIT`):
the server ends the parent's session. So one failed job in a worker costs the parent its connection. PyMySQL's finaliser
only closes the child's copy of the descriptor, and those of psycopg and psycopg2 leave a connection alone in a process
that did not open it: with these the parent notices nothing. In a `multiprocessing` child an exception is caught and
the child leaves by `os._exit()`, which deallocates nothing.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
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
