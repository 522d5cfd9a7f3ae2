"""The parent finds out by itself that a child has ended its session, and reconnects.

Remedy. With `pool_pre_ping` on, the pool checks at every checkout that the connection still works, and opens another
if it does not. A child that closed the inherited connection has ended the session, and the parent can still query.
The cost is a round trip per checkout, and it heals only at a checkout: temporary tables, settings and locks are gone,
as is the transaction of a connection that was checked out, and no error reports it. It does not help against a
connection that two processes use at once: such a connection passes the check.
https://docs.sqlalchemy.org/en/21/core/pooling.html#disconnect-handling-pessimistic

With mysqlclient over TLS the ping itself raises: MariaDB's client library reports the ended session as error 2026,
which SQLAlchemy (2.1.9) does not treat as a lost connection. The query raises, and the next one works. A listener for
the engine's `handle_error` event that sets `context.is_disconnect = True` for 2026 fixes that.

Points:
    connect: engine = create_engine(DATABASE_URL, pool_pre_ping=True)
"""

import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL, pool_pre_ping=True)


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    step("close", engine.dispose)
    look_up(engine, 101)


def main():
    prepare()
    look_up(engine, 1)
    look_up(engine, 2)
    wait_for(start_worker(child))
    look_up(engine, 3)
    look_up(engine, 4)


if __name__ == "__main__":
    main()
