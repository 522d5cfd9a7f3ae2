"""MySQL Connector/Python's C extension: the calls that only this driver has."""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

import mysql.connector
from mysql.connector.connection import MySQLConnection

#: The Python function, of the driver or called by it, that a thread is in while it waits for a reply.
READING = "cmd_query"


def connect(url: SplitResult, *, autocommit: bool = True) -> Any:
    """Open a connection to the database of `url`; options that the driver takes stand in its query."""
    options: dict[str, Any] = dict(parse_qsl(url.query))
    return mysql.connector.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.lstrip("/"),
        autocommit=autocommit,
        **options | {"use_pure": False},
    )


def session_id(connection: Any) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.connection_id


def ping(connection: Any) -> None:
    """Wait for a reply to `COM_PING`; raise an exception if there is none."""
    connection.ping()


def transaction_state(connection: Any) -> str:
    """Return what the server said of the transaction in the last reply this process read; sends nothing."""
    return "in transaction" if connection.in_transaction else "no transaction"


def server_side_cursor(connection: Any) -> Any:
    """Return a cursor whose rows stay in the socket until they are fetched."""
    return connection.cursor(buffered=False)


def implementation(connection: Any) -> str:
    """Return which of the driver's two implementations a connection is of: `python`, or `c`."""
    return "python" if isinstance(connection, MySQLConnection) else "c"


def library(connection: Any) -> str | None:
    """Return name and version of the C library underneath, which is linked into the extension."""
    return f"libmysqlclient {'.'.join(map(str, connection._cmysql.get_client_version()))}"
