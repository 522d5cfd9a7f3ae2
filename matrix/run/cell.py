"""Runs one cell once: in a database of its own, the example as a reader would start it, then a look at the server."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import crossed
from matrix.process.execute import execute
from matrix.records.run import Run
from matrix.records.stable import stable
from matrix.run.channel import VARIABLE, StepChannel
from matrix.run.identity import mismatch
from matrix.servers import log_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matrix.catalogue import Driver, Stack
    from matrix.process.execute import Execution, Groups, Start, Turn
    from matrix.records.facts import Transport
    from matrix.records.observation import Coordinates
    from matrix.records.server import Session
    from matrix.records.steps import Identity, Step
    from matrix.records.wire import Connection
    from matrix.run.environment import Environment
    from matrix.run.tap import Tap
    from matrix.servers import Observer, Server

#: Seconds a session may need to leave the server's list once every process that held it is gone.
LEAVING = 5.0
#: Seconds for which sessions that stay longer than that are watched.
STAYING = 2.0
#: Written orders are numbered from here; those below were there before.
FIRST_WRITTEN = 1000
#: Steps after which the server's list of sessions is as it was.
_READING = ("look up", "read", "prepare")
#: What a program must not inherit from the shell that started the matrix.
_OURS = (
    "DATABASE_URL",
    "DJANGO_SETTINGS_MODULE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "COVERAGE_PROCESS_START",
    VARIABLE,
    crossed.VARIABLE,
)


class BrokenCellError(Exception):
    """A cell could not be judged; the message says in one line why."""


@dataclass(frozen=True)
class Surroundings:
    """What all cells of a run share.

    `deadline` is in seconds, see `matrix.process.execute`; `folder` is where pipes and sockets are made, `root` the
    repository that holds the examples; `tap` is None
    if the wire is not recorded.
    """

    deadline: float
    groups: Groups
    environ: Mapping[str, str]
    folder: Path
    root: Path
    tap: Tap | None


@dataclass(frozen=True)
class Subject:
    """What a cell is about: the driver, the environment that holds it, the stack, and a running server."""

    cell: Coordinates
    driver: Driver
    stack: Stack
    environment: Environment
    server: Server


@dataclass(frozen=True)
class Result:
    """One run of a cell, and what it reported that it used."""

    run: Run
    identity: Identity


def obstacle(transport: Transport, server: Server) -> str | None:
    """Say in one sentence why a transport cannot be used on a server, None if it can."""
    if transport == "tls" and server.ca is None:
        return f"the {server.name} server offers no TLS that could be verified; name its CA in the URL (?ca=FILE)"
    if transport == "unix" and server.socket is None:
        return f"the {server.name} server has no Unix socket here; name it in the URL (?socket=PATH)"
    return None


def run_cell(
    subject: Subject,
    around: Surroundings,
    observer: Observer,
    *,
    database: str,
    mark: int,
    start: Start,
    turn: Turn | None = None,
) -> Result:
    """Run a cell's example in a new database and return what is known of it; the database is dropped again.

    Raises BrokenCellError if the run is evidence for nothing: the program failed by itself, reported nothing or
    something unreadable, or did not use what the cell is about; MatrixError if the server does not answer any more.
    """
    cell, server = subject.cell, subject.server
    module, environ = crossed.command(cell, around.root)
    with database_of(observer, database, server):
        before = len(observer.sessions(database))
        counted = observer.counters(database)
        log_began = server.log.stat().st_size if server.log else 0
        views = Views(observer, database)
        began = time.time()
        with StepChannel(around.folder / f"{database}.steps", views.look) as channel:
            with _reached(subject, around) as (reached, connections):
                execution = execute(
                    [str(subject.environment.interpreter), "-m", module],
                    env={
                        **around.environ,
                        **environ,
                        **subject.environment.environ(subject.driver),
                        "DATABASE_URL": subject.driver.url(cell.stack, cell.transport, reached, database),
                        VARIABLE: str(channel.path),
                    },
                    cwd=around.root,
                    deadline=around.deadline,
                    groups=around.groups,
                    mark=mark,
                    channel=channel,
                    start=start,
                    turn=turn,
                )
                ended = time.time()
                after = sessions_left(views)
            identity = _check(subject, execution, channel, connections)
        wrote = any(step.action == "insert" for step in channel.steps)
        committed = observer.committed(database) if wrote else None
        run = Run(
            steps=channel.steps,
            timed_out=execution.timed_out,
            signal=execution.signal,
            sessions_before=before,
            sessions_after=after,
            committed=frozenset(n for n in committed or () if n > FIRST_WRITTEN) if wrote else None,
            seconds=execution.seconds,
            began=began,
            ended=ended,
            connections=connections,
            log_lines=log_lines(server, log_since(server.log, log_began), database) if server.log else [],
            views=views.seen,
            counters={name: n - counted.get(name, 0) for name, n in observer.counters(database).items()},
        )
        return Result(run, identity)


@contextlib.contextmanager
def database_of(observer: Observer, name: str, server: Server) -> Iterator[None]:
    """Create a database for one run, and drop it afterwards.

    Raises BrokenCellError if the server lost a session meanwhile that no program of the run knows: then the others may
    be lost for the same reason, and what the programs saw says nothing of theirs.
    """
    observer.create_database(name)
    connections = observer.connections
    try:
        yield
        observer.sessions(name)
        if observer.connections != connections:
            raise BrokenCellError(f"{server.name} was restarted during this run, or ended the harness's own session")
    finally:
        observer.drop_database(name)


@contextlib.contextmanager
def _reached(subject: Subject, around: Surroundings) -> Iterator[tuple[Server, list[Connection]]]:
    """Yield the server as the program reaches it, and a list that holds what went over the wire afterwards."""
    if around.tap is None:
        yield subject.server, []
        return
    with around.tap.on(subject.server, subject.cell.transport, settle=LEAVING) as reached:
        yield reached


class Views:
    """What the server shows of its sessions, looked at whenever a step has ended that may have changed it."""

    def __init__(self, observer: Observer, database: str) -> None:
        self._observer, self._database = observer, database
        self.seen: list[tuple[float, list[Session]]] = []

    def look(self, ended: list[Step]) -> None:
        """Look, if one of the steps that have ended may have changed something."""
        if any(step.action not in _READING for step in ended):
            self.count()

    def count(self) -> int:
        """Look, and return how many sessions there are."""
        sessions = self._observer.sessions(self._database)
        self.seen.append((time.time(), sessions))
        return len(sessions)


def log_since(path: Path, offset: int) -> str:
    """Return what was written to a log after an offset."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def sessions_left(views: Views) -> int:
    """Return how many sessions stay in a database, once those that are ending have had time to.

    Those that stay are watched for a while longer, so that it is known for how long they did.
    """
    until = time.monotonic() + LEAVING
    while (count := views.count()) and time.monotonic() < until:
        time.sleep(0.005)
    until = time.monotonic() + STAYING
    while count and time.monotonic() < until and views.count():
        time.sleep(0.05)
    return count


def _check(subject: Subject, execution: Execution, channel: StepChannel, connections: list[Connection]) -> Identity:
    """Return what the program reported that it used; raise BrokenCellError if its run is evidence for nothing."""
    if channel.problem:
        raise BrokenCellError(str(channel.problem))
    if channel.incomplete and not execution.timed_out:
        raise BrokenCellError("its last record is incomplete")
    prepared = next((step for step in channel.steps if step.action == "prepare" and step.result), None)
    printed = [*execution.errors.strip().splitlines(), "it printed nothing"] if execution.errors.strip() else []
    last_words = (printed[:-1] or execution.output.strip().splitlines() or ["it printed nothing"])[-1]
    if prepared is None:
        when = "within the deadline" if execution.timed_out else f": {last_words}"
        raise BrokenCellError(f"reported no steps {when}".replace(" :", ":"))
    if prepared.result == "raised":
        raise BrokenCellError(f"could not prepare its orders: {prepared.exception}: {stable(prepared.text or '')}")
    transport = subject.cell.transport
    if prepared.text != transport:
        raise BrokenCellError(f"transport: the example used {prepared.text or 'none'}, the cell is about {transport}")
    reported = channel.identities
    if wrong := mismatch(reported, subject.driver, subject.stack, subject.server, subject.environment):
        raise BrokenCellError(wrong)
    if connections:
        _check_encryption(connections, transport)
    if execution.returncode is not None and execution.returncode > 0:
        raise BrokenCellError(f"the example itself failed with exit status {execution.returncode}: {last_words}")
    if execution.left_behind:
        raise BrokenCellError(f"the example ended and left {execution.left_behind} of its processes running")
    return reported[0]


def _check_encryption(connections: list[Connection], transport: str) -> None:
    from matrix.run.tap import is_encrypted_as_asked  # noqa: PLC0415 - only a run with the relay needs the wire

    if not all(is_encrypted_as_asked(connection, transport) for connection in connections):
        raise BrokenCellError(
            "one of the example's sessions was encrypted although it should not be, or the other way round"
        )


def database_name(token: str, number: int) -> str:
    """Return a name for a run's database that no other run uses: `matrix_<token>_<number>`."""
    return f"matrix_{token[:8]}_{number}"


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what an example must not inherit from the shell that started the matrix."""
    return {name: value for name, value in environ.items() if name not in _OURS}
