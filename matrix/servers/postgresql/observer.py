"""The harness's own connection to PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from matrix.errors import MatrixError
from matrix.records.server import Session
from matrix.servers import process
from matrix.servers.model import ORDERS_COLUMNS, ORDERS_ROWS, USER

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.servers.model import Server

NAME = "matrix observer"  # application_name, by which the harness's own sessions are left out
LOCKS = 0x6D61  # the first half of the advisory locks' keys; the second is the run


def _connect(server: Server, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    through: dict[str, Any] = {"host": server.socket or server.host, "sslmode": "disable"}
    if not server.socket:
        through["sslmode"] = "prefer"
        if server.ca:
            through |= {"sslmode": "verify-full", "sslrootcert": server.ca}
    return psycopg.connect(
        **through,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=database,
        application_name=NAME,
        options="-c statement_timeout=30s -c lock_timeout=5s",
        gssencmode="disable",
        connect_timeout=10,
        autocommit=True,
        prepare_threshold=None,
    )


def version(server: Server) -> str:
    """Ask a server for its version, as ``15.18``."""
    try:
        with _connect(server, "postgres") as connection:
            number = connection.info.server_version
    except psycopg.Error as error:
        raise MatrixError(str(error)) from error
    return f"{number // 10000}.{number % 10000}"


def set_password(sockets: Path, port: int, old: str, new: str) -> None:
    """Change the password of a private server's account; raise ``MatrixError`` if that cannot be done."""
    try:
        with psycopg.connect(
            host=str(sockets), port=port, user=USER, password=old, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(USER), sql.Literal(new)))
    except psycopg.Error as error:
        raise MatrixError(str(error)) from error


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
    """Looks at a server through the database ``postgres``, at a table through a short connection to its database."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self.connections = 0

    def check(self) -> None:
        """Run a statement."""
        self._query("SELECT 1")

    def _query(self, query: Any, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; connect again, once, if the connection was lost."""
        for last in (False, True):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = _connect(self._server, "postgres")
                    self.connections += 1
                cursor = self._connection.execute(query, parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                if self._connection and not self._connection.closed:
                    raise MatrixError(process.refused(self._server, str(error))) from error
                if last:
                    raise MatrixError(process.gone(self._server, str(error))) from error
        raise AssertionError("unreachable")

    def create_database(self, name: str) -> None:
        statement = "CREATE DATABASE {} TEMPLATE template0"
        if self._server.origin != "url" and int(self._server.series) >= 15:
            # A third of the time that logging every page takes; on a server that is not ours it would cost
            # checkpoints.
            statement += " STRATEGY file_copy"
        self._query(sql.SQL(statement).format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        self._query(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def databases(self) -> list[str]:
        return [name for (name,) in self._query("SELECT datname FROM pg_database ORDER BY datname")]

    def hold(self, run: str) -> None:
        self._query("SELECT pg_advisory_lock(%s, ('x' || %s)::bit(32)::int)", (LOCKS, run))

    def is_held(self, run: str) -> bool:
        query = (
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = %s::oid AND objid = ('x' || %s)::bit(32)::bigint::oid"
        )
        return bool(self._query(query, (LOCKS, run)))

    def create_orders(self, database: str) -> None:
        try:
            with _connect(self._server, database) as connection:
                connection.execute(f"CREATE TABLE order_rows {ORDERS_COLUMNS}")
                connection.execute(f"INSERT INTO order_rows VALUES {ORDERS_ROWS}")
                connection.execute(
                    "CREATE VIEW orders AS SELECT id,"
                    " item || ', session ' || pg_backend_pid() || pg_sleep(0.005)::text AS item FROM order_rows"
                )
        except psycopg.Error as error:
            raise MatrixError(process.gone(self._server, str(error))) from error

    def sessions(self, database: str) -> list[Session]:
        rows = self._query(
            "SELECT pid, usename, ssl, coalesce(state, ''), xact_start IS NOT NULL"
            " FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid)"
            " WHERE datname = %s AND backend_type = 'client backend' AND application_name <> %s ORDER BY pid",
            (database, NAME),
        )
        return [Session(*row) for row in rows]

    def committed(self, database: str) -> set[int] | None:
        try:
            with _connect(self._server, database) as connection:
                return {row[0] for row in connection.execute("SELECT id FROM orders")}
        except psycopg.errors.UndefinedTable:
            return None
        except psycopg.Error as error:
            raise MatrixError(process.gone(self._server, str(error))) from error

    def counters(self, database: str) -> dict[str, int]:
        names = ("sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed")
        rows = self._query(f"SELECT {', '.join(names)} FROM pg_stat_database WHERE datname = %s", (database,))
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
