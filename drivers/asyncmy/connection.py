"""asyncmy: the calls that only this driver has."""

import ssl
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

import asyncmy
from asyncmy.constants import SERVER_STATUS

#: How a statement's parameter is spelled.
PARAMETER = "%s"


async def connect_async(url: SplitResult) -> asyncmy.Connection:
    """Open a connection to the database of `url`; options that the driver takes stand in its query."""
    options: dict[str, Any] = dict(parse_qsl(url.query))
    if ca := options.pop("ssl_ca", None):
        options["ssl"] = ssl.create_default_context(cafile=ca)
    return await asyncmy.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.lstrip("/"),
        autocommit=True,
        **options,
    )


def session_id(connection: asyncmy.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.thread_id()


def descriptor(connection: asyncmy.Connection) -> int:
    """Return the file descriptor of the connection's socket.

    asyncmy 0.2 has no public way to it: `_transport` is asyncio's transport, which knows the socket.
    """
    return connection._transport.get_extra_info("socket").fileno()


async def fetch(connection: asyncmy.Connection, sql: str, *values: Any) -> Any:
    """Run a statement and return its first row, None if it has none."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql, values or None)
        return await cursor.fetchone()


async def begin(connection: asyncmy.Connection) -> None:
    """Begin a transaction."""
    await connection.begin()


async def commit(connection: asyncmy.Connection) -> None:
    """Commit."""
    await connection.commit()


async def rollback(connection: asyncmy.Connection) -> None:
    """Roll back."""
    await connection.rollback()


async def close(connection: asyncmy.Connection) -> None:
    """Send `COM_QUIT` and close the connection; its `close()` does the second only."""
    await connection.ensure_closed()


def terminate(connection: asyncmy.Connection) -> None:
    """Close the connection without waiting for anything; asyncmy sends no `COM_QUIT` here."""
    connection.close()


def transaction_state(connection: asyncmy.Connection) -> str:
    """Return what the server said of the transaction in the last reply this process read; sends nothing."""
    status = connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    return "in transaction" if status else "no transaction"


def implementation(connection: asyncmy.Connection) -> str:
    """Return how the driver is built: in Cython, always."""
    return "cython"


def library(connection: asyncmy.Connection) -> str | None:
    """Return name and version of the C library underneath; there is none."""
    return None
