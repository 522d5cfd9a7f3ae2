"""The child closes the inherited connections and opens its own; then the parent queries again.

Hazard. Don't do this: closing an inherited connection in the child ends the parent's session. `close()` sends the
termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`), and the server ends the session for both processes.
The child can still query, on its own connection; the parent gets an error.
"""

import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def close_inherited(engine):
    """Call this first in the worker: dispose of the inherited pool; the engine reconnects when it needs to."""
    engine.dispose()


# What happens.


def child(engine):
    step("close", close_inherited, engine)
    look_up(engine, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    look_up(engine, 1)
    wait_for(start_worker(child, engine))
    look_up(engine, 2)
    look_up(engine, 3)


if __name__ == "__main__":
    main()
