"""The child closes the inherited session while its parent has written and not committed; the parent commits.

Hazard. `Session.close()` gives the connection back to the pool, for which SQLAlchemy rolls back (`ROLLBACK` on the
parent's session); `Engine.dispose()` then closes it, which says goodbye in the protocol (MySQL `COM_QUIT`,
PostgreSQL `Terminate`). The parent's order 1001 is rolled back. The parent's `Session` believes in its transaction
until it commits, and then raises. After a rollback it goes on, on a new connection: order 1002 is on the server
without the order before it.

Remedies: discarded_at_fork, refused_in_child, spawned_children
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
    """First thing in the worker: close the inherited session, which gives its connection back, and the pool."""
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
