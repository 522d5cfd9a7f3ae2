"""Runs cells at once, and leaves no process behind if the run is interrupted."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.run.cell import BrokenCellError, database_name, run_cell
from matrix.run.identity import versions
from matrix.run.judge import judge
from matrix.servers import observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matrix.process.execute import Start
    from matrix.process.watchdog import Watchdog
    from matrix.records.evidence import Evidence
    from matrix.records.observation import Coordinates
    from matrix.records.run import Run
    from matrix.run.cell import Subject, Surroundings
    from matrix.run.progress import Progress
    from matrix.run.tally import Tally
    from matrix.servers import Observer, Server


#: How many times as many cells as compute at once may have begun.
WAITING = 6


class Groups:
    """The process groups that are running: known to the watchdog, and killed if the run is interrupted."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._running: set[int] = set()
        self._killing = False

    def watch_group(self, pgid: int) -> None:
        """Take note of a process group, and kill it if all are to be killed."""
        self._running.add(pgid)
        self._watchdog.watch_group(pgid)
        if self._killing:
            _kill(pgid)

    def release_group(self, pgid: int) -> None:
        """Forget it."""
        self._running.discard(pgid)
        self._watchdog.release_group(pgid)

    def kill_all(self) -> None:
        """Kill what is running, and what starts from now on."""
        self._killing = True
        for pgid in list(self._running):
            _kill(pgid)


def _kill(pgid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)


class Turns:
    """Lets so many cells compute at once. A cell that only waits, for a reply that never comes, lends its turn."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self) -> Iterator[Turn]:
        """Wait for a turn, and have it for as long as the context lasts."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0)
            self._free -= 1
        turn = Turn(self)
        try:
            yield turn
        finally:
            turn.take_back()
            self.give(1)

    def give(self, count: int) -> None:
        """Add to the free turns; a negative number takes some without waiting, even if there are none."""
        with self._changed:
            self._free += count
            self._changed.notify_all()


class Turn:
    """A turn of `Turns`; see `matrix.process.execute.Turn`."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lent = False

    def lend(self) -> None:
        """Let another cell compute."""
        if not self._lent:
            self._lent = True
            self._turns.give(1)

    def take_back(self) -> None:
        """Compute again."""
        if self._lent:
            self._lent = False
            self._turns.give(-1)


class Observers:
    """One worker's connections to the servers, opened when first needed."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._servers = servers
        self._open: dict[str, Observer] = {}

    def of(self, name: str) -> Observer:
        """Return the connection to a server."""
        if name not in self._open:
            self._open[name] = observer(self._servers[name])
        return self._open[name]

    def forget(self, name: str) -> None:
        """Close a connection that may be broken; the next cell opens another one."""
        if opened := self._open.pop(name, None):
            with contextlib.suppress(Exception):
                opened.close()

    def close(self) -> None:
        """Close all of them."""
        for name in list(self._open):
            self.forget(name)


@dataclass
class Worker:
    """Runs one cell after the other, from several threads at once, and adds what happened to the tallies.

    `start_of` says what starts a subject's example, `evidence_of` what makes evidence of a run, None without. `broken`
    receives why a cell could not be judged, `watchdog` names the run, and so its databases and processes.
    """

    around: Surroundings
    tallies: Mapping[Coordinates, Tally]
    broken: dict[str, str]
    progress: Progress
    watchdog: Watchdog
    start_of: Callable[[Subject], Start]
    evidence_of: Callable[[Run], Evidence] | None

    def __post_init__(self) -> None:
        """Begin counting."""
        self.runs = 0
        self._databases = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no further cell, and report none that ends from now on."""
        self._stopping.set()

    def run(self, subject: Subject, observers: Observers, turn: Turn) -> None:
        """Run a subject once."""
        if self._stopping.is_set():
            return
        key = subject.cell.id
        odd = True
        self.progress.begin(key)
        try:
            odd = self._run(subject, observers, turn)
        except (BrokenCellError, MatrixError, OSError) as error:
            self._break(subject, " ".join(str(error).split()), observers)
        finally:
            self.progress.end(key, odd=odd)

    def _run(self, subject: Subject, observers: Observers, turn: Turn) -> bool:
        """Run a subject, count it, and return whether it was not as expected."""
        with self._lock:
            number, self._databases = self._databases, self._databases + 1
        result = run_cell(
            subject,
            self.around,
            observers.of(subject.server.name),
            database=database_name(self.watchdog.token, number),
            mark=self.watchdog.mark(number),
            start=self.start_of(subject),
            turn=turn,
        )
        verdict = judge(result.run)
        tally = self.tallies[subject.cell]
        with self._lock:
            shown = tally.add(verdict, versions(result.identity, subject.server, subject.environment))
            self.runs += 1
        odd = tally.deviates(verdict)
        if odd and not self._stopping.is_set():
            self.progress.say(f"not as expected: {subject.cell.id}: {verdict.outcome}")
        if shown and self.evidence_of:
            evidence = self.evidence_of(result.run)
            with self._lock:
                if tally.shown is verdict:
                    tally.evidence = evidence
        return odd

    def _break(self, subject: Subject, why: str, observers: Observers) -> None:
        if self._stopping.is_set():
            return
        with self._lock:
            self.broken[subject.cell.id] = why
        self.progress.say(f"not judged: {subject.cell.id}: {why}")
        observers.forget(subject.server.name)


def work(worker: Worker, tasks: Sequence[Subject], jobs: int, servers: Mapping[str, Server], groups: Groups) -> None:
    """Run all tasks, `jobs` at once and more while some only wait; if this is interrupted, kill what runs."""
    threads = jobs * WAITING
    turns = Turns(jobs)
    with contextlib.ExitStack() as stack:
        # The one that was used last comes first, so that no more connections are opened than are needed.
        idle: queue.LifoQueue[Observers] = queue.LifoQueue()
        for _ in range(threads):
            idle.put(stack.enter_context(contextlib.closing(Observers(servers))))

        def one(subject: Subject) -> None:
            with turns.one() as turn:
                observers = idle.get()
                try:
                    worker.run(subject, observers, turn)
                finally:
                    idle.put(observers)

        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="cell"))
        try:
            futures = [pool.submit(one, subject) for subject in tasks]
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            worker.stop()
            groups.kill_all()
            raise
