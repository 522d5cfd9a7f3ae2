"""The child lets go of the connection it inherited without closing it, and opens its own.

Hazard. The last reference goes. Nobody closes anything, and yet mysqlclient says goodbye: it calls `mysql_close()` when
a connection object is deallocated, in whatever process that is, and the server ends the parent's session (`COM_QUIT`).
PyMySQL's finaliser only closes the child's copy of the descriptor, and those of psycopg and psycopg2 leave a connection
alone, descriptor and all, in a process that did not open it: with these the parent notices nothing.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
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
    """First thing in the worker: forget the inherited connection; nothing is closed."""
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
