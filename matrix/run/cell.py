"""Runs one cell once: in a database of its own, the example as a reader would start it, then a look at the server."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.catalogue import ROOT, module
from matrix.process.execute import execute, start
from matrix.records.run import Run
from matrix.records.transcript import parse
from matrix.servers import log_lines
from matrix.wire.relay import Address

if TYPE_CHECKING:
    from matrix.catalogue import Cell, Driver
    from matrix.process.execute import Execution, Groups, Start
    from matrix.records.transcript import Line
    from matrix.records.wire import Connection
    from matrix.servers import Observer, Server, Session
    from matrix.wire.relay import Listener, Relay

#: Seconds a session may need to leave the server's list once every process that held it is gone.
LEAVING = 5.0
#: Seconds for which sessions that stay longer than that are watched.
STAYING = 2.0
#: Written orders are numbered from here; those below were there before.
FIRST_WRITTEN = 1000
#: What a client says in the clear before it has encryption; libpq may leave after it.
_ASKS_FOR_ENCRYPTION = ("SSLRequest", "GSSENCRequest")
#: What a program must not inherit from the shell that started the matrix.
_OURS = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START")


class BrokenCellError(Exception):
    """A cell could not be judged; the message says in one line why."""


def obstacle(cell: Cell, server: Server) -> str | None:
    """Say in one sentence why a cell cannot be run on a server, None where it can."""
    if cell.transport == "tls" and server.ca is None:
        return f"the {server.name} server offers no TLS that could be verified; name its CA in the URL (?ca=FILE)"
    if cell.transport == "unix" and server.socket is None:
        return f"the {server.name} server has no Unix socket here; name it in the URL (?socket=PATH)"
    return None


def run_cell(
    cell: Cell,
    driver: Driver,
    server: Server,
    observer: Observer,
    *,
    database: str,
    deadline: float,
    groups: Groups,
    environ: dict[str, str],
    relay: Relay | None = None,
    folder: Path | None = None,
    start: Start = start,
) -> Run:
    """Run a cell's example in a new database and return what is known of it; the database is dropped again.

    With a `relay` the program talks to the server through it, and what went over the wire is part of what is returned;
    `folder` is where its Unix sockets are made. `start` starts the program. Raises BrokenCellError where the program
    printed no transcript, failed by itself, or did not use the transport of the cell; MatrixError where the server does
    not answer any more.
    """
    observer.create_database(database)
    try:
        before = len(observer.sessions(database))
        env = clean_environ(environ)
        began = time.time()
        listener = _listen(relay, server, cell.transport, folder) if relay else None
        address = _through(server, listener) if listener else server
        connections: list[Connection] = []
        views = _Views(observer, database)
        counted = observer.counters(database)
        log_began = server.log.stat().st_size if server.log else 0
        try:
            execution = execute(
                [sys.executable, "-m", module(cell)],
                env={**env, "DATABASE_URL": driver.url(cell.stack, cell.transport, address, database)},
                cwd=ROOT,
                deadline=deadline,
                groups=groups,
                mark=database,
                ready=b" prepare: ",
                watch=views.look,
                start=start,
            )
            ended = time.time()
            after = _sessions_left(views)
        finally:
            if relay and listener:
                connections = relay.close(listener, settle=LEAVING, drop=True)
        lines, other = parse(execution.output)
        _check(cell, execution, lines, other, connections)
        wrote = any(line.action == "insert" for line in lines)
        committed = observer.committed(database) if wrote else None
        return Run(
            lines=lines,
            timed_out=execution.timed_out,
            signal=execution.signal,
            sessions_before=before,
            sessions_after=after,
            committed=frozenset(n for n in committed or () if n > FIRST_WRITTEN) if wrote else None,
            seconds=execution.seconds,
            began=began,
            ended=ended,
            connections=connections,
            said=log_lines(server, _log_since(server.log, log_began), database) if server.log else [],
            views=views.seen,
            counters={name: n - counted.get(name, 0) for name, n in observer.counters(database).items()},
        )
    finally:
        observer.drop_database(database)


class _Views:
    """What the server shows of its sessions, looked at whenever a step has ended that may have changed it."""

    _STEPS = re.compile(rb"^\S+ (?:parent|child \d+)\S* +\d+ (?!look up|read|prepare)[a-z][^:\n]*: ", re.MULTILINE)

    def __init__(self, observer: Observer, database: str) -> None:
        self._observer, self._database = observer, database
        self.seen: list[tuple[float, list[Session]]] = []

    def look(self, output: bytes) -> None:
        """Look, if the output tells of such a step."""
        if self._STEPS.search(output):
            self.count()

    def count(self) -> int:
        """Look, and return how many sessions there are."""
        sessions = self._observer.sessions(self._database)
        self.seen.append((time.time(), sessions))
        return len(sessions)


def _log_since(path: Path, offset: int) -> str:
    """Return what was written to a log after an offset."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def _listen(relay: Relay, server: Server, transport: str, folder: Path | None) -> Listener:
    """Open an address that leads to a server in the way a transport goes."""
    if transport != "unix":
        upstream = Address(host=server.host, port=server.port)
        return relay.open(protocol=server.protocol, upstream=upstream, listen="tcp")
    assert server.socket is not None
    path = Path(server.socket)
    upstream = Address(path=path / f".s.PGSQL.{server.port}" if path.is_dir() else path)
    return relay.open(protocol=server.protocol, upstream=upstream, listen="unix", folder=folder)


def _through(server: Server, listener: Listener) -> Server:
    """Return a server as it is reached through a relay's listener."""
    if listener.socket is None:
        return replace(server, host=listener.host, port=listener.port or 0)
    if server.protocol == "postgresql":
        return replace(server, socket=listener.host, port=listener.port or 0)
    return replace(server, socket=str(listener.socket))


def _sessions_left(views: _Views) -> int:
    """Return how many sessions stay in a database, once those that are leaving have had time to.

    Those that stay are watched for a while longer, so that it is known for how long they did.
    """
    until = time.monotonic() + LEAVING
    while (count := views.count()) and time.monotonic() < until:
        time.sleep(0.005)
    until = time.monotonic() + STAYING
    while count and time.monotonic() < until and views.count():
        time.sleep(0.05)
    return count


def _check(
    cell: Cell, execution: Execution, lines: list[Line], other: list[str], connections: list[Connection]
) -> None:
    """Raise BrokenCellError where a run is no evidence for anything."""
    prepared = next((line for line in lines if line.action == "prepare" and line.result is not None), None)
    last_words = (execution.errors.strip().splitlines() or other or ["it printed nothing"])[-1]
    if prepared is None:
        how = (
            "printed no transcript within the deadline"
            if execution.timed_out
            else f"printed no transcript: {last_words}"
        )
        raise BrokenCellError(how)
    if prepared.error:
        raise BrokenCellError(f"could not prepare its orders: {prepared.text.partition('raised ')[2]}")
    over = (prepared.result or "").removeprefix("done, over ")
    if over != cell.transport:
        raise BrokenCellError(f"the program's session went over {over}, and the cell is about {cell.transport}")
    if not all(is_encrypted_as_asked(connection, cell.transport) for connection in connections):
        raise BrokenCellError(
            "one of the program's sessions was encrypted where it should not be, or the other way round"
        )
    if execution.returncode is not None and execution.returncode > 0:
        raise BrokenCellError(f"the example itself failed with exit status {execution.returncode}: {last_words}")
    if execution.left_behind:
        raise BrokenCellError(f"the example ended and left {execution.left_behind} of its processes running")


def is_encrypted_as_asked(connection: Connection, transport: str) -> bool:
    """Whether a session is encrypted exactly where its transport is `tls`; true of one that ended before it began."""
    if transport != "tls" or connection.tls:
        return connection.tls == (transport == "tls")
    return all(
        event["name"] in _ASKS_FOR_ENCRYPTION
        for event in connection.events
        if event["from"] == "client" and event["kind"] in ("message", "undecoded")
    )


def database_name(token: str, number: int) -> str:
    """Return a name for a run's database that no other run uses: `matrix_<token>_<number>`."""
    return f"matrix_{token[:8]}_{number}"


def clean_environ(environ: dict[str, str]) -> dict[str, str]:
    """Return an environment without what an example must not inherit from whoever started the matrix."""
    return {name: value for name, value in environ.items() if name not in _OURS}
