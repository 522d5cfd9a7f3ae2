"""Runs launcher cells: starts servers and services, runs cells on all cores, writes what was observed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.catalogue.assemble import NONE
from matrix.catalogue.launcher_claims import launcher_cells, launcher_claims, update
from matrix.catalogue.launchers import applications, launchers
from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.records import launcher_results as results
from matrix.records.launchers import LauncherObservation, Load
from matrix.records.outcomes import OUTCOMES, worst
from matrix.records.reading import shown
from matrix.records.results import RESULTS, check_writable
from matrix.run.cell import BrokenCellError, Surroundings, clean_environ, database_name, obstacle
from matrix.run.environment import environment, normalised
from matrix.run.identity import versions
from matrix.run.launching import Launched, LauncherSubject, run_launcher_cell
from matrix.run.options import cores
from matrix.run.progress import Progress
from matrix.run.runner import private_folder
from matrix.run.services import running_redis
from matrix.run.workers import Groups, Observers
from matrix.servers import Server, Unavailable, running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.catalogue.launchers import Launcher
    from matrix.records.evidence import Evidence
    from matrix.records.launchers import LauncherCell, LauncherClaim
    from matrix.records.outcomes import Outcome
    from matrix.run.environment import Environment
    from matrix.run.options import Options

#: Without --only, cells of other transports are not run.
TRANSPORT = "tcp"
PARTS = ("<application>", "<launcher>", "<remedy>", "<driver>", "<server>", "<transport>")


@dataclass
class LauncherSummary:
    """What came of a run; `broken` says of a cell why it could not be judged, `reviewed` names rewritten claims."""

    observations: dict[str, LauncherObservation] = field(default_factory=dict)
    claims: dict[str, LauncherClaim] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    reviewed: list[str] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0

    @property
    def deviations(self) -> list[str]:
        """The cells that showed what is not claimed, or of which nothing is claimed."""
        return [
            key
            for key, seen in self.observations.items()
            if seen.applies and not (key in self.claims and set(seen.seen) <= set(self.claims[key].outcomes))
        ]

    @property
    def status(self) -> int:
        """The exit status: 2 if work could not be done, 1 if a cell is not as expected, else 0."""
        return (
            2 if self.broken or not any(seen.applies for seen in self.observations.values()) else bool(self.deviations)
        )


def chosen(names: Iterable[str], options: Options) -> list[LauncherCell]:
    """Return the cells of some launchers that the options ask for; raise MatrixError for a glob that matches none."""
    names = set(names)
    cells = [cell for cell in launcher_cells(options.root) if cell.launcher in names and cell.driver in options.drivers]
    if options.only:
        cells = catalogue.select(options.only, cells, parts=PARTS)
    else:
        cells = [cell for cell in cells if cell.transport == TRANSPORT]
    return _quick(cells, options) if options.quick else cells


def _quick(cells: Iterable[LauncherCell], options: Options) -> list[LauncherCell]:
    """Return two cells of each application under each launcher: no remedy, and the last that keeps the session.

    The drivers take turns from launcher to launcher, so that each launcher is installed beside few of them. A driver's
    turn does not depend on which others are chosen.
    """
    names = list(launchers(options.root))
    known = sorted({cell.driver for cell in launcher_cells(options.root)})
    claims = {name: launcher_claims(name, options.root, reviewed=False) for name in names}
    groups: dict[tuple[str, str], dict[str, list[LauncherCell]]] = {}
    for cell in cells:
        groups.setdefault((cell.launcher, cell.application), {}).setdefault(cell.driver, []).append(cell)
    found = []
    for (launcher, _), drivers in groups.items():
        turn = names.index(launcher) % len(known)
        mine = drivers[next(name for name in known[turn:] + known[:turn] if name in drivers)]
        good = [cell for cell in mine if (claim := claims[cell.launcher].get(cell)) and claim.outcomes == ("works",)]
        found += [cell for cell in mine if cell.remedy == NONE][:1] + good[-1:]
    return list(dict.fromkeys(found))


def run(cells: list[LauncherCell], options: Options) -> LauncherSummary:
    """Run cells and write what was observed."""
    summary = LauncherSummary()
    names = list(dict.fromkeys(cell.launcher for cell in cells))
    claimed = {
        cell: claim
        for name in names
        for cell, claim in launcher_claims(name, options.root, reviewed=not options.update).items()
    }
    summary.claims = {cell.id: claimed[cell] for cell in cells if cell in claimed}
    check_writable(options.output)
    began = time.monotonic()
    if cells:
        _run(cells, options, summary)
    summary.seconds = time.monotonic() - began
    current = {cell.id for cell in launcher_cells(options.root)}
    for name in names:
        mine = [seen for seen in summary.observations.values() if seen.cell.launcher == name]
        changed = results.write(options.output, name, mine, current)
        for seen in mine:
            if seen.id in summary.evidence and (options.output != RESULTS or (seen.id in changed and not seen.holds)):
                results.write_evidence(options.output, seen.id, summary.evidence[seen.id])
        if options.update:
            summary.reviewed.append(str(shown(update(name, mine, options.root))))
    return summary


def _run(cells: list[LauncherCell], options: Options, summary: LauncherSummary) -> None:
    environments = {name: environment(options.python(name)) for name in {cell.driver for cell in cells}}
    known = launchers(options.root)
    servers_needed = list(dict.fromkeys(cell.server for cell in cells))
    with contextlib.ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())
        servers = stack.enter_context(running(servers_needed, watchdog=watchdog))
        folder = stack.enter_context(private_folder(watchdog))
        services = _services(stack, [known[cell.launcher] for cell in cells], folder, watchdog)
        work = _Work(options, watchdog, servers, services, environments, folder, summary)
        tasks = [cell for cell in cells if work.can_run(cell) for _ in range(options.repeat or 1)]
        progress = stack.enter_context(Progress(len(tasks)))
        work.run_all(tasks, options.jobs or cores(), progress)
    for cell in cells:
        if runs := work.done.get(cell):
            summary.observations[cell.id] = _observation(cell, runs, work.versions[cell])
            summary.evidence[cell.id] = _worst(runs).evidence


def _services(
    stack: contextlib.ExitStack, wanted: Iterable[Launcher], folder: Path, watchdog: Watchdog
) -> dict[str, Path | str]:
    """Start the services that launchers need; what is unavailable is the sentence that says why."""
    found: dict[str, Path | str] = {}
    if any(launcher.facts.service == "redis" for launcher in wanted):
        try:
            found["redis"] = stack.enter_context(running_redis(folder, watchdog))
        except MissingError as error:
            found["redis"] = str(error)
    return found


class _Work:
    """The cells of a run."""

    def __init__(
        self,
        options: Options,
        watchdog: Watchdog,
        servers: Mapping[str, Server | Unavailable],
        services: Mapping[str, Path | str],
        environments: Mapping[str, Environment],
        folder: Path,
        summary: LauncherSummary,
    ) -> None:
        self._options, self._watchdog, self._services = options, watchdog, services
        self._servers, self._environments, self._summary = servers, environments, summary
        self._groups = Groups(watchdog)
        environ = clean_environ(watchdog.environ())
        self._around = Surroundings(options.deadline, self._groups, environ, folder, options.root, None)
        self._lock = threading.Lock()
        self._count = 0
        self.done: dict[LauncherCell, list[Launched]] = {}
        self.versions: dict[LauncherCell, dict[str, str]] = {}

    def can_run(self, cell: LauncherCell) -> bool:
        """Whether a cell can be run here; if not, an observation says why."""
        launcher = launchers(self._options.root)[cell.launcher]
        application = applications(self._options.root)[cell.application]
        server = self._servers[cell.server]
        why = server.reason if isinstance(server, Unavailable) else obstacle(cell.transport, server)
        for requirement in (*launcher.facts.requires, *application.facts.requires):
            if normalised(_distribution(requirement)) not in self._environments[cell.driver].installed:
                why = why or f"{requirement} is not installed in {cell.driver}'s environment"
        if launcher.facts.service and isinstance(said := self._services[launcher.facts.service], str):
            why = why or said
        if why:
            self._summary.observations[cell.id] = LauncherObservation(
                cell=cell, outcome="not applicable", seen={"not applicable": 1}, load=NOTHING, note=why
            )
        return not why

    def _service(self, cell: LauncherCell) -> Path | None:
        found = self._services.get(launchers(self._options.root)[cell.launcher].facts.service or "")
        return found if isinstance(found, Path) else None

    def run_all(self, tasks: list[LauncherCell], jobs: int, progress: Progress) -> None:
        """Run cells, some at once; if this is interrupted, kill what runs."""
        servers = {name: server for name, server in self._servers.items() if isinstance(server, Server)}
        with contextlib.ExitStack() as stack:
            observers = threading.local()

            def one(cell: LauncherCell) -> None:
                if not hasattr(observers, "mine"):
                    observers.mine = Observers(servers)
                    stack.callback(observers.mine.close)
                progress.begin(cell.id)
                good = self._one(cell, observers.mine, progress)
                progress.end(cell.id, odd=not good)

            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(max(1, min(jobs, len(tasks)))))
            futures = [pool.submit(one, cell) for cell in tasks]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                self._groups.kill_all()
                raise

    def _one(self, cell: LauncherCell, observers: Observers, progress: Progress) -> bool:
        """Run a cell once; return whether it was as expected."""
        root = self._options.root
        server = self._servers[cell.server]
        assert isinstance(server, Server)
        application = applications(root)[cell.application]
        with self._lock:
            number, self._count = self._count, self._count + 1
        subject = LauncherSubject(
            cell,
            catalogue.drivers(root)[cell.driver],
            catalogue.stacks(root)[application.facts.stack],
            application,
            launchers(root)[cell.launcher],
            self._environments[cell.driver],
            server,
            self._service(cell),
            number,
        )
        try:
            launched = run_launcher_cell(
                subject,
                self._around,
                observers.of(cell.server),
                database=database_name(self._watchdog.token, number),
                marks=(self._watchdog.mark(2 * number), self._watchdog.mark(2 * number + 1)),
            )
        except (BrokenCellError, MatrixError, OSError) as error:
            with self._lock:
                self._summary.broken[cell.id] = " ".join(str(error).split())
            progress.say(f"not judged: {cell.id}: {self._summary.broken[cell.id]}")
            observers.forget(cell.server)
            return False
        with self._lock:
            self.done.setdefault(cell, []).append(launched)
            self.versions[cell] = versions(launched.identity, server, subject.environment) | self._installed(subject)
            self._summary.runs += 1
        claim = self._summary.claims.get(cell.id)
        if good := claim is not None and launched.verdict.outcome in claim.outcomes:
            return good
        progress.say(
            f"not as expected: {cell.id}: {launched.verdict.outcome}, {launched.load.right} of {launched.load.asked}"
        )
        return False

    def _installed(self, subject: LauncherSubject) -> dict[str, str]:
        """Return the versions of what the launcher and the application require."""
        requirements = (*subject.launcher.facts.requires, *subject.application.facts.requires)
        names = [_distribution(requirement) for requirement in requirements]
        return {name: subject.environment.installed[normalised(name)] for name in names}


#: The load of a cell that was not run.
NOTHING = Load(asked=0, right=0, first_asked=0, first_right=0, workers=0, replaced=0)


def _distribution(requirement: str) -> str:
    from packaging.requirements import Requirement  # noqa: PLC0415

    return Requirement(requirement).name


def _worst(runs: list[Launched]) -> Launched:
    return min(runs, key=lambda run: list(OUTCOMES).index(run.verdict.outcome))


def _observation(cell: LauncherCell, runs: list[Launched], found: dict[str, str]) -> LauncherObservation:
    """Return what is written about a cell: counts over all runs, the rest from the first of the worst."""
    counts: Counter[Outcome] = Counter(run.verdict.outcome for run in runs)
    one = _worst(runs)
    errors = Counter(
        f"{step.exception}: {step.text}" for step in one.verdict.steps if step.result == "raised" and step.text
    )
    parent = one.verdict.parent.session
    return LauncherObservation(
        cell=cell,
        outcome=worst(counts),
        seen={outcome: counts[outcome] for outcome in OUTCOMES if outcome in counts},
        load=one.load,
        program=one.program,
        parent="none" if parent == "own" else parent,
        wrong=sum(step.wrong for step in one.verdict.steps),
        errors=dict(sorted(errors.items(), key=lambda item: -item[1])),
        versions=found,
    )
