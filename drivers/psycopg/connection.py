"""psycopg 3: the calls that only this driver has."""

from urllib.parse import SplitResult

import psycopg

#: The Python function, of the driver or called by it, that a thread is in while it waits for a reply.
READING = "wait"


def connect(url: SplitResult, *, autocommit: bool = True) -> psycopg.Connection:
    """Open a connection to the database of `url`; options that libpq takes stand in its query."""
    return psycopg.connect(url._replace(scheme="postgresql").geturl(), autocommit=autocommit)


def session_id(connection: psycopg.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.info.backend_pid


def descriptor(connection: psycopg.Connection) -> int:
    """Return the file descriptor of the connection's socket."""
    return connection.fileno()


def ping(connection: psycopg.Connection) -> None:
    """Wait for the reply to an empty query; raise an exception if there is none. psycopg has no `ping()`."""
    connection.execute("")


def transaction_state(connection: psycopg.Connection) -> str:
    """Return what libpq believes of the transaction since it last heard from the server; sends nothing."""
    return connection.info.transaction_status.name


def server_side_cursor(connection: psycopg.Connection) -> psycopg.ServerCursor:
    """Return a cursor whose rows stay on the server until they are fetched; it needs a transaction."""
    return connection.cursor(name="orders")


def implementation(connection: psycopg.Connection) -> str:
    """Return how psycopg reaches libpq: `binary` (its wheel, with a libpq of its own), `c`, or `python` (ctypes)."""
    return psycopg.pq.__impl__


def library(connection: psycopg.Connection) -> str | None:
    """Return name and version of the C library underneath."""
    version = psycopg.pq.version()
    return f"libpq {version // 10000}.{version % 10000}"
