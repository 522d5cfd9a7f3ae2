"""Using a connection in a process that did not open it raises an exception at once, with both pids in the message.

Remedy. Every use of the driver's connection goes through a thin wrapper that records which process opened it. A
query, commit, rollback or close in another process raises before anything is sent, and the message names both pids.
The child gets the exception at the line that makes the mistake; the parent keeps its session and its open
transaction. The cost is a `getpid()` per use. This finds the mistake and does not fix it: the child still needs its
own connection, which the other remedies provide.

Cursors that were open before the fork are not wrapped. An interpreter that exits still deallocates the inherited
connection, which with mysqlclient ends the parent's session. The pool's `checkout` event is not suitable: any
exception in it makes the pool close the connection, which ends the parent's session. Its `connect` event passes the
driver's own connection to SQLAlchemy's set-up, in which psycopg2's C functions reject a wrapper.

Points:
    connect: install()
"""

import multiprocessing
import os
from typing import Any, ClassVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import DATABASE_URL, insert, look_up, prepare, step, wait_for

# The pattern.


class ForkedConnectionError(RuntimeError):
    """A process used a connection that another process had opened."""


class OwnedConnection:
    """A driver's connection that raises ForkedConnectionError in every process but the one that opened it."""

    refused: ClassVar[list[Any]] = []  # kept: mysqlclient sends COM_QUIT on deallocation

    def __init__(self, connection):
        vars(self).update(_connection=connection, _owner=os.getpid())

    @property  # type: ignore[misc]  # object's is writable
    def __class__(self):  # psycopg asks `isinstance(connection, psycopg.Connection)`
        return type(self._connection)

    def _checked(self):
        if os.getpid() != self._owner:
            self.refused.append(self._connection)
            raise ForkedConnectionError(f"process {os.getpid()} used a connection of process {self._owner}")
        return self._connection

    def __getattr__(self, name):
        return getattr(self._checked(), name)

    def __setattr__(self, name, value):
        setattr(self._checked(), name, value)


def own(dbapi_connection, entry):
    """Put a guarded connection into the pool's entry, after SQLAlchemy has set up the driver's own."""
    entry.dbapi_connection = OwnedConnection(dbapi_connection)


def install():
    """Guard every connection that any engine opens from now on."""
    event.listen(Engine, "connect", own)


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child(engine, session):
    look_up(engine, 101)
    look_up(session, 102)
    step("commit", session.commit)
    step("close", session.close)
    step("dispose", engine.dispose)
    look_up(engine, 103)


def main():
    install()
    prepare()
    engine = create_engine(DATABASE_URL)
    session = Session(engine)
    look_up(session, 1)
    look_up(engine, 2)
    insert(session, 1001)
    wait_for(start_worker(child, engine, session))
    look_up(session, 3)
    step("rollback", session.rollback)
    look_up(engine, 4)


if __name__ == "__main__":
    main()
