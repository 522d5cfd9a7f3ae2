"""Another thread has an open transaction on its own connection when the process forks; the child does not use it.

Hazard. Django keeps a connection per thread. That protects threads from one another, but not from a fork: in the
child the interpreter clears what belonged to threads that do not exist there, and the garbage collector finds the
connection. mysqlclient sends `COM_QUIT` when a connection object is deallocated (`mysql_close()`), so the server ends
the session that the thread in the parent is using, and its transaction. PyMySQL's finaliser only closes the child's
copy of the descriptor, and the finalisers of psycopg and psycopg2 do nothing in a process that did not open the
connection. A connection with a query in flight is not deallocated, because the thread's stack refers to it
(forked_with_threads).
"""

import gc
import multiprocessing
import threading
from contextlib import ExitStack

from django.db import transaction

from django_examples.helper import insert, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def write(written, forked):
    block = ExitStack()
    step("begin", block.enter_context, transaction.atomic())
    insert(1001)
    written.set()
    forked.wait()
    step("commit", block.close)


def child():
    # Python's garbage collector runs by itself sooner or later.
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
