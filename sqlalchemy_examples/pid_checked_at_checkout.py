"""The pool compares pids at every checkout, and replaces a connection that another process opened.

Remedy. The fourth of the approaches in SQLAlchemy's manual. The `connect` event records the pid. The `checkout` event
compares it, empties the pool's entry without closing the connection, and raises `DisconnectionError`, and the pool
opens another connection. With PyMySQL and psycopg the parent keeps its session. With mysqlclient it does not: the
connection is dropped from the entry and deallocated, and mysqlclient then sends `COM_QUIT`; use `discarded_at_fork`
instead. The cost is a `getpid()` per checkout. A connection that is checked out when the process forks is not checked
again.
https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork

Points:
    start: check_owners()
"""

import multiprocessing
import os

from sqlalchemy import Pool, create_engine, event
from sqlalchemy.exc import DisconnectionError

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)


def check_owners():
    """Call this once, before any engine opens its first connection."""
    event.listen(Pool, "connect", note_owner)
    event.listen(Pool, "checkout", check_owner)


def note_owner(dbapi_connection, entry):
    """Record which process opened the connection."""
    entry.info["pid"] = os.getpid()


def check_owner(dbapi_connection, entry, checkout):
    """Have the pool replace a connection that another process opened, without closing it."""
    if entry.info["pid"] != os.getpid():
        entry.dbapi_connection = checkout.dbapi_connection = None
        raise DisconnectionError(f"opened by process {entry.info['pid']}, asked for in {os.getpid()}")


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    look_up(engine, 101)


def main():
    check_owners()
    prepare()
    look_up(engine, 1)
    wait_for(start_worker(child))
    look_up(engine, 2)
    look_up(engine, 3)


if __name__ == "__main__":
    main()
