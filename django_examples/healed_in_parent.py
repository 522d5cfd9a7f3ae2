"""The parent finds out by itself that a child has ended its session, and reconnects.

Remedy. With `CONN_HEALTH_CHECKS` on, Django checks before the first query of a request that the connection still
works, and opens another if it does not. A program without requests marks its units of work with
`close_old_connections()`. A child that closed the inherited connection has ended the session, and the parent can
still query. The cost is a round trip per unit of work, and it heals only between units: temporary tables, settings,
locks and an open transaction are gone, and no error reports it. It does not help against a connection that two
processes use at once: such a connection passes the check.
https://docs.djangoproject.com/en/5.2/ref/databases/#persistent-connections

Points:
    connect: connections.databases["default"]["CONN_HEALTH_CHECKS"] = True
    parent: start_unit_of_work()
"""

import multiprocessing

from django.db import close_old_connections, connection, connections

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.

connections.databases["default"]["CONN_HEALTH_CHECKS"] = True  # in settings.DATABASES


def start_unit_of_work():
    """Make the next query check its connection first, as at the start of a request."""
    close_old_connections()


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    step("close", connection.close)
    look_up(101)


def main():
    prepare()
    start_unit_of_work()
    look_up(1)
    start_unit_of_work()
    look_up(2)
    wait_for(start_worker(child))
    start_unit_of_work()
    look_up(3)
    start_unit_of_work()
    look_up(4)


if __name__ == "__main__":
    main()
