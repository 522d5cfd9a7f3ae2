"""A process that uses a connection it did not open is refused at once, with both pids in the message.

Remedy. Every use of the driver's connection goes through a thin wrapper that knows which process opened it: a
query, a commit, a rollback, a close in another process raises at once, before a byte is sent, and names both.
The child gets an exception that says what is wrong at the line that is wrong; the parent keeps its session
and its open transaction. It costs a `getpid()` per use, and the child must still be given a connection of its
own: this finds the mistake, the other remedies mend it.

Cursors that were open before the fork are not wrapped, and an interpreter that exits deallocates the refused
connection all the same, which with mysqlclient ends the parent's session. Call `install()` once, in an
`AppConfig.ready()`. `execute_wrapper()` would not do: commits, rollbacks and closes do not pass through it.
That Django is content with a wrapper in the place of the driver's connection is not promised; it was run with
Django 5.2.

Remedy for: shared_in_turn, shared_at_once, closed_in_child, closed_inside_transaction, committed_in_child,
rolled_back_in_child, ended_during_query
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

    refused: ClassVar[list[Any]] = []  # not to be deallocated: mysqlclient says goodbye when it is

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
    """Have every connection that Django opens from now on guarded."""
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
