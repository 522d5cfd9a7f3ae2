"""What the Django examples share: a project that is set up, and orders to look up.

The table `orders` holds the orders 1 to 499. The parent looks up orders below 100, child 1 looks up 101 to 199,
child 2 looks up 201 to 299 and so on: an order that a process did not look up is another process's result.
Orders that an example writes are numbered from 1001.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import django
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, models

from example_support import replies, transcript
from example_support.driver import connection as driver
from example_support.driver import protocol
from example_support.identity import report_identity
from example_support.replies import release_reply, wait_until_held
from example_support.transcript import step, wait_for

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{__package__}.settings")
django.setup()

from .models import Order  # noqa: E402 - models can be imported only once Django is set up

__all__ = [
    "ServerSession",
    "check_out",
    "count",
    "descriptor",
    "hold_replies",
    "insert",
    "look_up",
    "prepare",
    "read",
    "release_reply",
    "show_transaction",
    "step",
    "update",
    "wait_for",
    "wait_until_held",
]

ORDERS = 499

# None if the driver has none; examples that need it say so.
descriptor: Any = getattr(driver, "descriptor", None)
# Django raises an exception of its own in place of the driver's.
transcript.original = lambda error: (isinstance(error, Error) and error.__cause__) or error


class ServerSession(models.Func):
    """The id of the server session that a query runs on."""

    template = protocol.SESSION_ID
    output_field = models.Field()  # no conversion of the value, as most fields have none


class Held(models.Func):
    """What a query is annotated with to wait until no session holds replies back."""

    template = protocol.HELD
    output_field = models.TextField()


def look_up(number: int, using: str = DEFAULT_DB_ALIAS, *, held: bool = False) -> int | None:
    """Look up one order, and return the number of the order that came.

    The reply to a `held` query stays on the server until it is released.
    """

    def ask() -> Any:
        orders = Order.objects.using(using).annotate(session=ServerSession())
        if held:
            orders = orders.annotate(held=Held())
        return _order(orders.filter(pk=number).first())

    return transcript.read_order("look up", ask, number)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return transcript.read_order("read", lambda: _order(next(rows)), number)


def _order(order: Any) -> tuple[Any, Any] | None:
    return None if order is None else (order.id, order.session)


def hold_replies() -> replies.Holder:
    """Have the server hold back its replies to `held` queries, and return what releases them."""
    return replies.hold_replies(lambda: _query(connections.create_connection(DEFAULT_DB_ALIAS)))


def insert(number: int) -> None:
    """Write one new order, in whatever transaction the connection is in."""
    step("insert", Order.objects.create, about=number, id=number, item="new")


def update(number: int) -> None:
    """Update one order; the reply stays on the server until it is released."""
    held = Order.objects.annotate(held=Held()).filter(pk=number, held__isnull=False)
    step("update", held.update, about=number, item="sold")


def count(number: int) -> None:
    """Count the orders with one number; the reply stays on the server until it is released."""
    step("count", Order.objects.annotate(held=Held()).filter(pk=number, held__isnull=False).count, about=number)


def check_out(using: str) -> None:
    """Take a connection out of the alias's pool, and report its session without querying the server."""

    def session(_: None) -> transcript.Result:
        return transcript.done(driver.session_id(connections[using].connection))

    step("check out", connections[using].ensure_connection, result=session)


def show_transaction() -> None:
    """Report the transaction state that Django records, without querying the server."""

    def state() -> str:
        autocommit = "on" if connection.autocommit else "off"
        return f"autocommit {autocommit}, {'in' if connection.in_atomic_block else 'no'} atomic block"

    step("transaction state", state, result=transcript.state)


def prepare() -> None:
    """Create and fill the table `orders` if there is none, on a connection that is closed again."""

    def fill() -> str:
        call_command("migrate", verbosity=0)
        if not Order.objects.exists():
            Order.objects.bulk_create(Order(id=number, item=f"order {number}") for number in range(1, ORDERS + 1))
        query = _query(connection)
        over = protocol.transport(query)
        report_identity(connection.connection, query, stack=f"Django {django.get_version()}")
        connections.close_all()
        return over

    step("prepare", fill, result=lambda over: transcript.done(text=over))


def _query(wrapper: Any) -> Callable[[str], Any]:
    """Return a function that runs a query on one of Django's connections and returns its only row."""

    def query(sql: str) -> Any:
        with wrapper.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()

    return query
