"""PyMySQL: the calls that only this driver has."""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

import pymysql
import pymysql.cursors
from pymysql.constants import SERVER_STATUS

#: The Python function, of the driver or called by it, that a thread is in while it waits for a reply.
READING = "readinto"


def connect(url: SplitResult, *, autocommit: bool = True) -> pymysql.Connection:
    """Open a connection to the database of `url`; options that the driver takes stand in its query."""
    options: dict[str, Any] = dict(parse_qsl(url.query))
    return pymysql.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.lstrip("/"),
        autocommit=autocommit,
        **options,
    )


def session_id(connection: pymysql.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.thread_id()


def descriptor(connection: pymysql.Connection) -> int:
    """Return the file descriptor of the connection's socket.

    PyMySQL 1.2 has no public way to it: `_sock` is the socket, an `ssl.SSLSocket` under TLS.
    """
    return connection._sock.fileno()  # type: ignore[attr-defined]  # not public


def ping(connection: pymysql.Connection) -> None:
    """Wait for a reply to `COM_PING`; raise an exception if there is none."""
    connection.ping()


def transaction_state(connection: pymysql.Connection) -> str:
    """Return what the server said of the transaction in the last reply this process read; sends nothing.

    `server_status` is not documented; read in PyMySQL 1.2.4.
    """
    status = connection.server_status  # type: ignore[attr-defined]  # the stubs leave it out
    in_transaction = status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    autocommit = "on" if connection.get_autocommit() else "off"
    return f"{'in transaction' if in_transaction else 'no transaction'}, autocommit {autocommit}"


def server_side_cursor(connection: pymysql.Connection) -> pymysql.cursors.SSCursor:
    """Return a cursor whose rows stay in the socket until they are fetched."""
    return connection.cursor(pymysql.cursors.SSCursor)


def implementation(connection: pymysql.Connection) -> str:
    """Return how the driver is built: it has no C code."""
    return "python"


def library(connection: pymysql.Connection) -> str | None:
    """Return name and version of the C library underneath; there is none."""
    return None
