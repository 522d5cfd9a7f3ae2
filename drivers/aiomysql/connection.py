"""aiomysql: the calls that only this driver has."""

import ssl
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

import aiomysql
from pymysql.constants import SERVER_STATUS

#: How a statement's parameter is spelled.
PARAMETER = "%s"


async def connect_async(url: SplitResult) -> aiomysql.Connection:
    """Open a connection to the database of `url`; options that the driver takes stand in its query."""
    options: dict[str, Any] = dict(parse_qsl(url.query))
    if ca := options.pop("ssl_ca", None):
        options["ssl"] = ssl.create_default_context(cafile=ca)
    return await aiomysql.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        db=url.path.lstrip("/"),
        autocommit=True,
        **options,
    )


def session_id(connection: aiomysql.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.thread_id()


def descriptor(connection: aiomysql.Connection) -> int:
    """Return the file descriptor of the connection's socket.

    aiomysql 0.3 has no public way to it: `_writer` is asyncio's `StreamWriter`, which knows the socket.
    """
    return connection._writer.get_extra_info("socket").fileno()


async def fetch(connection: aiomysql.Connection, sql: str, *values: Any) -> Any:
    """Run a statement and return its first row, None if it has none."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql, values or None)
        return await cursor.fetchone()


async def begin(connection: aiomysql.Connection) -> None:
    """Begin a transaction."""
    await connection.begin()


async def commit(connection: aiomysql.Connection) -> None:
    """Commit."""
    await connection.commit()


async def rollback(connection: aiomysql.Connection) -> None:
    """Roll back."""
    await connection.rollback()


async def close(connection: aiomysql.Connection) -> None:
    """Send `COM_QUIT` and close the connection; its `close()` does the second only."""
    await connection.ensure_closed()


def terminate(connection: aiomysql.Connection) -> None:
    """Close the connection without waiting for anything; aiomysql sends no `COM_QUIT` here."""
    connection.close()


def transaction_state(connection: aiomysql.Connection) -> str:
    """Return what the server said of the transaction in the last reply this process read; sends nothing."""
    status = connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    return "in transaction" if status else "no transaction"


def implementation(connection: aiomysql.Connection) -> str:
    """Return how the driver is built: it has no C code."""
    return "python"


def library(connection: aiomysql.Connection) -> str | None:
    """Return name and version of the C library underneath; there is none."""
    return None
