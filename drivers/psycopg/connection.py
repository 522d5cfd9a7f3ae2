"""psycopg 3: the calls of the DB-API examples that are this driver's own."""

from typing import Any
from urllib.parse import SplitResult

import psycopg

#: What a statement selects to learn on which server session it ran.
SESSION_ID = "pg_backend_pid()"
#: What a statement selects to be answered only once nobody holds answers back, how they are held and released, and a
#: query that counts the sessions whose answers are, and all others.
HELD = "pg_advisory_xact_lock(1)"
HOLD = "SELECT pg_advisory_lock(1)"
RELEASE = "SELECT pg_advisory_unlock(1)"
WAITING = """
    SELECT COUNT(*) FILTER (WHERE wait_event = 'advisory'), COUNT(*) FROM pg_stat_activity
    WHERE datname = current_catalog AND pid <> pg_backend_pid()"""
#: The Python function that a thread is in while it waits for an answer, here or in what is called from here.
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


def transaction_state(connection: psycopg.Connection) -> str:
    """Return what libpq believes of the transaction since it last heard from the server; sends nothing."""
    return connection.info.transaction_status.name


def server_side_cursor(connection: psycopg.Connection) -> psycopg.ServerCursor:
    """Return a cursor whose rows stay on the server until they are fetched; it wants a transaction."""
    return connection.cursor(name="orders")


def transport(cursor: Any) -> str:
    """Return how this session reaches the server, as the server says: `tcp`, `tls` or `unix`."""
    cursor.execute("SELECT ssl, inet_server_addr() FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    encrypted, address = cursor.fetchone()
    return "tls" if encrypted else "tcp" if address else "unix"
