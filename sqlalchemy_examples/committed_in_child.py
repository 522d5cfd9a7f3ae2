"""The child commits in the inherited session, inside the parent's transaction; then the parent rolls back.

Hazard. The transaction belongs to the server session, and `COMMIT` ends it whichever process sends it. Only the child
reads the server's reply; the parent's `Session` still records an open transaction. So the parent's rollback is
confirmed, and order 1001 is on the server.

What happens to order 1002, written after that, depends on what begins a transaction. With mysqlclient and PyMySQL the
server does: autocommit is off in the session, the next statement begins the next transaction, and 1002 is rolled
back. psycopg sends `BEGIN` itself, but only if it knows of no open transaction. Here it still counts the old one as
open, so the server commits 1002 at once. The reply reports that no transaction is open, `rollback()` then sends
nothing, and both orders stay.

With TLS the parent's next write raises, because the child's `COMMIT` used a TLS sequence number that the parent uses
again. SQLAlchemy invalidates the connection, and the rollback that a program does next succeeds without reaching the
server: order 1001 is still committed.
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
    """Run `work(*args)` in a forked process, which uses the session of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def finish(session):
    """Call this last in the worker: commit, as with any session."""
    session.commit()


# What happens.


def child(inherited):
    show_transaction(inherited)
    step("commit", finish, inherited)
    show_transaction(inherited)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    session = Session(engine)
    look_up(session, 1)
    insert(session, 1001)
    show_transaction(session)
    wait_for(start_worker(child, session))
    show_transaction(session)
    insert(session, 1002)
    show_transaction(session)
    step("rollback", session.rollback)
    look_up(engine, 2)


if __name__ == "__main__":
    main()
