"""Says which versions a run was made with: driver, client library, ORM, server, Python, OpenSSL, kernel."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.catalogue import Cell, Driver
    from matrix.servers import Server

_OPENSSL = "import ssl; print(ssl.OPENSSL_VERSION)"


@functools.cache
def _ask(code: str) -> str | None:
    """Return what a line of Python prints in this environment, None where it fails.

    It runs in a process of its own: the harness imports no driver for the sake of its version.
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() or None if done.returncode == 0 else None


def installed(driver: Driver) -> str | None:
    """Return what is installed that provides a driver, as `distribution version`, None where nothing is."""
    names = _distributions().get(driver.facts.module, [])
    for name in sorted(names, key=lambda name: name not in driver.facts.distributions):
        return f"{name} {_version(name)}"
    return None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return what provides each package; it reads every file list there is, so once must do."""
    return importlib.metadata.packages_distributions()


@functools.cache
def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)


@functools.cache
def _machine() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "openssl": (_ask(_OPENSSL) or "none").split(" ")[1],
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
    }


def versions(cell: Cell, driver: Driver, server: Server) -> dict[str, str]:
    """Return every version that matters to a cell, by what it is the version of."""
    found = {"driver": installed(driver) or "not installed"}
    connection = f"drivers.{driver.name}.connection"
    if library := _ask(f"import importlib; print(importlib.import_module({connection!r}).library(None) or '')"):
        found["client library"] = library
    if cell.stack != "bare":
        distribution = {"django": "Django", "sqlalchemy": "SQLAlchemy"}[cell.stack]
        found["orm"] = f"{distribution} {_version(distribution)}"
    found["server"] = f"{server.product} {server.version}"
    return found | _machine()
