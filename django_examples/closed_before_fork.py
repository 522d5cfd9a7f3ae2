"""The parent closes its connections before it forks; everybody connects when they next ask.

Remedy. A connection that is closed in the parent cannot be inherited, and the goodbye that closing says
(MySQL `COM_QUIT`, PostgreSQL `Terminate`) ends a session that nobody needs any more. It asks nothing of the
driver. The parent pays with its session: temporary tables, settings, locks and whatever it had not committed
are gone, and it connects anew after the fork.

Points:
    before: connections.close_all()

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
untouched_in_child, forked_while_reading
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
