"""psycopg 3: the calls that only this driver has. What is awaited is for its `AsyncConnection`."""

from typing import Any
from urllib.parse import SplitResult

import psycopg

#: The Python function, of the driver or called by it, that a thread is in while it waits for a reply.
READING = "wait"
#: How a statement's parameter is spelled.
PARAMETER = "%s"

#: What both kinds of connection have.
AnyConnection = psycopg.Connection | psycopg.AsyncConnection


def connect(url: SplitResult, *, autocommit: bool = True) -> psycopg.Connection:
    """Open a connection to the database of `url`; options that libpq takes stand in its query."""
    return psycopg.connect(url._replace(scheme="postgresql").geturl(), autocommit=autocommit)


async def connect_async(url: SplitResult) -> psycopg.AsyncConnection:
    """Open a connection for asyncio to the database of `url`; options that libpq takes stand in its query."""
    return await psycopg.AsyncConnection.connect(url._replace(scheme="postgresql").geturl(), autocommit=True)


def session_id(connection: AnyConnection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.info.backend_pid


def descriptor(connection: psycopg.Connection | psycopg.AsyncConnection) -> int:
    """Return the file descriptor of the connection's socket."""
    return connection.fileno()


async def fetch(connection: psycopg.AsyncConnection, sql: str, *values: Any) -> Any:
    """Run a statement and return its first row, None if it has none."""
    cursor = await connection.execute(sql, values or None)
    return await cursor.fetchone() if cursor.description else None


async def begin(connection: psycopg.AsyncConnection) -> None:
    """Begin a transaction on a connection with autocommit."""
    await connection.execute("BEGIN")


async def commit(connection: psycopg.AsyncConnection) -> None:
    """Commit."""
    await connection.commit()


async def rollback(connection: psycopg.AsyncConnection) -> None:
    """Roll back."""
    await connection.rollback()


async def close(connection: psycopg.AsyncConnection) -> None:
    """Send `Terminate` and close the connection."""
    await connection.close()


def ping(connection: psycopg.Connection) -> None:
    """Wait for the reply to an empty query; raise an exception if there is none. psycopg has no `ping()`."""
    connection.execute("")


def transaction_state(connection: AnyConnection) -> str:
    """Return what libpq believes of the transaction since it last heard from the server; sends nothing."""
    return connection.info.transaction_status.name


def server_side_cursor(connection: psycopg.Connection) -> psycopg.ServerCursor:
    """Return a cursor whose rows stay on the server until they are fetched; it needs a transaction."""
    return connection.cursor(name="orders")


def implementation(connection: AnyConnection) -> str:
    """Return how psycopg reaches libpq: `binary` (its wheel, with a libpq of its own), `c`, or `python` (ctypes)."""
    return psycopg.pq.__impl__


def library(connection: AnyConnection) -> str | None:
    """Return name and version of the C library underneath."""
    version = psycopg.pq.version()
    return f"libpq {version // 10000}.{version % 10000}"
