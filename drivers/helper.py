"""What the DB-API examples share: a connection from `DATABASE_URL`, and orders to look up.

The table `orders` holds the orders 1 to 499. The parent looks up orders below 100, child 1 looks up 101 to 199,
child 2 looks up 201 to 299 and so on: an order that a process did not look up is another process's result.
Orders that an example writes are numbered from 1001.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from example_support import replies, transcript
from example_support.driver import connection as driver
from example_support.driver import protocol, url, use
from example_support.identity import report_identity
from example_support.replies import release_reply, wait_until_held
from example_support.transcript import step, wait_for

__all__ = [
    "SESSION_ID",
    "check_out",
    "connect",
    "count",
    "descriptor",
    "hold_replies",
    "insert",
    "look_up",
    "ping",
    "prepare",
    "read",
    "release_reply",
    "server_side_cursor",
    "show_transaction",
    "step",
    "update",
    "wait_for",
    "wait_until_held",
    "wait_until_reading",
]

ORDERS = 499
SESSION_ID = protocol.SESSION_ID

use("bare")
ping = driver.ping
# Not every driver has these; examples say which of them they need.
descriptor: Any = getattr(driver, "descriptor", None)
server_side_cursor: Any = getattr(driver, "server_side_cursor", None)


def connect(*, autocommit: bool = True) -> Any:
    """Open a connection with the driver that `DATABASE_URL` names."""
    return step("connect", driver.connect, url, autocommit=autocommit, result=_session)


def check_out(pool: Any, **options: Any) -> Any:
    """Take a connection out of `pool`, and report its session without querying the server."""
    return step("check out", pool.getconn, result=_session, **options)


def _session(connection: Any) -> transcript.Result:
    return transcript.done(driver.session_id(connection))


def look_up(connection: Any, number: int, *, held: bool = False) -> int | None:
    """Look up one order on `connection`, and return the number of the order that came.

    The reply to a `held` query stays on the server until it is released.
    """

    def ask() -> Any:
        columns = ["id", protocol.SESSION_ID, *([protocol.HELD] if held else [])]
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT {', '.join(columns)} FROM orders WHERE id = %s", (number,))
            return _order(cursor.fetchone())

    return transcript.read_order("look up", ask, number)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return transcript.read_order("read", lambda: _order(next(rows)), number)


def _order(row: Any) -> Any:
    """Return a row without the columns that come after the order's number and the session."""
    return row[:2] if row is not None and len(row) == 3 else row


def hold_replies() -> replies.Holder:
    """Have the server hold back its replies to `held` queries, and return what releases them."""
    return replies.hold_replies(lambda: _query(driver.connect(url, autocommit=True)))


def wait_until_reading(thread: threading.Thread) -> None:
    """Wait until a thread that has sent a query reads the reply, with whatever locks the driver then holds.

    A driver in C that takes its lock before it sends has no `READING`, and there is nothing to wait for.
    """

    def functions() -> list[str]:
        frame = sys._current_frames().get(thread.ident or 0)
        return [frame.f_code.co_name for frame, _ in traceback.walk_stack(frame)] if frame else []

    while driver.READING and driver.READING not in functions():
        time.sleep(0.01)


def insert(connection: Any, number: int) -> None:
    """Write one new order on `connection`, in whatever transaction it is in."""

    def write() -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute("INSERT INTO orders (id, item) VALUES (%s, %s)", (number, "new"))

    step("insert", write, about=number)


def update(connection: Any, number: int) -> None:
    """Update one order; the reply stays on the server until it is released."""

    def write() -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(
                f"UPDATE orders SET item = %s WHERE id = %s AND {protocol.HELD} IS NOT NULL", ("sold", number)
            )

    step("update", write, about=number)


def count(connection: Any, number: int) -> None:
    """Count the orders with one number; the reply stays on the server until it is released."""

    def ask() -> Any:
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM orders WHERE id = %s AND {protocol.HELD} IS NOT NULL", (number,))
            return cursor.fetchone()

    step("count", ask, about=number)


def show_transaction(connection: Any) -> None:
    """Report the transaction state that the driver records, without querying the server."""
    step("transaction state", driver.transaction_state, connection, result=transcript.state)


def prepare() -> None:
    """Create and fill the table `orders` if there is none, on a connection of its own."""

    def fill() -> str:
        connection = driver.connect(url)
        query = _query(connection)
        with closing(connection.cursor()) as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item VARCHAR(100) NOT NULL)")
            if query("SELECT COUNT(*) FROM orders")[0] == 0:
                rows = ", ".join(f"({number}, 'order {number}')" for number in range(1, ORDERS + 1))
                cursor.execute(f"INSERT INTO orders (id, item) VALUES {rows}")
        over = protocol.transport(query)
        report_identity(connection, query, stack="bare")
        connection.close()
        return over

    step("prepare", fill, result=lambda over: transcript.done(text=over))


def _query(connection: Any) -> Callable[[str], Any]:
    """Return a function that runs a query on `connection` and returns its only row."""

    def query(sql: str) -> Any:
        with closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return cursor.fetchone()

    return query
