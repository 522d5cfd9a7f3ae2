"""The child closes the inherited session while the parent has an uncommitted write; then the parent commits.

Hazard. `Session.close()` returns the connection to the pool, and SQLAlchemy rolls it back first (`ROLLBACK` on the
parent's session). `Engine.dispose()` then closes it, which sends the termination message (MySQL `COM_QUIT`,
PostgreSQL `Terminate`). The parent's order 1001 is rolled back. The parent's `Session` still records an open
transaction until it commits, and then raises. After a rollback it continues on a new connection: order 1002 is on the
server without the order before it.
"""

import multiprocessing

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import (
    DATABASE_URL,
    insert,
    look_up,
    prepare,
    show_transaction,
    step,
    wait_for,
)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def close_inherited(session, engine):
    """Call this first in the worker: close the inherited session, which returns its connection, and the pool."""
    session.close()
    engine.dispose()


# What happens.


def child(session, engine):
    step("close", close_inherited, session, engine)
    look_up(engine, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    session = Session(engine)
    look_up(session, 1)
    insert(session, 1001)
    show_transaction(session)
    wait_for(start_worker(child, session, engine))
    show_transaction(session)
    step("commit", session.commit)
    show_transaction(session)
    step("rollback", session.rollback)
    insert(session, 1002)
    step("commit", session.commit)
    look_up(session, 2)


if __name__ == "__main__":
    main()
