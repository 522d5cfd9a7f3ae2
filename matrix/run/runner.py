"""Runs the matrix: starts servers, runs cells on all cores, compares with the claims, writes what was observed."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.catalogue import ROOT, Cell
from matrix.catalogue.claims import Claim, claims, update
from matrix.errors import MatrixError
from matrix.process.execute import start
from matrix.process.preloaded import Interpreters, possible
from matrix.process.watchdog import Watchdog
from matrix.records import old_results as observations
from matrix.records.outcomes import OUTCOMES, worst
from matrix.run.cell import BrokenCellError, clean_environ, database_name, obstacle, run_cell
from matrix.run.judge import Verdict, judge
from matrix.run.progress import Progress
from matrix.run.versions import installed, versions
from matrix.servers import Server, Unavailable, observer, running, title
from matrix.wire.evidence import timeline
from matrix.wire.relay import Relay, RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.catalogue import Driver
    from matrix.process.execute import Start
    from matrix.servers import Observer

#: Seconds of silence after which a program counts as hanging.
DEADLINE = 5.0
#: How often a cell is run whose claim allows several outcomes, and how often any other.
REPEAT_RACE, REPEAT = 5, 1


@dataclass(frozen=True)
class Options:
    """What was asked for; see the command line for each."""

    drivers: tuple[str, ...]
    only: tuple[str, ...] = ()
    repeat: int | None = None
    output: Path = observations.RESULTS
    update: bool = False
    jobs: int = 0
    deadline: float = DEADLINE
    direct: bool = False
    fresh: bool = False


@dataclass
class Report:
    """What came of a run: an observation a cell, cells that are not as claimed, and cells that could not be judged."""

    observations: dict[str, dict[str, Any]] = field(default_factory=dict)
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    seconds: float = 0.0
    servers: list[str] = field(default_factory=list)
    reviewed: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: 2 where work could not be done, 1 where a cell is not as claimed, else 0."""
        nothing = bool(self.unavailable) and not self.runs
        return 2 if self.broken or nothing else 1 if self.deviations else 0


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs() -> int:
    """Return how many cells are run at once: two a core, for a cell waits for its server, or a server for it."""
    return 2 * cores()


def run(options: Options) -> Report:
    """Run the chosen cells and write what was observed; raise MatrixError where nothing could be run at all."""
    drivers = catalogue.drivers()
    chosen = [cell for cell in catalogue.select(options.only, catalogue.cells()) if cell.driver in options.drivers]
    if not chosen:
        return Report()
    for cell in chosen:
        if problem := catalogue.examples()[cell.stack, cell.example].problem:
            raise MatrixError(problem)
    wanted = {cell.driver: drivers[cell.driver] for cell in chosen}
    for driver in wanted.values():
        if installed(driver) is None:
            raise MatrixError(
                f'{driver.facts.distributions[0]} is not installed in this environment; nox -s "matrix({driver.name})" makes one'
            )
    claimed = {cell: claim for name in wanted for cell, claim in claims(name, reviewed=not options.update).items()}
    earlier = {name: observations.read(options.output / f"{name}.json") for name in wanted}
    observations.check_writable(options.output)

    began = time.monotonic()
    report = Report()
    with Watchdog() as watchdog:
        names = list(dict.fromkeys(cell.server for cell in chosen))
        with running(names, watchdog=watchdog) as servers:
            found = {name: server for name, server in servers.items() if isinstance(server, Server)}
            report.servers = [f"{title(name)} {server.version} ({server.origin})" for name, server in found.items()]
            report.unavailable = {n: s.reason for n, s in servers.items() if isinstance(s, Unavailable)}
            verdicts, shown = _run_cells(chosen, wanted, found, claimed, options, watchdog, report)
            for cell in chosen:
                claim = claimed.get(cell)
                if cell.server in report.unavailable:
                    report.observations[cell.id] = _not_applicable(cell, report.unavailable[cell.server], claim)
                elif why := obstacle(cell, found[cell.server]):
                    report.observations[cell.id] = _not_applicable(cell, why, claim)
                elif cell.id not in report.broken and verdicts[cell]:
                    seen = versions(cell, wanted[cell.driver], found[cell.server])
                    report.observations[cell.id] = _observation(cell, verdicts[cell], seen, claim)
    report.seconds = time.monotonic() - began

    report.evidence = {cell.id: evidence for cell, evidence in shown.items() if cell.id in report.observations}
    for name, old in earlier.items():
        current = {cell.id for cell in catalogue.cells() if cell.driver == name}
        kept = {key: value for key, value in old.items() if key in current}
        new = {
            key: observations.keep_if_same(old.get(key), value)
            for key, value in report.observations.items()
            if value["driver"] == name
        }
        observations.write(options.output / f"{name}.json", name, (kept | new).values())
        changed = [key for key in new if new[key] is not old.get(key)]
        told = {key: report.evidence[key] for key in new if key in report.evidence}
        observations.write_evidence(options.output / name, told, changed=changed, current=current)
    if options.update:
        for name in wanted:
            report.reviewed.append(str(update(name, _observed(report, chosen, name)).relative_to(ROOT)))
    report.deviations = [
        key
        for key, value in report.observations.items()
        if value["outcome"] != "not applicable" and not set(value["seen"]) <= set(value["expected"])
    ]
    return report


def _run_cells(
    chosen: Sequence[Cell],
    drivers: dict[str, Driver],
    servers: dict[str, Server],
    claimed: dict[Cell, Claim],
    options: Options,
    watchdog: Watchdog,
    report: Report,
) -> tuple[dict[Cell, list[Verdict]], dict[Cell, dict[str, Any]]]:
    """Run every cell as often as it is to be run; return its verdicts, and the evidence of its most telling run."""
    tasks: list[Cell] = []
    for cell in chosen:
        if cell.server in servers and obstacle(cell, servers[cell.server]) is None:
            race = cell in claimed and claimed[cell].is_race
            tasks += [cell] * (options.repeat or (REPEAT_RACE if race else REPEAT))
    # What takes longest goes first, so that no core waits for a late straggler: hanging cells, then the ORMs.
    tasks.sort(
        key=lambda cell: (
            "hang" not in (claimed[cell].outcomes if cell in claimed else ()),
            cell.stack == "bare",
        )
    )
    verdicts: dict[Cell, list[Verdict]] = {cell: [] for cell in chosen}
    shown: dict[Cell, dict[str, Any]] = {}
    numbers = iter(range(len(tasks)))
    lock = threading.Lock()
    stopping = threading.Event()
    idle: queue.SimpleQueue[_Observers] = queue.SimpleQueue()
    jobs = min(options.jobs or default_jobs(), max(1, len(tasks)))
    groups = _Groups(watchdog)
    environ = watchdog.environ()
    relay: Relay | None = None

    def starts(cell: Cell) -> Start:
        """Return what starts a cell's example."""
        if options.fresh or not possible():
            return start
        return interpreters.of(catalogue.preload(cell.stack, cell.driver)).start

    def work(cell: Cell) -> None:
        if stopping.is_set():
            return
        observers = idle.get()
        odd = False
        progress.begin(cell.id)
        try:
            with lock:
                database = database_name(watchdog.token, next(numbers))
            result = run_cell(
                cell,
                drivers[cell.driver],
                servers[cell.server],
                observers.of(cell.server),
                database=database,
                deadline=options.deadline,
                groups=groups,
                environ=environ,
                relay=relay,
                folder=folder,
                start=starts(cell),
            )
            verdict = judge(result)
            odd = cell not in claimed or verdict.outcome not in claimed[cell].outcomes
            with lock:
                so_far = [other.outcome for other in verdicts[cell]]
                verdicts[cell].append(verdict)
                report.runs += 1
                telling = verdict.outcome not in so_far and _telling(verdicts[cell], claimed.get(cell)) is verdict
            if odd:
                progress.say(f"not as claimed: {cell.id}: {verdict.outcome}")
            if telling:
                evidence = timeline(result)
                with lock:
                    if _telling(verdicts[cell], claimed.get(cell)) is verdict:
                        shown[cell] = evidence
        except (BrokenCellError, MatrixError, RelayError, OSError) as error:
            if not stopping.is_set():
                odd = True
                why = " ".join(str(error).split())
                with lock:
                    report.broken[cell.id] = why
                progress.say(f"not judged: {cell.id}: {why}")
                observers.forget(cell.server)
        finally:
            idle.put(observers)
            progress.end(cell.id, odd=odd)

    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(len(tasks)))
        folder = stack.enter_context(_folder(watchdog))
        interpreters = stack.enter_context(Interpreters(cwd=ROOT, env=clean_environ(environ), groups=groups))
        if not options.direct:
            relay = stack.enter_context(Relay())
        for _ in range(jobs):
            idle.put(stack.enter_context(contextlib.closing(_Observers(servers))))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(jobs, thread_name_prefix="cell"))
        futures = [pool.submit(work, cell) for cell in tasks]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            stopping.set()
            groups.kill_all()
            raise
    return verdicts, shown


@contextlib.contextmanager
def _folder(watchdog: Watchdog) -> Iterator[Path]:
    """Create a private folder for Unix sockets, whose paths have to be short."""
    place = None if len(tempfile.gettempdir()) < 40 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=f"fc-{watchdog.token}-", dir=place))
    watchdog.watch_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        watchdog.release_folder(folder)


class _Groups:
    """The process groups that are running: told to the watchdog, and killed where the run is interrupted."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._running: set[int] = set()

    def watch_group(self, pgid: int) -> None:
        self._running.add(pgid)
        self._watchdog.watch_group(pgid)

    def release_group(self, pgid: int) -> None:
        self._running.discard(pgid)
        self._watchdog.release_group(pgid)

    def kill_all(self) -> None:
        for pgid in list(self._running):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pgid, 9)


class _Observers:
    """One worker's connections to the servers, opened when first needed."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self._servers = servers
        self._open: dict[str, Observer] = {}

    def of(self, name: str) -> Observer:
        if name not in self._open:
            self._open[name] = observer(self._servers[name])
        return self._open[name]

    def forget(self, name: str) -> None:
        """Close a connection that may be broken; the next cell opens another."""
        if opened := self._open.pop(name, None):
            with contextlib.suppress(Exception):
                opened.close()

    def close(self) -> None:
        for name in list(self._open):
            self.forget(name)


def _observation(cell: Cell, verdicts: list[Verdict], seen: dict[str, str], claim: Claim | None) -> dict[str, Any]:
    """Return what is written about a cell: the worst that was seen, how often each outcome was, and its telling run."""
    counts = collections.Counter(verdict.outcome for verdict in verdicts)
    shown = _telling(verdicts, claim)
    return {
        **_coordinates(cell),
        "outcome": worst(list(counts)),
        "seen": {name: counts[name] for name in OUTCOMES if name in counts},
        "parent": shown.parent,
        "children": shown.children,
        "server": {"family": cell.server, **shown.server},
        "transcript": observations.shorten(shown.transcript),
        "versions": seen,
        **_expectation(claim),
    }


def _telling(verdicts: Sequence[Verdict], claim: Claim | None) -> Verdict:
    """Return the verdict on the run that is shown: the first that is not as claimed, else the first of the worst."""
    odd = [verdict for verdict in verdicts if claim is None or verdict.outcome not in claim.outcomes]
    outcome = worst([verdict.outcome for verdict in odd or verdicts])
    return next(verdict for verdict in odd or verdicts if verdict.outcome == outcome)


def _not_applicable(cell: Cell, why: str, claim: Claim | None) -> dict[str, Any]:
    """Return what is written about a cell that could not be run here."""
    nothing: dict[str, Any] = {"right": 0, "wrong": 0, "errors": [], "unanswered": []}
    return {
        **_coordinates(cell),
        "outcome": "not applicable",
        "seen": {"not applicable": 1},
        "parent": {**nothing, "session": "none"},
        "children": [],
        "server": {
            "family": cell.server,
            "sessions_before": 0,
            "sessions_after": 0,
            "sessions_used": [],
            "committed": None,
            "lost": [],
            "unwanted": [],
        },
        "transcript": [],
        "versions": {},
        **_expectation(claim),
        "note": why,
    }


def _coordinates(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "stack": cell.stack,
        "example": cell.example,
        "driver": cell.driver,
        "transport": cell.transport,
    }


def _expectation(claim: Claim | None) -> dict[str, Any]:
    return {"expected": list(claim.outcomes) if claim else [], "reason": claim.reason if claim else None}


def _observed(report: Report, chosen: Sequence[Cell], driver: str) -> dict[Cell, tuple[str, ...]]:
    """Return the outcomes that were seen of each cell of a driver that was run."""
    return {
        cell: tuple(report.observations[cell.id]["seen"])
        for cell in chosen
        if cell.driver == driver
        and report.observations.get(cell.id, {}).get("outcome", "not applicable") != "not applicable"
    }
