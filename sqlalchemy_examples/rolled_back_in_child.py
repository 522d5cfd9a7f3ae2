"""The child rolls back the inherited session, inside the parent's transaction; then the parent commits.

Hazard. The transaction belongs to the server session, and `ROLLBACK` ends it whichever process sends it. Only the
child reads the server's reply; the parent's `Session` still records an open transaction. So the parent's commit is
confirmed, and order 1001 is gone.

Order 1002, written after that, stays. With mysqlclient and PyMySQL it is in the next transaction, which the server
began, and is committed. psycopg still counts the old transaction as open and sends no `BEGIN`, so the server commits
1002 at once. The reply reports that no transaction is open, and `commit()` then sends nothing. Half of a transaction
is on the server.

With TLS the parent gets an error: the child's `ROLLBACK` used a TLS sequence number that the parent uses again, so
the parent's next write raises, and so does the commit.
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


def give_up(session):
    """Call this last in a worker whose task failed: roll back, as with any session."""
    session.rollback()


# What happens.


def child(inherited):
    show_transaction(inherited)
    step("rollback", give_up, inherited)
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
    step("commit", session.commit)
    look_up(engine, 2)


if __name__ == "__main__":
    main()
