"""What the DB-API examples share: a connection from `DATABASE_URL`, orders to look up, and a transcript.

The table `orders` holds the orders 1 to 499. The parent asks for orders below 100, child 1 for 101 to 199,
child 2 for 201 to 299 and so on, so that an order somebody else asked for is another process's answer.
Orders that an example writes are numbered from 1001.

Each step prints one line when it begins and one when it ends:

    12:30:01.500125 child 1  4712 look up 101
    12:30:01.500871 child 1  4712 look up 101: order 101, session 33

that is: time (UTC), process, its pid, the step and what it is about, then its result: `order N, session S`,
`nothing` where the answer held no row, `done`, or `raised` with the exception, its code and its first line.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ORDERS = 499

_url = urlsplit(os.environ.get("DATABASE_URL") or sys.exit("DATABASE_URL is not set, e.g. postgresql://..."))


def _driver() -> Any:
    """Return the connection module of the driver that claims the URL's scheme in its driver.toml."""
    for facts in Path(__file__).parent.glob("*/driver.toml"):
        if _url.scheme in tomllib.loads(facts.read_text())["schemes"]:
            return importlib.import_module(f"{__package__}.{facts.parent.name}.connection")
    sys.exit(f"no driver here takes DATABASE_URLs that begin with {_url.scheme}://")


driver = _driver()


# Orders.


def connect(*, autocommit: bool = True) -> Any:
    """Open a connection with the driver that `DATABASE_URL` names."""
    return step("connect", driver.connect, _url, autocommit=autocommit, result=_session)


def check_out(pool: Any, **options: Any) -> Any:
    """Take a connection out of `pool`, and print whose session it is without asking the server."""
    return step("check out", pool.getconn, result=_session, **options)


def look_up(connection: Any, number: int, *, held: bool = False) -> int | None:
    """Ask for one order on `connection` and return the number of the order that came back.

    The answer to a `held` question stays on the server until it is released.
    """

    def ask() -> Any:
        columns = ["id", driver.SESSION_ID, *([driver.HELD] if held else [])]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(columns)} FROM orders WHERE id = %s", (number,))
            return cursor.fetchone()

    return step("look up", ask, about=number, result=_answer)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return step("read", next, rows, about=number, result=lambda row: _answer(row[:2]))


def hold_answers() -> Any:
    """Have the server hold back its answers to `held` questions, and return the connection that sees to it."""

    def hold() -> Any:
        holder = driver.connect(_url, autocommit=True)
        with holder.cursor() as cursor:
            cursor.execute(driver.HOLD)
            cursor.fetchone()
        return holder

    return step("hold answers", hold)


def wait_until_asked(holder: Any) -> None:
    """Wait until somebody's answer is held."""

    def watch() -> None:
        while not _sessions(holder)[0]:
            time.sleep(0.01)

    step("watch", watch)


def wait_until_reading(thread: threading.Thread) -> None:
    """Wait until a thread that has asked reads the answer, with whatever locks the driver then holds."""

    def functions() -> list[str]:
        frame = sys._current_frames().get(thread.ident or 0)
        return [frame.f_code.co_name for frame, _ in traceback.walk_stack(frame)] if frame else []

    while driver.READING not in functions():
        time.sleep(0.01)


def release_answer(holder: Any) -> None:
    """Let one held answer go, as soon as there is one; where no other session is left, hold back none any more."""

    def release() -> None:
        held, others = _sessions(holder)
        while others and not held:
            time.sleep(0.01)
            held, others = _sessions(holder)
        # In between, the session that waits for the lock has got it and given it back.
        statements = [driver.RELEASE, driver.HOLD] if held else [driver.RELEASE]
        with holder.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchone()

    step("release answer", release)


def _sessions(holder: Any) -> tuple[int, int]:
    """Return how many sessions' answers are held, and how many other sessions there are."""
    with holder.cursor() as cursor:
        cursor.execute(driver.WAITING)
        return cursor.fetchone()


def insert(connection: Any, number: int) -> None:
    """Write one new order on `connection`, in whatever transaction it is in."""

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders (id, item) VALUES (%s, %s)", (number, "new"))

    step("insert", write, about=number)


def show_transaction(connection: Any) -> None:
    """Print what the driver believes of the connection's transaction, without asking the server."""
    step("transaction state", driver.transaction_state, connection, result=lambda state: (None, state))


def _session(connection: Any) -> tuple[Any, str]:
    return connection, f"done, session {driver.session_id(connection)}"


def _answer(row: Any) -> tuple[Any, str]:
    if row is None:
        return None, "nothing"
    if len(row) in (2, 3) and all(isinstance(value, int) for value in row[:2]):
        return row[0], f"order {row[0]}, session {row[1]}"
    return None, f"row {row!r}"


def prepare() -> None:
    """Create and fill the table `orders` where it is missing, on a connection of its own."""

    def fill() -> str:
        connection = driver.connect(_url)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item VARCHAR(100) NOT NULL)")
            cursor.execute("SELECT COUNT(*) FROM orders")
            if cursor.fetchone()[0] == 0:
                rows = ", ".join(f"({number}, 'order {number}')" for number in range(1, ORDERS + 1))
                cursor.execute(f"INSERT INTO orders (id, item) VALUES {rows}")
            transport = driver.transport(cursor)
        connection.close()
        return transport

    step("prepare", fill, result=lambda transport: (None, f"done, over {transport}"))


# Transcript.


def step(
    action: str,
    function: Callable[..., Any],
    *arguments: Any,
    about: int | None = None,
    result: Callable[[Any], tuple[Any, str]] = lambda value: (value, "done"),
    **options: Any,
) -> Any:
    """Call `function`, print how it went, and return what it returned, or None where it raised."""
    what = action if about is None else f"{action} {about}"
    say(what)
    try:
        value, outcome = result(function(*arguments, **options))
    except Exception as error:
        value, outcome = None, f"raised {describe(error)}"
    say(f"{what}: {outcome}")
    return value


def say(text: str) -> None:
    """Print one line of the transcript in a single write, so that processes never mix within a line."""
    line = f"{datetime.now(UTC):%H:%M:%S.%f} {_who():<8} {os.getpid()} {text}\n"
    sys.stdout.flush()
    os.write(1, line.encode())


def describe(error: BaseException) -> str:
    """Return an exception's class, its code (MySQL error number or SQLSTATE) and the first line of its text."""
    kind = type(error)
    code = getattr(error, "sqlstate", None) or (
        error.args[0] if error.args and isinstance(error.args[0], int) else None
    )
    text = str(error.args[1] if code and len(error.args) > 1 else error).strip().partition("\n")[0]
    return " ".join(filter(None, [f"{kind.__module__}.{kind.__qualname__}", str(code or "")])) + f": {text}"


_parent = os.getpid()
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(before=_count_fork)


def _who() -> str:
    """Name this process as its parent counts it: children are numbered in the order they are started."""
    if multiprocessing.parent_process() is not None:
        who = "child " + multiprocessing.current_process().name.rpartition("-")[2]
    else:
        who = "parent" if os.getpid() == _parent else f"child {_forks}"
    thread = threading.current_thread()
    return who if thread is threading.main_thread() else f"{who}/{thread.name}"


def wait_for(child: Any) -> None:
    """Wait for a child, a `Process` or the pid of a fork, and print how it left."""

    def wait() -> int:
        if isinstance(child, int):
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child.join()
        return child.exitcode

    step(
        "wait",
        wait,
        result=lambda code: (code, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"),
    )
