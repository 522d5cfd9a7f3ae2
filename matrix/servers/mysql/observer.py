"""The harness's own connection to MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.servers.mysql_observer import connect, reported_version

if TYPE_CHECKING:
    from matrix.servers.model import Server

__all__ = ["connect", "version"]


def version(server: Server) -> str:
    """Ask a server for its version, as ``9.7.4``."""
    text = reported_version(server)
    if "MariaDB" in text:
        raise MatrixError(f"it is not MySQL but says {text}")
    return text.partition("-")[0]
