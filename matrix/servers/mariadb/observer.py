"""The harness's own connection to MariaDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.servers.mysql_observer import connect, reported_version

if TYPE_CHECKING:
    from matrix.servers.model import Server

__all__ = ["connect", "version"]


def version(server: Server) -> str:
    """Ask a server for its version, as ``10.11.14``."""
    text = reported_version(server)
    if "MariaDB" not in text:
        raise MatrixError(f"it is not MariaDB but says {text}")
    return text.partition("-")[0]
