"""The harness's own connection to a server that speaks MySQL's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql

from matrix.errors import MatrixError
from matrix.records.server import Session
from matrix.servers import process
from matrix.servers.model import ORDERS_COLUMNS, ORDERS_ROWS

if TYPE_CHECKING:
    from matrix.servers.model import Server

LOST = (0, 2006, 2013, 2014, 2055)  # the client's own codes for a connection that is gone
NO_SUCH_DATABASE, NO_SUCH_SESSION, NO_SUCH_TABLE = 1049, 1094, 1146


def _connect(server: Server) -> pymysql.Connection[Any]:
    if server.socket:
        # The `ssl_disabled` keyword keeps PyMySQL from turning TLS on by itself, which a Unix socket does
        # not need.
        through: dict[str, Any] = {"unix_socket": server.socket, "ssl_disabled": True}
    else:
        through = {"host": server.host, "port": server.port}
        through |= {"ssl": {"ca": server.ca}} if server.ca else {"ssl_disabled": True}
    # PyMySQL takes text for Latin-1, and the server compares the bytes of UTF-8.
    return pymysql.connect(
        **through,
        user=server.user,
        password=server.password.encode(),
        autocommit=True,
        connect_timeout=10,
        read_timeout=30,
        write_timeout=30,
        program_name="matrix observer",
        init_command="SET SESSION lock_wait_timeout = 5",
    )


def reported_version(server: Server) -> str:
    """Ask a server for its version, as it spells it."""
    try:
        with _connect(server) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            rows = cursor.fetchall()
    except (pymysql.Error, OSError) as error:
        raise MatrixError(_message(error)) from error
    return str(rows[0][0])


def _message(error: Exception) -> str:
    """Return a client error's message without the number and brackets PyMySQL's have."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


class _StatementError(MatrixError):
    """The server refused a statement."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def connect(server: Server) -> _Observer:
    """Connect to a server; raise ``MatrixError`` if it refuses."""
    observer = _Observer(server)
    try:
        observer.check()
    except MatrixError:
        observer.close()
        raise
    return observer


class _Observer:
    """Looks at a server through one connection that is in no database."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: pymysql.Connection[Any] | None = None
        self.connections = 0
        self._transactions = False

    def check(self) -> None:
        """Ask whether the server keeps track of transactions; a user's own one may not."""
        self._transactions = bool(
            self._query(
                "SELECT 1 FROM performance_schema.setup_consumers c, performance_schema.setup_instruments i"
                " WHERE c.NAME = 'events_transactions_current' AND c.ENABLED = 'YES'"
                " AND i.NAME = 'transaction' AND i.ENABLED = 'YES'"
            )
        )

    def _query(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; connect again, once, if the connection was lost."""
        for last in (False, True):
            try:
                if self._connection is None:
                    self._connection = _connect(self._server)
                    self.connections += 1
                with self._connection.cursor() as cursor:
                    cursor.execute(query, parameters)
                    return list(cursor.fetchall())
            except (pymysql.Error, OSError) as error:
                code = error.args[0] if error.args else 0
                if self._connection is not None and isinstance(error, pymysql.Error) and code not in LOST:
                    raise _StatementError(process.refused(self._server, _message(error)), code) from error
                self.close()
                if last:
                    raise MatrixError(process.gone(self._server, _message(error))) from error
        raise AssertionError("unreachable")

    def create_database(self, name: str) -> None:
        self._query(f"CREATE DATABASE {_quoted(name)} CHARACTER SET utf8mb4")

    def drop_database(self, name: str) -> None:
        for session in self.sessions(name):
            try:
                self._query(f"KILL CONNECTION {session.id}")
            except _StatementError as error:
                if error.code != NO_SUCH_SESSION:  # it has ended by itself
                    raise
        self._query(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    def databases(self) -> list[str]:
        return [name for (name,) in self._query("SHOW DATABASES")]

    def hold(self, run: str) -> None:
        self._query("SELECT GET_LOCK(%s, 0)", (f"matrix_{run}",))

    def is_held(self, run: str) -> bool:
        return self._query("SELECT IS_USED_LOCK(%s)", (f"matrix_{run}",)) != [(None,)]

    def create_orders(self, database: str) -> None:
        table = f"{_quoted(database)}.order_rows"
        self._query(f"CREATE TABLE {table} {ORDERS_COLUMNS}")
        self._query(f"INSERT INTO {table} VALUES {ORDERS_ROWS}")
        self._query(
            f"CREATE SQL SECURITY INVOKER VIEW {_quoted(database)}.orders AS SELECT id,"
            f" CONCAT(item, ', session ', CONNECTION_ID(), IF(SLEEP(0.005), '', '')) AS item FROM {table}"
        )

    def sessions(self, database: str) -> list[Session]:
        rows = self._query(
            "SELECT p.ID, p.USER, t.CONNECTION_TYPE, p.COMMAND, p.STATE, e.STATE"
            " FROM information_schema.PROCESSLIST p"
            " LEFT JOIN performance_schema.threads t ON t.PROCESSLIST_ID = p.ID"
            " LEFT JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = t.THREAD_ID"
            " WHERE p.DB = %s AND p.ID <> CONNECTION_ID() ORDER BY p.ID",
            (database,),
        )
        return [
            Session(
                id=number,
                user=user,
                encrypted=None if kind is None else kind == "SSL/TLS",
                state=f"{command}: {state}" if state else command,
                in_transaction=transaction == "ACTIVE" if self._transactions else None,
            )
            for number, user, kind, command, state, transaction in rows
        ]

    def committed(self, database: str) -> set[int] | None:
        try:
            return {row[0] for row in self._query(f"SELECT id FROM {_quoted(database)}.orders")}
        except _StatementError as error:
            if error.code in (NO_SUCH_TABLE, NO_SUCH_DATABASE):
                return None
            raise

    def counters(self, database: str) -> dict[str, int]:  # the server counts for all databases together
        rows = self._query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Aborted_clients', 'Aborted_connects')")
        return {name: int(value) for name, value in rows}

    def close(self) -> None:
        if self._connection is not None and self._connection.open:
            self._connection.close()
        self._connection = None


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
