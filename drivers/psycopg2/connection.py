"""psycopg2: the calls that only this driver has."""

from typing import Any
from urllib.parse import SplitResult

import psycopg2
import psycopg2.extensions

#: psycopg2 waits for replies in C, in no Python function; it takes the connection's lock before it sends a query.
READING = None

_STATES = {
    psycopg2.extensions.TRANSACTION_STATUS_IDLE: "IDLE",
    psycopg2.extensions.TRANSACTION_STATUS_ACTIVE: "ACTIVE",
    psycopg2.extensions.TRANSACTION_STATUS_INTRANS: "INTRANS",
    psycopg2.extensions.TRANSACTION_STATUS_INERROR: "INERROR",
    psycopg2.extensions.TRANSACTION_STATUS_UNKNOWN: "UNKNOWN",
}


def connect(url: SplitResult, *, autocommit: bool = True) -> Any:
    """Open a connection to the database of `url`; options that libpq takes stand in its query."""
    connection = psycopg2.connect(url._replace(scheme="postgresql").geturl())
    connection.autocommit = autocommit
    return connection


def session_id(connection: Any) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.get_backend_pid()


def descriptor(connection: Any) -> int:
    """Return the file descriptor of the connection's socket."""
    return connection.fileno()


def ping(connection: Any) -> None:
    """Wait for the reply to a query; raise an exception if there is none. psycopg2 has no `ping()`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def transaction_state(connection: Any) -> str:
    """Return what libpq believes of the transaction since it last heard from the server; sends nothing."""
    return _STATES[connection.get_transaction_status()]


def server_side_cursor(connection: Any) -> Any:
    """Return a cursor whose rows stay on the server until they are fetched; it needs a transaction."""
    return connection.cursor(name="orders")


def implementation(connection: Any) -> str:
    """Return how the driver is built: a C extension is all there is."""
    return "c"


def library(connection: Any) -> str | None:
    """Return name and version of the C library underneath."""
    version = psycopg2.extensions.libpq_version()
    return f"libpq {version // 10000}.{version % 10000}"
