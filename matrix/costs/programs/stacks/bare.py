"""A driver by itself."""

from contextlib import closing
from typing import Any

from drivers.helper import prepare
from example_support.driver import connection as driver
from example_support.driver import url

__all__ = ["TITLES", "WAYS", "close", "connect", "look_up", "open_connections", "prepare"]

_connection: Any = None


def connect() -> Any:
    """Open a connection."""
    return driver.connect(url)


def close(connection: Any) -> None:
    """Close a connection."""
    connection.close()


def look_up(number: int) -> None:
    """Look up an order on a connection that stays open."""
    _query(_opened(), number)


def _look_up_after_ping(number: int) -> None:
    driver.ping(_opened())
    _query(_opened(), number)


def _look_up_on_new_connection(number: int) -> None:
    with closing(connect()) as connection:
        _query(connection, number)


def _opened() -> Any:
    global _connection  # noqa: PLW0603 - the process's one connection
    if _connection is None:
        _connection = connect()
    return _connection


def _query(connection: Any, number: int) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT id, item FROM orders WHERE id = %s", (number,))
        assert cursor.fetchone()[0] == number


WAYS = {"open": look_up, "health_check": _look_up_after_ping, "connect": _look_up_on_new_connection}
TITLES = {
    "open": "one connection, kept open",
    "health_check": "a ping before the query",
    "connect": "a connection for each query",
}


def open_connections(count: int) -> list[Any]:
    """Open connections that forked processes discard, and return them."""
    from drivers.discarded_at_fork import discard_at_fork  # noqa: PLC0415 - only one program needs the pattern

    return [discard_at_fork(connect()) for _ in range(count)]  # type: ignore[no-untyped-call]  # code to paste
