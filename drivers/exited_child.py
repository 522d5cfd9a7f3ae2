"""The child does not use the connection and exits via `sys.exit()`, as a program does.

Hazard. When a program calls `sys.exit()` or reaches its end, the interpreter deallocates its objects, the connection
included. mysqlclient sends `COM_QUIT` when a connection object is deallocated (`mysql_close()`), and the server ends
the parent's session. PyMySQL's finaliser only closes the child's copy of the descriptor, and the finalisers of
psycopg and psycopg2 do nothing in a process that did not open the connection: with these drivers the parent keeps its
session. A child that exits via `os._exit()`, as `multiprocessing` children do, deallocates nothing
(untouched_in_child).
"""

import os
import sys

from drivers.helper import connect, look_up, prepare, step, wait_for

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
    connection = connect()
    look_up(connection, 1)
    wait_for(start_worker(child))
    look_up(connection, 2)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
