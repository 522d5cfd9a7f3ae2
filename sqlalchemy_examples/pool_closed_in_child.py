"""The child disposes of a pool that it inherited with idle connections; the parent continues, then checks one out.

Hazard. `Engine.dispose()` closes the pool's idle connections, which sends the termination message (MySQL `COM_QUIT`,
PostgreSQL `Terminate`), and the server ends their sessions for the parent as well. The connection that the parent has
checked out is not affected. The child can still query, on its own session. The parent's next connection from the pool
raises; SQLAlchemy then discards every connection in the pool, and the following one is new.
"""

import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, check_out, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def open_pool(engine):
    """Open two connections and return them, so that the pool holds idle connections."""
    with engine.connect(), engine.connect():
        pass


def close_inherited(engine):
    """Call this first in the worker: dispose of the inherited pool; the engine reconnects when it needs to."""
    engine.dispose()


# What happens.


def child(engine):
    step("close", close_inherited, engine)
    first = check_out(engine)
    look_up(first, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    step("open", open_pool, engine)
    first = check_out(engine)
    look_up(first, 1)
    wait_for(start_worker(child, engine))
    look_up(first, 2)
    second = check_out(engine)
    look_up(second, 3)
    third = check_out(engine)
    look_up(third, 4)


if __name__ == "__main__":
    main()
