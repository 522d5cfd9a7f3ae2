"""The parent closes its connections before it forks; each process reconnects when it next runs a query.

Remedy. A connection that the parent has closed cannot be inherited. Closing sends the termination message (MySQL
`COM_QUIT`, PostgreSQL `Terminate`) and ends a session that no process needs any more. It needs no support from the
driver. It costs the parent its session: temporary tables, settings, locks and whatever was not committed are gone,
and the parent reconnects after the fork.

Points:
    before: connections.close_all()
"""

import multiprocessing

from django.db import connections

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection; Django connects when needed."""
    connections.close_all()
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    look_up(101)


def main():
    prepare()
    look_up(1)
    worker = step("fork", start_worker, child)
    look_up(2)
    wait_for(worker)
    look_up(3)


if __name__ == "__main__":
    main()
