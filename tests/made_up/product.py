"""The code of a made-up server product: a program that prints its version, and an observer that sees nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matrix.servers.model import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from matrix.records.server import LogLine, Session
    from matrix.servers.model import Binaries, Place, Server

VERSION_ARGUMENTS = ("--version",)
WHEEL_PROGRAM = ""

#: The programs that are installed, by the fixture that makes them.
programs: list[Path] = []


def write_program(path: Path, version: str) -> Path:
    """Write a program that prints a version, and return it."""
    path.write_text(f"#!/bin/sh\necho made-up {version}\n")
    path.chmod(0o755)
    return path


def installed() -> Iterator[Path]:
    """Yield the server's programs."""
    yield from programs


def reported_version(text: str) -> str | None:
    """Return the version that the program printed."""
    return text.rsplit(maxsplit=1)[-1] if text.startswith("made-up") else None


def series(version: str) -> str:
    """Return the first part of the version."""
    return version.partition(".")[0]


def start(binaries: Binaries, version: str, place: Place, cleanup: ExitStack) -> Endpoint:
    """Return an endpoint at which nothing listens."""
    log = place.folder / "log"
    log.touch()
    return Endpoint(port=1, socket=place.folder, log=log, password="made up")


def log_lines(log: str, database: str) -> list[LogLine]:
    """Return nothing: nothing is logged."""
    return []


class Observer:
    """Sees databases, and no session in them."""

    def __init__(self) -> None:
        self._databases: set[str] = set()
        self.connections = 0

    def create_database(self, name: str) -> None:
        self._databases.add(name)

    def drop_database(self, name: str) -> None:
        self._databases.discard(name)

    def sessions(self, database: str) -> list[Session]:
        return []

    def committed(self, database: str) -> set[int] | None:
        return None

    def databases(self) -> list[str]:
        return sorted(self._databases)

    def hold(self, run: str) -> None:
        pass

    def is_held(self, run: str) -> bool:
        return run == str(os.getpid())

    def counters(self, database: str) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


def connect(server: Server) -> Observer:
    """Return an observer."""
    return Observer()


def version(server: Server) -> str:
    """Return the version of the first program."""
    return "7.1"
