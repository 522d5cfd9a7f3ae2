"""The child touches nothing and leaves as a program does, by `sys.exit()`.

Hazard. Leaving a program by `sys.exit()`, or at its end, deallocates what it holds, Django's connection included, and
mysqlclient says goodbye when a connection object is deallocated (`mysql_close()`, `COM_QUIT`): the server ends the
parent's session. PyMySQL's finaliser only closes the child's copy of the descriptor, and those of psycopg and psycopg2
leave a connection alone in a process that did not open it: with these the parent notices nothing. A child that
leaves by `os._exit()`, as `multiprocessing` has it, deallocates nothing (untouched_in_child).

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import os
import sys

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which ends when the work is done."""
    pid = os.fork()
    if pid == 0:
        work(*args)
        sys.exit()
    return pid


# What happens.


def child():
    step("work", sum, range(1000))


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child))
    look_up(2)
    look_up(3)


if __name__ == "__main__":
    main()
