"""Runs one cell once: a database of its own, the example as a reader would start it, and a look at the server afterwards."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from matrix.catalogue import ROOT
from matrix.execute import execute
from matrix.judge import Run
from matrix.transcript import parse

if TYPE_CHECKING:
    from matrix.catalogue import Cell, Driver
    from matrix.execute import Execution, Groups
    from matrix.servers import Observer, Server
    from matrix.transcript import Line

#: Seconds a session may need to leave the server's list once every process that held it is gone.
LEAVING = 0.5
#: Written orders are numbered from here; those below were there before.
FIRST_WRITTEN = 1000
#: What a program must not inherit from the shell that started the matrix.
_OURS = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START")


class BrokenCellError(Exception):
    """A cell could not be judged; the message says in one line why."""


def obstacle(cell: Cell, server: Server) -> str | None:
    """Say in one sentence why a cell cannot be run on a server, None where it can."""
    if cell.transport == "tls" and server.ca is None:
        return f"the {server.family} server offers no TLS that could be verified; name its CA in the URL (?ca=FILE)"
    if cell.transport == "unix" and server.socket is None:
        return f"the {server.family} server has no Unix socket here; name it in the URL (?socket=PATH)"
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
) -> Run:
    """Run a cell's example in a new database and return what is known of it; the database is dropped again.

    Raises BrokenCellError where the program printed no transcript, failed by itself, or did not use the transport of the cell;
    MatrixError where the server does not answer any more.
    """
    observer.create_database(database)
    try:
        before = len(observer.sessions(database))
        env = {name: value for name, value in environ.items() if name not in _OURS}
        execution = execute(
            [sys.executable, "-m", cell.module],
            env={**env, "DATABASE_URL": driver.url(server, cell.transport, database)},
            cwd=ROOT,
            deadline=deadline,
            groups=groups,
            mark=database,
        )
        lines, other = parse(execution.output)
        after = _sessions_left(observer, database)
        _check(cell, execution, lines, other)
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
        )
    finally:
        observer.drop_database(database)


def _sessions_left(observer: Observer, database: str) -> int:
    """Return how many sessions stay in a database, once those that are leaving have had time to."""
    until = time.monotonic() + LEAVING
    while (count := len(observer.sessions(database))) and time.monotonic() < until:
        time.sleep(0.005)
    return count


def _check(cell: Cell, execution: Execution, lines: list[Line], other: list[str]) -> None:
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
    if execution.returncode is not None and execution.returncode > 0:
        raise BrokenCellError(f"the example itself failed with exit status {execution.returncode}: {last_words}")
    if execution.left_behind:
        raise BrokenCellError(f"the example ended and left {execution.left_behind} of its processes running")


def database_name(token: str, number: int) -> str:
    """Return a name for a run's database that no other run uses: `matrix_<token>_<number>`."""
    return f"matrix_{token[:8]}_{number}"
