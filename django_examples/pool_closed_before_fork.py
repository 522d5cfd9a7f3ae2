"""The parent closes its pool before it forks; Django opens a pool when a process next needs one.

Remedy. A pool that the parent has closed cannot be inherited. An inherited pool would be of no use: a fork does not
copy its worker threads. It costs the parent its sessions: temporary tables, settings and locks are gone, and each
process opens its own pool after the fork. `connection.close()` alone returns the connection to the pool and leaves
the pool open.

The pool is Django's option for PostgreSQL, see the alias `pooled` in settings.py. `close_pool()` is not
documented (Django 5.2.19).
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool

`close_pool()` joins the pool's threads, but they may still be exiting when it returns: only from Python 3.13 on does
`join()` wait until the operating system has ended a thread. When a thread ends, OpenSSL frees its data under a lock
of the whole process. A child that is forked at that moment inherits the lock in its locked state, and waits for it
forever when it connects with TLS. Therefore `close_connections` waits until Linux no longer lists the threads.
`init_thread_stop` in https://github.com/openssl/openssl/blob/master/crypto/initthread.c
https://github.com/python/cpython/issues/110829, https://github.com/openssl/openssl/issues/19066,

Needs: pool

Points:
    before: close_connections()
"""

import multiprocessing
import os
import threading
from pathlib import Path

from django.db import connections

from django_examples.helper import check_out, look_up, prepare, step, wait_for

# The pattern.


def close_connections():
    """Close all connections and pools, and wait until the pools' threads have ended."""
    leaving = {thread.native_id for thread in threading.enumerate()}
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    leaving -= {thread.native_id for thread in threading.enumerate()}
    for thread in leaving:
        while Path(f"/proc/self/task/{thread}").exists():
            os.sched_yield()


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection."""
    close_connections()
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    check_out("pooled")
    look_up(101, using="pooled")


def main():
    prepare()
    check_out("pooled")
    look_up(1, using="pooled")
    worker = step("fork", start_worker, child)
    check_out("pooled")
    look_up(2, using="pooled")
    wait_for(worker)
    look_up(3, using="pooled")
    step("close", close_connections)


if __name__ == "__main__":
    main()
