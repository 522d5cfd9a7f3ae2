"""The parent closes its pool before it forks; Django opens one when it is next needed.

Remedy. A pool that is closed in the parent cannot be inherited, and neither can its worker threads, which no
fork copies. The parent pays with its sessions: temporary tables, settings and locks are gone, and each
process opens a pool of its own after the fork. `connection.close()` alone would give the connection back to
the pool and leave that open.

The pool is Django's option for PostgreSQL, see the alias `pooled` in settings.py. `close_pool()` is not
documented (Django 5.2.19).
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool

Drivers: psycopg

Remedy for: pool_inherited, pool_closed_in_child
"""

import multiprocessing

from django.db import connections

from django_examples.helper import check_out, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
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


if __name__ == "__main__":
    main()
