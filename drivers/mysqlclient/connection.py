"""mysqlclient (`MySQLdb`): the calls that only this driver has."""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

import MySQLdb
import MySQLdb.cursors

#: The Python function, of the driver or called by it, that a thread is in while it waits for a reply.
READING = "query"


def connect(url: SplitResult, *, autocommit: bool = True) -> MySQLdb.Connection:
    """Open a connection to the database of `url`; options that the driver takes stand in its query."""
    options: dict[str, Any] = dict(parse_qsl(url.query))
    if ca := options.pop("ssl_ca", None):
        options["ssl"] = {"ca": ca}
    return MySQLdb.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.lstrip("/"),
        autocommit=autocommit,
        **options,
    )


def session_id(connection: MySQLdb.Connection) -> int:
    """Return the server session's id as the driver learnt it when it connected; sends nothing."""
    return connection.thread_id()


def descriptor(connection: MySQLdb.Connection) -> int:
    """Return the file descriptor of the connection's socket."""
    return connection.fileno()


def ping(connection: MySQLdb.Connection) -> None:
    """Wait for a reply to `COM_PING`; raise an exception if there is none."""
    connection.ping()


def transaction_state(connection: MySQLdb.Connection) -> str:
    """Return all that the driver knows of the transaction, whether autocommit is on; sends nothing."""
    return f"autocommit {'on' if connection.get_autocommit() else 'off'}"


def server_side_cursor(connection: MySQLdb.Connection) -> MySQLdb.cursors.SSCursor:
    """Return a cursor whose rows stay in the socket until they are fetched."""
    return connection.cursor(MySQLdb.cursors.SSCursor)


def implementation(connection: MySQLdb.Connection) -> str:
    """Return how the driver is built: a C extension is all there is."""
    return "c"


def library(connection: MySQLdb.Connection) -> str | None:
    """Return name and version of the C library underneath.

    Versions of MariaDB's Connector/C begin with 3, those of libmysqlclient with that of the MySQL release, from 5.
    """
    version = MySQLdb.get_client_info()
    return f"{'MariaDB Connector/C' if version.startswith('3.') else 'libmysqlclient'} {version}"
