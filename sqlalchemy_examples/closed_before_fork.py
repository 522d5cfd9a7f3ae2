"""The parent disposes of its pool before it forks; each process reconnects when it next runs a query.

Remedy. A connection that the parent has closed cannot be inherited. Closing sends the termination message (MySQL
`COM_QUIT`, PostgreSQL `Terminate`) and ends a session that no process needs any more. It needs no support from the
driver. It costs the parent its sessions: temporary tables, settings and locks are gone, and the parent reconnects
after the fork. `dispose()` closes only what is in the pool: a connection that is checked out when the process forks
stays open and is inherited.
https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork

Points:
    before: engine.dispose()
"""

import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

engine = create_engine(DATABASE_URL)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process that inherits no connection; the engine connects when needed."""
    engine.dispose()
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    look_up(engine, 101)


def main():
    prepare()
    look_up(engine, 1)
    worker = step("fork", start_worker, child)
    look_up(engine, 2)
    wait_for(worker)
    look_up(engine, 3)


if __name__ == "__main__":
    main()
