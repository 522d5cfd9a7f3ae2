"""Runs one launcher cell: a real launcher with a real application, real requests or tasks, and replaced workers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import re
import shutil
import signal
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from matrix.catalogue.assemble import assemble
from matrix.process.execute import QUIET, STRETCH, is_at_work
from matrix.process.service import Service
from matrix.records.evidence import Entry, Evidence, step_entries
from matrix.records.launchers import Load
from matrix.records.run import Run
from matrix.records.stable import Letters, stable
from matrix.records.steps import Step
from matrix.run.cell import BrokenCellError, Views, database_of, sessions_left
from matrix.run.channel import VARIABLE, StepChannel
from matrix.run.identity import mismatch
from matrix.run.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from matrix.catalogue import Driver, Stack
    from matrix.catalogue.launchers import Application, Launcher
    from matrix.records.launchers import LauncherCell
    from matrix.records.outcomes import Outcome
    from matrix.records.steps import Identity
    from matrix.run.cell import Surroundings
    from matrix.run.environment import Environment
    from matrix.run.judge import Verdict
    from matrix.servers import Observer, Server

#: Requests or tasks that are sent before and after workers are replaced, and how many are under way at once.
LOAD, AT_ONCE = 75, 6
#: How many more are sent at a time, and how often at most, until all new workers have had some.
MORE, TIMES = 15, 10
#: The first order that workers are asked for; those below are the parent's.
FIRST = 101
#: Seconds that a launcher has to start, to replace a worker, and to exit.
STARTING, REPLACING, STOPPING = 20.0, 15.0, 5.0
#: The folder of the module that records what an application does: the application's own files do not.
RECORDER = Path("launchers", "recorder")
#: Lines that are no news: of the transcript, and what programs print of rows.
_TRANSCRIPT = re.compile(r"\d\d:\d\d:\d\d\.\d{6} |.*\border \d+, session \d+")
#: Lines of a traceback but its last one.
_TRACEBACK = re.compile(r"\s|Traceback |During handling |The above exception ")
#: What launchers write of a worker that died by a signal that no process sent.
_CRASH = re.compile(r"SIGSEGV|SIGABRT|SIGBUS|signal (?:6|7|11)\b|exitcode -(?:6|7|11)\b")


@dataclass(frozen=True)
class LauncherSubject:
    """What a launcher cell is about, and where it runs.

    `service` is the socket of the service that the launcher needs, None if it needs none; `number` is the cell's own
    in the run, and that of its database there.
    """

    cell: LauncherCell
    driver: Driver
    stack: Stack
    application: Application
    launcher: Launcher
    environment: Environment
    server: Server
    service: Path | None = None
    number: int = 0


@dataclass(frozen=True)
class Launched:
    """One run of a launcher cell; `program` is the digest of its files."""

    run: Run
    program: str
    verdict: Verdict
    load: Load
    identity: Identity
    evidence: Evidence


@dataclass
class _Record:
    """What the processes of a cell report; `parents` holds the parent of each process when it was first seen."""

    steps: list[Step] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)

    def ended(self, steps: list[Step]) -> None:
        """Take note of the processes of steps that ended."""
        for step in steps:
            if step.pid not in self.parents:
                with contextlib.suppress(psutil.Error):
                    self.parents[step.pid] = psutil.Process(step.pid).ppid()


def run_launcher_cell(
    subject: LauncherSubject, around: Surroundings, observer: Observer, *, database: str, marks: tuple[int, int]
) -> Launched:
    """Run a launcher cell in a new database and return what is known of it; `marks` are for its programs.

    Raises BrokenCellError if the run is evidence for nothing, MatrixError if the server does not answer any more.
    """
    cell = subject.cell
    folder = around.folder / database
    with contextlib.ExitStack() as stack:
        stack.enter_context(database_of(observer, database, subject.server))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        observer.create_orders(database)
        advice = assemble(cell.application, cell.launcher, cell.remedy, cell.driver, around.root)
        _write(folder, advice.program)
        record = _Record()
        views = Views(observer, database)
        began = time.time()
        with StepChannel(around.folder / f"{database}.steps", record.ended) as channel:
            running = _Running(subject, around, folder, database, channel, marks)
            with running.service as service:
                running.work()
                ended = time.time()
                alive = {session.id for session in observer.sessions(database)}
                stopped = running.stop()
            after = sessions_left(views)
            if channel.problem:
                raise BrokenCellError(str(channel.problem))
            log = [(at, line) for at, line in service.lines if not _TRANSCRIPT.match(line)]
            identity = _check(subject, channel, running, log)
        parent = _parent(channel.steps, record.parents, service.pid)
        steps = [*_named(channel.steps, parent), *running.failures(channel.steps)]
        crashes = [line for _, line in log if _CRASH.search(line)]
        run = Run(
            steps=sorted(steps, key=lambda step: step.at),
            timed_out=running.hung,
            signal="SIGSEGV" if crashes else None,
            sessions_after=after,
            seconds=ended - began,
            began=began,
            ended=ended,
            views=views.seen,
        )
        verdict = _judge(run, alive, of_master=subject.launcher.facts.serving.work != "program")
        load = _load(run.steps, running.asked, running.replaced_at)
        evidence = _evidence(
            run.steps, log if stopped else [*log, (time.time(), "it did not exit when it was stopped")]
        )
        return Launched(run, advice.digest, verdict, load, identity, evidence)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class _Running:
    """A launcher that runs: gives it work, replaces workers, stops it."""

    def __init__(
        self,
        subject: LauncherSubject,
        around: Surroundings,
        folder: Path,
        database: str,
        channel: StepChannel,
        marks: tuple[int, int],
    ) -> None:
        self._subject, self._around, self._channel, self._folder = subject, around, channel, folder
        self._marks = marks
        self._serving = subject.launcher.facts.serving
        self._socket = folder / "s"
        self._env = {
            **{name: value for name, value in around.environ.items() if name != "XDG_RUNTIME_DIR"},
            "HOME": str(folder),  # launchers keep sockets there
            **subject.environment.environ(subject.driver),
            **subject.application.facts.environ,
            "DATABASE_URL": subject.driver.url(
                subject.stack.facts.name, subject.cell.transport, subject.server, database
            ),
            **self._service_environ(),
            "PYTHONPATH": str(around.root / RECORDER),
            "PYTHONUNBUFFERED": "1",
            "RECORDED_STACK": subject.stack.facts.name,
            VARIABLE: str(channel.path),
        }
        self._set_up()
        self.service = Service(
            self._filled(self._serving.command),
            env=self._env,
            cwd=folder,
            groups=around.groups,
            mark=marks[0],
            channel=channel,
        )
        self.asked: list[int] = []
        self.replaced_at = 0.0
        self.hung = False
        self.deadline = around.deadline
        self._sockets = _Sockets()
        self._problems: dict[int, tuple[float, BaseException | str]] = {}

    def _service_environ(self) -> dict[str, str]:
        """Return the variables that say where the service is that the launcher needs."""
        where = {"redis": self._subject.service, "database": self._subject.number}
        return {name: text.format_map(where) for name, text in self._subject.launcher.facts.environ.items()}

    def _filled(self, command: Iterable[str]) -> list[str]:
        python = self._subject.environment.interpreter
        uses = {
            **self._subject.application.facts.uses,
            **self._subject.launcher.facts.uses,
            "python": str(python),
            "bin": str(python.parent),
            "socket": str(self._socket),
        }
        return [word.format_map(uses) for word in command]

    def _set_up(self) -> None:
        """Run what has to be run before the launcher is started; raise BrokenCellError if it fails."""
        if not self._serving.setup:
            return
        with self._beside(self._serving.setup) as program:
            program.wait(lambda: not program.alive, STARTING)
            if program.returncode != 0:
                raise BrokenCellError(f"the set-up failed: {program.last_words()}")

    def _beside(self, command: Iterable[str]) -> Service:
        """Return a program beside the launcher, which reports no steps; ending it must not end the launcher."""
        return Service(
            self._filled(command),
            env={name: value for name, value in self._env.items() if name != VARIABLE},
            cwd=self._folder,
            groups=self._around.groups,
            mark=self._marks[1],
            stdin=True,
        )

    def work(self) -> None:
        """Give it work, replace workers, and give it work again; raise BrokenCellError if it never comes up."""
        if self._serving.work == "program":
            self._wait_for_program()
            return
        sending: contextlib.AbstractContextManager[Callable[[int], None]] = (
            contextlib.nullcontext(self._request) if self._serving.work == "http" else self._tasks()
        )
        with sending as send:
            self._wait_until_up()
            self._send(send, LOAD)
            if self.hung:
                return
            self._replace()
            self._send(send, LOAD)
            for _ in range(TIMES):
                if not self.hung and self._new_workers() < len(self._serving.replace):
                    self._send(send, MORE)

    def stop(self) -> bool:
        """Stop the launcher; return whether it exited."""
        return not self.service.alive or self.service.stop(signal.Signals[self._serving.stop], STOPPING)

    def failures(self, steps: Iterable[Step]) -> list[Step]:
        """Return a step for each order that was asked for and that no worker's step is about: what the client saw."""
        answered = {step.about for step in steps if step.result is not None}
        found = []
        for number in self.asked:
            if number not in answered and not self.hung:
                at, problem = self._problems.get(number, (time.time(), "no worker answered"))
                error = f"{type(problem).__module__}.{type(problem).__qualname__}" if problem else "no answer"
                text = stable(str(problem))
                found.append(
                    Step(who="child 0", action="look up", about=number, result="raised", error=error, text=text, at=at)
                )
        return found

    def _wait_for_program(self) -> None:
        """Wait until the program ends by itself, as long as something happens; to begin with it has longer."""
        self.service.wait(lambda: not self.service.alive or any(s.result for s in list(self._channel.steps)), STARTING)
        watch = _Watch(self, lambda: len(self._channel.steps))
        while self.service.alive and not self.hung:
            self.hung = watch.is_over()
            time.sleep(0.01)

    def _wait_until_up(self) -> None:
        def up() -> bool:
            if not self.service.alive:
                return True
            if self._serving.up:
                return any(self._serving.up in line for _, line in self.service.lines)
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self._socket))
                return True
            return False

        if not self.service.wait(up, STARTING) or not self.service.alive:
            how = "did not come up" if self.service.alive else f"exited with status {self.service.returncode}"
            raise BrokenCellError(f"{self._subject.cell.launcher} {how}: {self.service.last_words()}")

    def _send(self, send: Callable[[int], None], count: int) -> None:
        """Send some work, a few at a time, and wait until the workers have reported it."""
        numbers = range(FIRST + len(self.asked), FIRST + len(self.asked) + count)
        self.asked += numbers

        def one(number: int) -> None:
            if self.hung:
                return
            try:
                send(number)
            except (OSError, http.client.HTTPException) as error:
                self._problems[number] = (time.time(), error)

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(one, number) for number in numbers]
            watch = _Watch(self, lambda: (len(self._channel.steps), sum(future.done() for future in futures)))
            while not all(future.done() for future in futures):
                if watch.is_over():
                    self.hung = True
                    self._sockets.close()
                time.sleep(0.005)
        for future in futures:
            future.result()
        wanted = {number for number in numbers if number not in self._problems}
        watch = _Watch(self, lambda: len(self._channel.steps))
        while not self.hung and not self._answered() >= wanted:
            self.hung = watch.is_over()
            time.sleep(0.005)

    def _answered(self) -> set[int | None]:
        return {step.about for step in list(self._channel.steps) if step.result is not None}

    def _request(self, number: int) -> None:
        with self._sockets.connection(str(self._socket)) as connection:
            connection.request("GET", f"/{number}")
            connection.getresponse().read()

    @contextlib.contextmanager
    def _tasks(self) -> Iterator[Callable[[int], None]]:
        """Start the program that sends tasks; yield a function that has one sent and waits until it is done."""
        lock = threading.Lock()
        with self._beside(self._serving.send) as sender:

            def send(number: int) -> None:
                with lock, contextlib.suppress(OSError):  # one that has ended is noticed below
                    sender.write(f"{number}\n".encode())
                while number not in self._answered() and not self.hung:
                    if not sender.alive:
                        raise BrokenCellError(f"the program that sends tasks ended: {sender.last_words()}")
                    time.sleep(0.01)

            yield send

    def _replace(self) -> None:
        """Replace a worker by each of the signals, and wait until there are as many processes as before."""
        self.replaced_at = time.time()
        workers = list(dict.fromkeys(s.pid for s in self._channel.steps if s.about is not None and s.about >= FIRST))
        before = len(self.service.descendants())
        for name, pid in zip(self._serving.replace, workers, strict=False):
            with contextlib.suppress(ProcessLookupError):
                psutil.Process(pid).send_signal(signal.Signals[name])
            gone = self.service.wait(lambda pid=pid: pid not in self.service.descendants(), REPLACING)  # type: ignore[misc]
            if not gone or not self.service.wait(lambda: len(self.service.descendants()) >= before, REPLACING):
                raise BrokenCellError(f"{self._subject.cell.launcher} did not replace a worker after {name}")
        time.sleep(0.1)  # a new worker has still to begin, and perhaps to import the application
        self.service.wait(lambda: not is_at_work(self.service.pid), REPLACING)

    def _new_workers(self) -> int:
        """Return how many workers have worked that were not there before workers were replaced."""
        old = {step.pid for step in self._channel.steps if step.at < self.replaced_at}
        return len({step.pid for step in self._channel.steps} - old)


class _Watch:
    """Watches whether something happens: `progress` returns something else each time it does."""

    def __init__(self, running: _Running, progress: Callable[[], object]) -> None:
        self._running, self._progress = running, progress
        self._seen: object = None
        self._until = self._last_moment = 0.0
        self._note(progress())

    def is_over(self) -> bool:
        """Whether nothing happened for a whole deadline, and no process is busy."""
        if (seen := self._progress()) != self._seen:
            self._note(seen)
        now = time.monotonic()
        if now < self._until:
            return False
        if now < self._last_moment and is_at_work(self._running.service.pid):
            self._until = now + QUIET
            return False
        return True

    def _note(self, seen: object) -> None:
        self._seen = seen
        self._until = time.monotonic() + self._running.deadline
        self._last_moment = time.monotonic() + STRETCH * self._running.deadline


class _Sockets:
    """The connections of requests that are under way."""

    def __init__(self) -> None:
        self._open: set[_UnixConnection] = set()

    @contextlib.contextmanager
    def connection(self, path: str) -> Iterator[_UnixConnection]:
        """Yield a connection that is closed afterwards."""
        connection = _UnixConnection(path)
        self._open.add(connection)
        try:
            yield connection
        finally:
            self._open.discard(connection)
            connection.close()

    def close(self) -> None:
        """End all requests that are under way."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                if connection.sock:
                    connection.sock.shutdown(socket.SHUT_RDWR)


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def _parent(steps: Iterable[Step], parents: dict[int, int], service: int) -> int | None:
    """Return the process that imported the application and forked those that work, None if each worker imported it."""
    pids = list(dict.fromkeys(step.pid for step in steps))
    if service in pids:
        return service
    return next((pid for pid in pids if any(parents.get(other) == pid for other in pids)), None)


def _named(steps: Iterable[Step], parent: int | None) -> list[Step]:
    """Return the steps with their processes named: the parent, and children in the order in which they report."""
    names = {parent: "parent"}
    for step in steps:
        names.setdefault(step.pid, f"child {len(names) if parent in names else len(names) + 1}")
    return [msgspec.structs.replace(step, who=names[step.pid]) for step in steps]


def _check(subject: LauncherSubject, channel: StepChannel, running: _Running, log: list[tuple[float, str]]) -> Identity:
    prepared = next((step for step in channel.steps if step.action == "prepare" and step.result), None)
    if prepared is None:
        raise BrokenCellError(f"the application reported nothing: {log[-1][1] if log else 'nor did it print anything'}")
    if prepared.result == "raised":
        raise BrokenCellError(
            f"the application's first query raised {prepared.exception}: {stable(prepared.text or '')}"
        )
    if prepared.text != subject.cell.transport:
        raise BrokenCellError(
            f"transport: the application used {prepared.text}, the cell is about {subject.cell.transport}"
        )
    if wrong := mismatch(channel.identities, subject.driver, subject.stack, subject.server, subject.environment):
        raise BrokenCellError(wrong)
    status = running.service.returncode
    if subject.launcher.facts.serving.work == "program" and status is not None and status > 0:
        raise BrokenCellError(f"the program failed with exit status {status}: {log[-1][1] if log else ''}")
    return channel.identities[0]


def _judge(run: Run, alive: set[int], *, of_master: bool) -> Verdict:
    """Return the verdict; a master that runs no query after the fork has a new session if the server ended its own."""
    verdict = judge(run)
    own = {step.session for step in run.steps if step.who == "parent" and step.session is not None}
    if not of_master or not own:
        return verdict
    kept = bool(own & alive)
    seen: list[Outcome] = [outcome for outcome in verdict.seen if outcome != "works"]
    if not kept and "new session" not in seen:
        seen.append("new session")
    session = verdict.parent.session if verdict.parent.session == "shared" else "same" if kept else "lost"
    return replace(
        verdict,
        outcome=(seen or ["works"])[0],
        seen=seen or ["works"],
        parent=msgspec.structs.replace(verdict.parent, session=session),
    )


def _load(steps: Iterable[Step], asked: list[int], replaced_at: float) -> Load:
    """Count the work; a program's is what its workers began."""
    work = [step for step in steps if step.about is not None and step.about >= FIRST and step.who != "parent"]
    numbers: set[int | None] = set(asked) or {step.about for step in work}
    right = {step.about for step in work if step.right}
    first: dict[int, int | None] = {}
    began: dict[int, float] = {}
    for step in work:
        if step.pid:
            first.setdefault(step.pid, step.about)
            began.setdefault(step.pid, step.at)
    return Load(
        asked=len(numbers),
        right=len(numbers & right),
        first_asked=len(first),
        first_right=sum(number in right for number in first.values()),
        workers=len(first),
        replaced=sum(at > replaced_at > 0 for at in began.values()),
    )


def _evidence(steps: list[Step], log: list[tuple[float, str]]) -> Evidence:
    """Return the steps and the launcher's log lines in order."""
    letters = Letters()
    began = steps[0].at if steps else 0.0
    plain = [msgspec.structs.replace(letters.plain(step), at=step.at) for step in steps]
    entries = [msgspec.structs.replace(entry, at=round((entry.at - began) * 1000, 3)) for entry in step_entries(plain)]
    entries += [
        Entry(at=round((at - began) * 1000, 3), kind="log", who="launcher", text=stable(line))
        for at, line in log
        if line and not _TRACEBACK.match(line)
    ]
    return Evidence(
        processes=list(dict.fromkeys(step.who for step in steps)),
        sessions=list(dict.fromkeys(str(step.session) for step in plain if step.session is not None)),
        timeline=sorted(entries, key=lambda entry: entry.at),
    )
