"""The child closes the connections it inherited and opens its own; then the parent asks again.

Hazard. Closing says goodbye in the protocol (MySQL `COM_QUIT`, PostgreSQL `Terminate`), and the server ends the session
for both processes. The child is served, the parent is not.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
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
    """First thing in the worker: dispose of the inherited pool; the engine connects when it is next needed."""
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
