"""The child commits in the inherited session, inside its parent's transaction; the parent rolls back.

Hazard. The transaction is the server session's, and `COMMIT` ends it whoever sends it. The server answers the
child; the parent's `Session` goes on believing that it is in a transaction. So the parent's rollback is confirmed,
and order 1001 is on the server.

Order 1002, written after that, depends on who begins transactions. With mysqlclient and PyMySQL the server does:
autocommit is off in the session, the next statement begins the next transaction, and 1002 is rolled back. psycopg
sends `BEGIN` itself, where it believes that none is open. It believes in the one that is gone, so the server
commits 1002 at once; the reply says so, and `rollback()` then sends nothing: both orders stay.

With TLS the parent's next write raises, for the child's `COMMIT` used up a record number that the parent uses
again. SQLAlchemy gives the connection up, and the rollback that a program does next is confirmed, without a
server to roll back on: order 1001 is committed all the same.

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
    """Run `work(*args)` in a forked process, which uses the session of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def finish(session):
    """Last thing in the worker: commit, as with any session."""
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
