"""Every connection is closed at the end of its unit of work, so none is open when the process forks.

Remedy. With `CONN_MAX_AGE` 0, Django's default, a connection is closed at the end of a request. A program without
requests marks the end of each unit of work with `close_old_connections()`. A process that forks between units shares
nothing. The cost is a connection, and with TLS a handshake, per unit of work, and the session's temporary tables,
settings and locks end with it. It protects only between units: forking inside one is `shared_in_turn`. Django's
`pool` option for PostgreSQL does the opposite: do not use it if processes fork.
https://docs.djangoproject.com/en/5.2/ref/databases/#connection-management

Points:
    connect: connections.databases["default"]["CONN_MAX_AGE"] = 0
    before: end_unit_of_work()
"""

import multiprocessing

from django.db import close_old_connections, connections

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.

connections.databases["default"]["CONN_MAX_AGE"] = 0  # in settings.DATABASES, or left out


def end_unit_of_work():
    """Close every connection that is too old, here all of them, as at the end of a request."""
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
