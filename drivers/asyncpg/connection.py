"""asyncpg: the calls that only this driver has."""

from typing import Any
from urllib.parse import SplitResult

import asyncpg

#: How a statement's parameter is spelled.
PARAMETER = "$1"


async def connect_async(url: SplitResult) -> asyncpg.Connection:
    """Open a connection to the database of `url`; options that libpq takes stand in its query."""
    return await asyncpg.connect(url._replace(scheme="postgresql").geturl())


def session_id(connection: asyncpg.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.get_server_pid()


def descriptor(connection: asyncpg.Connection) -> int:
    """Return the file descriptor of the connection's socket.

    asyncpg 0.32 has no public way to it: `_transport` is asyncio's transport, which knows the socket.
    """
    return connection._transport.get_extra_info("socket").fileno()


async def fetch(connection: asyncpg.Connection, sql: str, *values: Any) -> Any:
    """Run a statement and return its first row, None if it has none."""
    return await connection.fetchrow(sql, *values)


async def begin(connection: asyncpg.Connection) -> None:
    """Begin a transaction. asyncpg has no `begin()`: this is what `transaction()` sends."""
    await connection.execute("BEGIN")


async def commit(connection: asyncpg.Connection) -> None:
    """Commit. asyncpg has no `commit()`: this is what a `Transaction` sends."""
    await connection.execute("COMMIT")


async def rollback(connection: asyncpg.Connection) -> None:
    """Roll back. asyncpg has no `rollback()`: this is what a `Transaction` sends."""
    await connection.execute("ROLLBACK")


async def close(connection: asyncpg.Connection) -> None:
    """Send `Terminate`, and wait until the connection is closed."""
    await connection.close()


def terminate(connection: asyncpg.Connection) -> None:
    """Close the connection without waiting for anything; asyncpg sends `Terminate` here too."""
    connection.terminate()


def transaction_state(connection: asyncpg.Connection) -> str:
    """Return what the server said of the transaction in the last reply this process read; sends nothing."""
    return "in transaction" if connection.is_in_transaction() else "no transaction"


def implementation(connection: asyncpg.Connection) -> str:
    """Return how the driver is built: in Cython, always."""
    return "cython"


def library(connection: asyncpg.Connection) -> str | None:
    """Return name and version of the C library underneath; there is none."""
    return None
