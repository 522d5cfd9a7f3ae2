"""MySQL and MariaDB."""

from collections.abc import Callable
from typing import Any

SESSION_ID = "CONNECTION_ID()"
PAUSE = "SLEEP(0.005)"
HELD = "GET_LOCK(DATABASE(), 60) AND RELEASE_LOCK(DATABASE())"
HOLD = "SELECT GET_LOCK(DATABASE(), 60)"
RELEASE = "SELECT RELEASE_LOCK(DATABASE())"
WAITING = """
    SELECT GROUP_CONCAT(CASE WHEN state = 'User lock' THEN id END), GROUP_CONCAT(id) FROM information_schema.processlist
    WHERE db = DATABASE() AND id <> CONNECTION_ID()"""
VERSION = "SELECT VERSION()"


def transport(query: Callable[[str], Any]) -> str:
    """Return how this session reaches the server, as the server reports it: `tcp`, `tls` or `unix`."""
    if query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[1]:
        return "tls"
    (host,) = query("SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()")
    return "tcp" if ":" in host else "unix"
