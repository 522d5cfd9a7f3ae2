"""Using a connection in a process that did not open it raises an exception at once, with both pids in the message.

Remedy. Every use of the driver's connection goes through a thin wrapper that records which process opened it. A
query, commit, rollback or close in another process raises before anything is sent, and the message names both pids.
The child gets the exception at the line that makes the mistake; the parent keeps its session and its open
transaction. The cost is a `getpid()` per use. This finds the mistake and does not fix it: the child still needs its
own connection, which the other remedies provide.

Cursors that were open before the fork are not wrapped. An interpreter that exits still deallocates the inherited
connection, which with mysqlclient ends the parent's session. Call `install()` once, in an `AppConfig.ready()`.
`execute_wrapper()` is not enough: commits, rollbacks and closes do not pass through it. Django does not document that
it accepts a wrapper instead of the driver's connection; this was run with Django 5.2.

Points:
    connect: install()
"""

import multiprocessing
import os
from typing import Any, ClassVar

from django.db import connection, transaction
from django.db.backends.signals import connection_created

from django_examples.helper import insert, look_up, prepare, step, wait_for

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


def own(connection, **_):
    """Wrap a connection that Django has just opened."""
    connection.connection = OwnedConnection(connection.connection)


def install():
    """Guard every connection that Django opens from now on."""
    connection_created.connect(own)


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    look_up(101)
    step("commit", transaction.commit)
    step("close", connection.close)
    look_up(102)


def main():
    install()
    prepare()
    step("begin", transaction.set_autocommit, False)
    look_up(1)
    insert(1001)
    wait_for(start_worker(child))
    look_up(2)
    step("rollback", transaction.rollback)
    look_up(3)


if __name__ == "__main__":
    main()
