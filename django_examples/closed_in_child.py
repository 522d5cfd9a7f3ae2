"""The child closes the connection it inherited and opens its own; then the parent asks again.

Hazard. Closing says goodbye in the protocol (MySQL `COM_QUIT`, PostgreSQL `Terminate`), and the server ends the session
for both processes. The child is served, the parent is not.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import multiprocessing

from django.db import connection

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def close_inherited():
    """First thing in the worker: close the inherited connection; Django opens one when it is next needed."""
    connection.close()


# What happens.


def child():
    step("close", close_inherited)
    look_up(101)


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child))
    look_up(2)
    look_up(3)


if __name__ == "__main__":
    main()
