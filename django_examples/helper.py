"""What the Django examples share: a project that is set up, orders to look up, and a transcript.

The table `orders` holds the orders 1 to 499. The parent asks for orders below 100, child 1 for 101 to 199,
child 2 for 201 to 299 and so on, so that an order somebody else asked for is another process's answer.
Orders that an example writes are numbered from 1001.

Each step prints one line when it begins and one when it ends:

    12:30:01.500125 child 1  4712 look up 101
    12:30:01.500871 child 1  4712 look up 101: order 101, session 33

that is: time (UTC), process, its pid, the step and what it is about, then its result: `order N, session S`,
`nothing` where the answer held no row, `done`, or `raised` with the exception, its code and its first line.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import django
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections, models

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{__package__}.settings")
django.setup()

from .models import Order  # noqa: E402 - models can be imported only once Django is set up

ORDERS = 499


# Orders.


class ServerSession(models.Func):
    """The id of the server session that a query runs on."""

    output_field = models.BigIntegerField()

    def as_mysql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Compile for MySQL and MariaDB."""
        return "CONNECTION_ID()", []

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Compile for PostgreSQL."""
        return "pg_backend_pid()", []


class Held(models.Func):
    """What a query is annotated with to be answered only once nobody holds answers back."""

    output_field = models.TextField()

    def as_mysql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Compile for MySQL and MariaDB."""
        return "GET_LOCK(DATABASE(), 60) AND RELEASE_LOCK(DATABASE())", []

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Compile for PostgreSQL."""
        return "pg_advisory_xact_lock(1)", []


def look_up(number: int, using: str = DEFAULT_DB_ALIAS, *, held: bool = False) -> int | None:
    """Ask for one order and return the number of the order that came back.

    The answer to a `held` question stays on the server until it is released.
    """

    def ask() -> Order | None:
        orders = Order.objects.using(using).annotate(session=ServerSession())
        if held:
            orders = orders.annotate(held=Held())
        return orders.filter(pk=number).first()

    return step("look up", ask, about=number, result=_answer)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return step("read", next, rows, about=number, result=_answer)


def hold_answers() -> Any:
    """Have the server hold back its answers to `held` questions, and return the connection that sees to it."""

    def hold() -> Any:
        holder = connections.create_connection(DEFAULT_DB_ALIAS)
        with holder.cursor() as cursor:
            cursor.execute(_hold(holder))
        return holder

    return step("hold answers", hold)


def wait_until_asked(holder: Any) -> None:
    """Wait until somebody's answer is held."""

    def watch() -> None:
        while not _sessions(holder)[0]:
            time.sleep(0.01)

    step("watch", watch)


def release_answer(holder: Any) -> None:
    """Let one held answer go, as soon as there is one; where no other session is left, hold back none any more."""

    def release() -> None:
        held, others = _sessions(holder)
        while others and not held:
            time.sleep(0.01)
            held, others = _sessions(holder)
        # In between, the session that waits for the lock has got it and given it back.
        statements = [_release(holder), _hold(holder)] if held else [_release(holder)]
        with holder.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    step("release answer", release)


def _hold(holder: Any) -> str:
    return "SELECT pg_advisory_lock(1)" if holder.vendor == "postgresql" else "SELECT GET_LOCK(DATABASE(), 60)"


def _release(holder: Any) -> str:
    return "SELECT pg_advisory_unlock(1)" if holder.vendor == "postgresql" else "SELECT RELEASE_LOCK(DATABASE())"


def _sessions(holder: Any) -> tuple[int, int]:
    """Return how many sessions' answers are held, and how many other sessions there are."""
    query = """
        SELECT COUNT(CASE WHEN state = 'User lock' THEN 1 END), COUNT(*) FROM information_schema.processlist
        WHERE db = DATABASE() AND id <> CONNECTION_ID()"""
    if holder.vendor == "postgresql":
        query = """
            SELECT COUNT(*) FILTER (WHERE wait_event = 'advisory'), COUNT(*) FROM pg_stat_activity
            WHERE datname = current_catalog AND pid <> pg_backend_pid()"""
    with holder.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def insert(number: int) -> None:
    """Write one new order, in whatever transaction the connection is in."""
    step("insert", Order.objects.create, about=number, id=number, item="new")


def check_out(using: str) -> None:
    """Take a connection out of the alias's pool, and print whose session it is without asking the server."""

    def session(_: None) -> tuple[None, str]:
        return None, f"done, session {connections[using].connection.info.backend_pid}"

    step("check out", connections[using].ensure_connection, result=session)


def show_transaction() -> None:
    """Print what Django believes of the connection's transaction, without asking the server."""

    def state() -> str:
        autocommit = "on" if connection.autocommit else "off"
        return f"autocommit {autocommit}, {'in' if connection.in_atomic_block else 'no'} atomic block"

    step("transaction state", state, result=lambda state: (None, state))


def _answer(order: Any) -> tuple[Any, str]:
    if order is None:
        return None, "nothing"
    return order.id, f"order {order.id}, session {order.session}"


def prepare() -> None:
    """Create and fill the table `orders` where it is missing, on a connection that is closed again."""

    def fill() -> str:
        call_command("migrate", verbosity=0)
        if not Order.objects.exists():
            Order.objects.bulk_create(Order(id=number, item=f"order {number}") for number in range(1, ORDERS + 1))
        transport = _transport()
        connections.close_all()
        return transport

    step("prepare", fill, result=lambda transport: (None, f"done, over {transport}"))


def _transport() -> str:
    """Return how the session reaches the server, as the server says: `tcp`, `tls` or `unix`."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT ssl, inet_server_addr() FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            encrypted, address = cursor.fetchone()
            return "tls" if encrypted else "tcp" if address else "unix"
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        if cursor.fetchone()[1]:
            return "tls"
        cursor.execute("SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()")
        return "tcp" if ":" in cursor.fetchone()[0] else "unix"


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
    kind, cause = type(error), error.__cause__ or error
    code = getattr(cause, "sqlstate", None) or (
        cause.args[0] if cause.args and isinstance(cause.args[0], int) else None
    )
    text = str(cause.args[1] if code and len(cause.args) > 1 else cause).strip().partition("\n")[0]
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
