"""No connection outlives its unit of work, so none is held while the process forks.

Remedy. With `CONN_MAX_AGE` 0, which is Django's default, a connection is closed at the end of a request; a
program that has no requests marks the ends of its units of work with `close_old_connections()`. What forks
between units has nothing to share. It costs a connection, and with TLS a handshake, per unit of work, and the
session's temporary tables, settings and locks end with it. It protects only between units: forking inside one
is `shared_in_turn`. Django's `pool` option for PostgreSQL is the opposite of it: leave that out where
processes fork.
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-management

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
pool_inherited, pool_closed_in_child
"""

import multiprocessing

from django.db import close_old_connections, connections

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.

connections.databases["default"]["CONN_MAX_AGE"] = 0  # in settings.DATABASES, or left out


def end_unit_of_work():
    """Close what has grown too old, which is every connection, as at the end of a request."""
    close_old_connections()


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    look_up(101)
    step("close", end_unit_of_work)


def main():
    prepare()
    look_up(1)
    step("close", end_unit_of_work)
    wait_for(start_worker(child))
    look_up(2)
    step("close", end_unit_of_work)


if __name__ == "__main__":
    main()
