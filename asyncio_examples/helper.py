"""What the asyncio examples share: a connection from `DATABASE_URL`, and orders to look up.

The table `orders` holds the orders 1 to 499. The parent looks up orders below 100, child 1 looks up 101 to 199,
child 2 looks up 201 to 299 and so on: an order that a process did not look up is another process's result.
Orders that an example writes are numbered from 1001.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from example_support import replies, transcript
from example_support.driver import connection as driver
from example_support.driver import protocol, url, use
from example_support.epoll import watched
from example_support.identity import report_identity
from example_support.replies import release_reply, wait_until_held
from example_support.transcript import async_step, step, wait_for

__all__ = [
    "async_step",
    "begin",
    "close",
    "commit",
    "connect",
    "descriptor",
    "hold_replies",
    "insert",
    "look_up",
    "prepare",
    "release_reply",
    "rollback",
    "show_transaction",
    "show_watched",
    "step",
    "terminate",
    "wait_for",
    "wait_until_held",
    "wait_until_loop_waits",
]

ORDERS = 499

use("asyncio")
begin = driver.begin
close = driver.close
commit = driver.commit
rollback = driver.rollback
# Not every driver has these; examples say which of them they need.
descriptor: Any = getattr(driver, "descriptor", None)
terminate: Any = getattr(driver, "terminate", None)


async def connect() -> Any:
    """Open a connection with the driver that `DATABASE_URL` names; each statement is a transaction of its own."""
    return await async_step("connect", driver.connect_async, url, result=_session)


def _session(connection: Any) -> transcript.Result:
    return transcript.done(driver.session_id(connection))


async def look_up(connection: Any, number: int, *, held: bool = False) -> int | None:
    """Look up one order on `connection`, and return the number of the order that came.

    The reply to a `held` query stays on the server until it is released.
    """

    async def ask() -> Any:
        columns = ["id", protocol.SESSION_ID, *([protocol.HELD] if held else [])]
        sql = f"SELECT {', '.join(columns)} FROM orders WHERE id = {driver.PARAMETER}"
        row = await driver.fetch(connection, sql, number)
        return row and tuple(row)[:2]

    return await transcript.async_read_order("look up", ask, number)


def hold_replies() -> replies.Holder:
    """Have the server hold back its replies to `held` queries, and return what releases them.

    That waits on a loop of its own, and so works only where no other loop runs.
    """
    return replies.hold_replies(lambda: _connect_and_query()[1])


async def insert(connection: Any, number: int) -> None:
    """Write one new order on `connection`, in whatever transaction it is in."""
    sql = f"INSERT INTO orders (id, item) VALUES ({number}, 'new')"
    await async_step("insert", driver.fetch, connection, sql, about=number)


def show_transaction(connection: Any) -> None:
    """Report the transaction state that the driver records, without querying the server."""
    step("transaction state", driver.transaction_state, connection, result=transcript.state)


def show_watched(connection: Any) -> None:
    """Report whether an epoll instance of this process watches the connection's socket, as the kernel lists it."""

    def state() -> str:
        return "watched" if watched(descriptor(connection)) else "not watched"

    step("epoll", state, result=transcript.state)


def wait_until_loop_waits() -> None:
    """Wait, in another thread, until the main thread's loop waits for events: by then only an event wakes it."""

    def function() -> str:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        return frame.f_code.co_name if frame else ""

    while function() != "select":
        time.sleep(0.001)


def prepare() -> None:
    """Create and fill the table `orders` if there is none, on a connection and a loop of its own."""

    def fill() -> str:
        with asyncio.Runner() as runner:
            connection, query = _connect_and_query(runner)
            query("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item VARCHAR(100) NOT NULL)")
            if query("SELECT COUNT(*) FROM orders")[0] == 0:
                rows = ", ".join(f"({number}, 'order {number}')" for number in range(1, ORDERS + 1))
                query(f"INSERT INTO orders (id, item) VALUES {rows}")
            over = protocol.transport(query)
            report_identity(connection, query, stack="asyncio")
            runner.run(driver.close(connection))
        return over

    step("prepare", fill, result=lambda over: transcript.done(text=over))


def _connect_and_query(runner: asyncio.Runner | None = None) -> tuple[Any, Callable[[str], Any]]:
    """Open a connection on a loop of its own; return it, and a function that runs a query and returns its only row."""
    runner = runner or asyncio.Runner()
    connection = runner.run(driver.connect_async(url))
    return connection, lambda sql: runner.run(driver.fetch(connection, sql))
