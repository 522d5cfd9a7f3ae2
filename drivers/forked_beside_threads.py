"""Another thread has a transaction open on a connection of its own when the process forks; the child touches nothing.

Hazard. Threads that keep a connection each are safe from one another, not from a fork: the interpreter clears in the
child what belonged to threads that do not exist there, and the garbage collector gets the connection. mysqlclient says
goodbye when a connection object is deallocated (`mysql_close()`, `COM_QUIT`), so that the server ends the thread's
session in the parent, and its transaction. PyMySQL's finaliser only closes the child's copy of the descriptor, and
those of psycopg and psycopg2 leave a connection alone in a process that did not open it. A connection in the middle of
a question is spared, for the thread's stack refers to it (forked_with_threads).

Remedies: discarded_at_fork, spawned_children
"""

import gc
import multiprocessing
import threading

from drivers.helper import connect, insert, prepare, step, wait_for

# The pattern.

local = threading.local()


def thread_connection():
    """Return this thread's own connection; threads do not share theirs."""
    if not hasattr(local, "connection"):
        local.connection = connect(autocommit=False)
    return local.connection


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def write(written, forked):
    insert(thread_connection(), 1001)
    written.set()
    forked.wait()
    step("commit", thread_connection().commit)


def child():
    # Python's garbage collector comes by itself sooner or later.
    step("collect", gc.collect)


def main():
    prepare()
    written, forked = threading.Event(), threading.Event()
    thread = threading.Thread(target=write, args=(written, forked), name="writer")
    thread.start()
    written.wait()
    wait_for(start_worker(child))
    forked.set()
    thread.join()


if __name__ == "__main__":
    main()
