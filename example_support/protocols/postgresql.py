"""PostgreSQL."""

from collections.abc import Callable
from typing import Any

SESSION_ID = "pg_backend_pid()"
PAUSE = "pg_sleep(0.005)"
HELD = "CASE WHEN pg_advisory_lock(1) IS NOT NULL THEN pg_advisory_unlock(1) END"
HOLD = "SELECT pg_advisory_lock(1)"
RELEASE = "SELECT pg_advisory_unlock(1)"
WAITING = """
    SELECT STRING_AGG(pid::text, ',') FILTER (WHERE wait_event = 'advisory'), STRING_AGG(pid::text, ',')
    FROM pg_stat_activity
    WHERE datname = current_catalog AND pid <> pg_backend_pid()"""
VERSION = "SHOW server_version"


def transport(query: Callable[[str], Any]) -> str:
    """Return how this session reaches the server, as the server reports it: `tcp`, `tls` or `unix`."""
    encrypted, address = query("SELECT ssl, inet_server_addr() FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    return "tls" if encrypted else "tcp" if address else "unix"
