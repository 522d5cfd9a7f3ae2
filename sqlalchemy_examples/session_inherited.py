"""The child uses a `Session` that it inherited with a checked-out connection and pending objects.

Hazard. `Engine.dispose(close=False)` gives the child a new pool, but does not replace a connection that is checked
out, as SQLAlchemy's manual says: the child's `Session` still holds the parent's. Its first query flushes the child's
copy of the pending order 1002 into the parent's transaction, and `Session.close()` sends `ROLLBACK` there. The parent
flushes its own 1002, and its commit is confirmed: order 1001 is gone.

With TLS the parent gets an error: what the child sent used TLS sequence numbers that the parent uses again, and the
parent's commit raises.

https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork
"""

import multiprocessing

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import (
    DATABASE_URL,
    Order,
    insert,
    look_up,
    prepare,
    show_transaction,
    step,
    wait_for,
)

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the session of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def take_over(engine):
    """Call this first in the worker, as SQLAlchemy's manual recommends: create a new pool, close nothing."""
    engine.dispose(close=False)


def finish(session):
    """Call this last in the worker, as in any function that is done with its session."""
    session.close()


# What happens.


def child(engine, session):
    step("dispose", take_over, engine)
    look_up(session, 101)
    look_up(session, 1002)
    step("close", finish, session)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    session = Session(engine)
    insert(session, 1001)
    look_up(session, 1)
    step("add", session.add, Order(id=1002, item="new"), about=1002)
    wait_for(start_worker(child, engine, session))
    show_transaction(session)
    step("commit", session.commit)
    look_up(session, 2)


if __name__ == "__main__":
    main()
