"""Runs the matrix: starts servers, runs cells on all cores, compares with the claims, writes what was observed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.catalogue import crossed, crossed_claims
from matrix.catalogue.claims import claims, update
from matrix.errors import MatrixError
from matrix.files import folder_for_sockets
from matrix.pages.facts import load, shown_cells
from matrix.process.execute import start
from matrix.process.preloaded import Interpreters, possible
from matrix.process.watchdog import Watchdog
from matrix.records import crossed_results, results, server_results, version_results
from matrix.records.claim import Claim
from matrix.records.reading import shown
from matrix.records.summary import Summary
from matrix.run.cell import Subject, Surroundings, clean_environ, obstacle
from matrix.run.environment import environment
from matrix.run.options import REPEAT, REPEAT_RACE, cores, default_jobs
from matrix.run.progress import Progress
from matrix.run.tally import Tally, not_applicable
from matrix.run.workers import Groups, Worker, work
from matrix.servers import Server, Unavailable, running, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from matrix.catalogue import Driver
    from matrix.pages.facts import Facts
    from matrix.process.execute import Start
    from matrix.records.evidence import Evidence
    from matrix.records.observation import Coordinates, Observation
    from matrix.records.run import Run
    from matrix.run.environment import Environment
    from matrix.run.options import Options


@dataclass(frozen=True)
class Plan:
    """What is to be run: the chosen cells, what is claimed of them, and each driver with its environment."""

    cells: tuple[Coordinates, ...]
    claimed: Mapping[Coordinates, Claim]
    drivers: Mapping[str, Driver]
    environments: Mapping[str, Environment]
    repeat: int | None
    root: Path

    @property
    def servers(self) -> list[str]:
        """The servers that the cells need."""
        return list(dict.fromkeys(cell.server for cell in self.cells))

    def tasks(self, servers: Mapping[str, Server]) -> list[Subject]:
        """Return a subject for each run of each cell that can be run on these servers.

        What takes longest goes first, so that no core waits for a late straggler: hanging cells, then the ORMs.
        """
        stacks = catalogue.stacks(self.root)
        found = [
            Subject(cell, self.drivers[cell.driver], stacks[cell.stack], self.environments[cell.driver], server)
            for cell in self.cells
            if (server := servers.get(cell.server)) and obstacle(cell.transport, server) is None
            for _ in range(self._times(cell))
        ]
        return sorted(
            found, key=lambda subject: (not self._may_hang(subject.cell), not subject.stack.facts.distribution)
        )

    def _times(self, cell: Coordinates) -> int:
        claim = self.claimed.get(cell)
        return self.repeat or (REPEAT_RACE if claim and claim.is_race else REPEAT)

    def _may_hang(self, cell: Coordinates) -> bool:
        claim = self.claimed.get(cell)
        return claim is not None and "hang" in claim.outcomes


def plan(options: Options) -> Plan:
    """Return what the options ask for; raise MatrixError if any of it is impossible."""
    root = options.root
    servers, configuration = options.servers or None, options.configuration
    drivers = configuration.drivers if configuration else catalogue.drivers(root)
    every = crossed.crossed_cells if options.remedies else catalogue.cells
    among = configuration.cells(servers) if configuration else every(root, servers)
    cells = [cell for cell in catalogue.select(options.only, among) if cell.driver in options.drivers]
    known = catalogue.examples(root)
    for cell in cells:
        if problem := known[cell.stack, crossed_results.parts(cell)[0]].problem:
            raise MatrixError(problem)
    environments = {}
    for name in dict.fromkeys(cell.driver for cell in cells):
        environments[name] = environment(options.python(name))
        if not environments[name].has(drivers[name]):
            raise MatrixError(
                f"{name} is not installed for {shown(options.python(name))};"
                f' nox -s "matrix({name})" makes an environment for it'
            )
    claimed = _claimed(options, environments)
    if configuration:
        recorded = version_results.read(results.RESULTS, configuration.name).observed()
        claimed |= {cell: Claim(tuple(seen), "recorded") for cell, seen in recorded.items() if cell in claimed}
    return Plan(tuple(cells), claimed, drivers, environments, options.repeat, root)


def _claimed(options: Options, drivers: Iterable[str]) -> dict[Coordinates, Claim]:
    if options.remedies:
        return crossed_claims.crossed_claims(options.root, reviewed=not options.update)
    found = (claims(name, options.root, reviewed=not options.update) for name in drivers)
    return {cell: claim for some in found for cell, claim in some.items()}


def run(options: Options) -> Summary:
    """Run the chosen cells and write what was observed; raise MatrixError if nothing could be run at all."""
    planned = plan(options)
    summary = Summary(
        cores=cores(), claims={cell.id: planned.claimed[cell] for cell in planned.cells if cell in planned.claimed}
    )
    if not planned.cells:
        return summary
    results.check_writable(options.output)
    committed = options.output.resolve() == results.RESULTS.resolve() and not options.remedies
    pages = load(options.output, options.root) if committed else None
    began = time.monotonic()
    with Watchdog() as watchdog, running(planned.servers, watchdog=watchdog) as servers:
        found = {name: server for name, server in servers.items() if isinstance(server, Server)}
        summary.servers = [f"{title(server.product)} {server.version} ({server.origin})" for server in found.values()]
        summary.unavailable = {n: s.reason for n, s in servers.items() if isinstance(s, Unavailable)}
        tallies = {cell: Tally(cell, planned.claimed.get(cell)) for cell in planned.cells}
        _run_cells(planned, options, watchdog, found, tallies, summary)
        for cell, tally in tallies.items():
            if seen := _observe(tally, servers[cell.server], summary):
                summary.observations[cell.id] = seen
                if tally.evidence:
                    summary.evidence[cell.id] = tally.evidence
    summary.seconds = time.monotonic() - began
    if options.remedies:
        _write_crossed(planned, options, summary)
    else:
        _write(planned, options, summary, pages)
    return summary


def _observe(tally: Tally, server: Server | Unavailable, summary: Summary) -> Observation | None:
    """Return what is written about a cell, None if it could not be judged."""
    if isinstance(server, Unavailable):
        return not_applicable(tally.cell, server.reason)
    if why := obstacle(tally.cell.transport, server):
        return not_applicable(tally.cell, why)
    return None if tally.cell.id in summary.broken else tally.observation()


def _run_cells(
    planned: Plan,
    options: Options,
    watchdog: Watchdog,
    servers: Mapping[str, Server],
    tallies: Mapping[Coordinates, Tally],
    summary: Summary,
) -> None:
    """Run every cell as often as it is to be run."""
    tasks = planned.tasks(servers)
    groups = Groups(watchdog)
    environ = clean_environ(watchdog.environ())
    jobs = min(options.jobs or default_jobs(), max(1, len(tasks)))
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(len(tasks)))
        folder = stack.enter_context(private_folder(watchdog))
        tap: Tap | None = None
        evidence_of: Callable[[Run], Evidence] | None = None
        if not (options.direct or options.remedies):
            # Imported here so that a run without the wire does without all of it.
            from matrix.run.tap import Tap  # noqa: PLC0415
            from matrix.wire.evidence import timeline  # noqa: PLC0415

            tap, evidence_of = stack.enter_context(Tap(folder)), timeline
        interpreters = stack.enter_context(Interpreters(cwd=options.root, env=environ, groups=groups))
        preloading = possible() and not options.fresh

        def start_of(subject: Subject) -> Start:
            if not preloading:
                return start
            cell = subject.cell
            return interpreters.of(
                subject.environment.interpreter,
                catalogue.preload(cell.stack, cell.driver, options.root),
                subject.environment.environ(subject.driver),
            ).start

        worker = Worker(
            around=Surroundings(options.deadline, groups, environ, folder, options.root, tap),
            tallies=tallies,
            broken=summary.broken,
            progress=progress,
            watchdog=watchdog,
            start_of=start_of,
            evidence_of=evidence_of,
        )
        work(worker, tasks, jobs, servers, groups)
    summary.runs = worker.runs


@contextlib.contextmanager
def private_folder(watchdog: Watchdog) -> Iterator[Path]:
    """Create a private folder for pipes and Unix sockets; 40 bytes of a socket's path may come after it."""
    prefix = f"fc-{watchdog.token}-"
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=folder_for_sockets(f"{prefix}12345678/{40 * 'x'}")))
    except OSError as error:
        raise MatrixError(f"no folder for pipes can be made: {error}; set TMPDIR to another place") from error
    watchdog.watch_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        watchdog.release_folder(folder)


def _write_crossed(planned: Plan, options: Options, summary: Summary) -> None:
    """Write what was observed of crossed cells, and the claims if they are to be rewritten."""
    current = {cell.id for cell in crossed.crossed_cells(options.root)}
    for name in planned.environments:
        observations = [seen for seen in summary.observations.values() if seen.cell.driver == name]
        crossed_results.write(options.output, name, observations, current)
    if options.update:
        observed = {seen.cell: tuple(seen.seen) for seen in summary.observations.values() if seen.applies}
        summary.reviewed += [str(shown(path)) for path in crossed_claims.update(observed, options.root)]


def _write(planned: Plan, options: Options, summary: Summary, pages: Facts | None) -> None:
    """Write observations and evidence, and the claims if they are to be rewritten.

    The repository's own results, which have pages, keep the evidence of those cells alone that the pages draw, and of
    other servers than the default ones no more than the outcomes.
    """
    current = {cell.id for cell in catalogue.cells(options.root)} if pages else None
    keep = shown_cells(pages.updated(summary.observations)) if pages else None
    seen_now = list(summary.observations.values())
    usual = [seen for seen in seen_now if current is None or seen.id in current]
    for server in dict.fromkeys(
        seen.cell.server for seen in seen_now if current is not None and seen.id not in current
    ):
        own = [seen for seen in seen_now if seen.cell.server == server]
        server_results.write(
            options.output, server, own, {cell.id for cell in catalogue.cells(options.root, (server,))}
        )
    for name in planned.environments:
        observations = [seen for seen in usual if seen.cell.driver == name]
        results.write(
            options.output,
            name,
            observations,
            {seen.id: summary.evidence[seen.id] for seen in observations if seen.id in summary.evidence},
            current=current,
            keep_evidence=keep,
        )
        if options.update:
            observed = {s.cell: tuple(s.seen) for s in seen_now if s.applies and s.cell.driver == name}
            summary.reviewed.append(str(shown(update(name, observed, options.root))))
