"""Runs the programs, one after the other, and makes costs of what they measured."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from matrix import catalogue
from matrix.costs import samples
from matrix.costs.plan import PROGRAMS_BY_QUESTION, places, rounds
from matrix.errors import MatrixError
from matrix.process.execute import execute
from matrix.process.watchdog import Watchdog
from matrix.records import costs as records
from matrix.records.costs import Machine
from matrix.run.cell import LEAVING, clean_environ, database_name, obstacle
from matrix.run.channel import VARIABLE, StepChannel
from matrix.run.environment import environment, normalised
from matrix.run.identity import mismatch
from matrix.run.options import cores
from matrix.run.progress import Progress
from matrix.run.workers import Groups
from matrix.servers import Server, names, observer, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matrix.costs.plan import Program
    from matrix.process.execute import Execution
    from matrix.records.costs import Cost, Costs, Place
    from matrix.records.steps import Step
    from matrix.records.wire import Connection
    from matrix.run.environment import Environment
    from matrix.servers import Unavailable

#: Seconds of silence after which a program counts as hanging.
DEADLINE = 20.0
#: Seconds for which it is watched, before each program, how busy others keep the machine.
IDLE = 0.1


@dataclass
class Measured:
    """What came of a run: all costs that the file holds now, which are new, and what could not be measured."""

    known: Costs
    new: list[Cost]
    machine: Machine
    broken: dict[str, str] = field(default_factory=dict)
    unavailable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    """What all programs of a run share."""

    watchdog: Watchdog
    groups: Groups
    folder: Path
    environments: Mapping[str, Environment]
    servers: Mapping[str, Server | Unavailable]
    rounds: int


def measure(wanted: Sequence[Place], interpreters: Mapping[str, Path], wanted_rounds: int, output: Path) -> Measured:
    """Measure at some places, and write what was measured; raise MatrixError if nothing could be run at all."""
    known, environments = catalogue.drivers(), {}
    for name in dict.fromkeys(place.driver for place in wanted):
        environments[name] = environment(interpreters[name])
        if not environments[name].has(known[name]):
            raise MatrixError(f"{name} is not installed for {interpreters[name]}")
    new: list[Cost] = []
    broken: dict[str, str] = {}
    unavailable: dict[str, str] = {}
    busy: list[float] = []
    needed = list(dict.fromkeys(place.server for place in wanted))
    with Watchdog() as watchdog, running(needed, watchdog=watchdog) as servers:
        folder = Path(tempfile.mkdtemp(prefix=f"fc-{watchdog.token}-"))
        watchdog.watch_folder(folder)
        try:
            run = _Run(watchdog, Groups(watchdog), folder, environments, servers, wanted_rounds)
            with Progress(len(wanted), "programs") as progress:
                for number, place in enumerate(wanted):
                    if why := _obstacle(run, place):
                        unavailable[f"{place.server} {place.transport}"] = why
                        continue
                    progress.begin(place.id)
                    busy.append(psutil.cpu_percent(IDLE) / 100)
                    try:
                        new += _measure(run, place, number)
                    except (MatrixError, OSError, psutil.Error) as error:
                        broken[place.id] = " ".join(str(error).split())
                        progress.say(f"not measured: {place.id}: {broken[place.id]}")
                    progress.end(place.id)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            watchdog.release_folder(folder)
    machine = _machine(environments, servers, statistics.mean(busy) if busy else 0.0)
    every = {place.id for place in places(names())}
    written = records.write(output, machine, new, current=every) if new else records.read(output)
    return Measured(written, new, machine, broken, list(dict.fromkeys(unavailable.values())))


def _obstacle(run: _Run, place: Place) -> str | None:
    if place.question == "memory" and not hasattr(psutil.Process().memory_full_info(), "pss"):
        return "this system does not say how much of their memory processes share; Linux does"
    server = run.servers[place.server]
    return obstacle(place.transport, server) if isinstance(server, Server) else server.reason


def _measure(run: _Run, place: Place, number: int) -> list[Cost]:
    """Run a place's program in a database of its own, and return the costs that follow from what it measured."""
    server = run.servers[place.server]
    assert isinstance(server, Server)
    program = PROGRAMS_BY_QUESTION[place.question]
    driver, stack = catalogue.drivers()[place.driver], catalogue.stacks()[place.stack]
    database = database_name(run.watchdog.token, number)
    environ = clean_environ(run.watchdog.environ())
    observing = observer(server)
    try:
        observing.create_database(database)
        memory = _Memory()
        with (
            _reached(run, program, server, place) as (reached, connections),
            StepChannel(run.folder / database, memory.look) as channel,
        ):
            execution = execute(
                [
                    str(run.environments[place.driver].interpreter),
                    "-m",
                    program.module,
                    str(rounds(place.question, run.rounds)),
                    place.stack,
                ],
                env={
                    **environ,
                    **run.environments[place.driver].environ(driver),
                    "DATABASE_URL": driver.url(place.stack, place.transport, reached, database),
                    VARIABLE: str(channel.path),
                },
                cwd=catalogue.ROOT,
                deadline=DEADLINE,
                groups=run.groups,
                mark=run.watchdog.mark(number),
                channel=channel,
            )
        _check(execution, channel, place)
        if wrong := mismatch(channel.identities, driver, stack, server, run.environments[place.driver]):
            raise MatrixError(wrong)
        if program.wire:
            return samples.round_trips(place, connections)
        if memory.workers:
            return samples.memory(place, *memory.by_parent())
        return samples.costs(place, samples.read_samples(execution.output))
    finally:
        observing.drop_database(database)
        observing.close()


@contextlib.contextmanager
def _reached(run: _Run, program: Program, server: Server, place: Place) -> Iterator[tuple[Server, list[Connection]]]:
    """Yield the server as a program reaches it, and a list that holds what went over the wire afterwards, if asked."""
    if not program.wire:
        yield server, []
        return
    from matrix.run.tap import Tap  # noqa: PLC0415 - everything else does without the wire

    with Tap(run.folder) as tap, tap.on(server, place.transport, settle=LEAVING) as reached:
        yield reached


def _check(execution: Execution, channel: StepChannel, place: Place) -> None:
    """Raise MatrixError if a program did not end well, or did not connect as it should."""
    if channel.problem:
        raise channel.problem
    if execution.timed_out:
        raise MatrixError("hangs")
    if execution.returncode:
        ended = execution.signal or f"exit status {execution.returncode}"
        raise MatrixError(f"{ended}: {(execution.errors.strip().splitlines() or ['it printed nothing'])[-1]}")
    if execution.left_behind:
        raise MatrixError(f"left {execution.left_behind} of its processes running")
    used = [step.text for step in channel.steps if step.action == "prepare" and step.result]
    if used != [place.transport]:
        raise MatrixError(f"could not prepare its orders over {place.transport}: {', '.join(map(str, used))}")


class _Memory:
    """Looks at the memory of workers that wait for it, all of a parent's at once, and has them go on."""

    def __init__(self) -> None:
        #: The bytes of each worker by its parent, in order, and by the step after which it was looked at.
        self.workers: dict[int, dict[str, list[float]]] = {}
        self._waiting: dict[str, list[int]] = {}

    def look(self, ended: list[Step]) -> None:
        """Take note of the workers that have reported one of these steps; look when a parent's are all there."""
        for step in ended:
            if step.action not in samples.MEMORY:
                continue
            waiting = self._waiting.setdefault(step.action, [])
            waiting.append(step.pid)
            parent = psutil.Process(step.pid).parent()
            if parent is None or len(waiting) < len(parent.children()):
                continue
            proportional = [float(psutil.Process(pid).memory_full_info().pss) for pid in waiting]
            self.workers.setdefault(parent.pid, {})[step.action] = proportional
            del self._waiting[step.action]
            for pid in waiting:
                os.kill(pid, signal.SIGUSR1)

    def by_parent(self) -> list[dict[str, list[float]]]:
        """Return what the workers of the first parent and those of the second need; raise MatrixError without both."""
        if len(self.workers) != 2:
            raise MatrixError("its workers did not wait to be looked at")
        return list(self.workers.values())


def _machine(
    environments: Mapping[str, Environment], servers: Mapping[str, Server | Unavailable], busy: float
) -> Machine:
    """Return what is known of the machine and of what was measured on it."""
    versions = {server.name: server.version for server in servers.values() if isinstance(server, Server)}
    for name, each in environments.items():
        facts = catalogue.drivers()[name].facts
        orms = [stack.facts.distribution for stack in catalogue.stacks().values() if stack.facts.distribution]
        found = [
            f"{d} {each.installed[normalised(d)]}"
            for d in (*facts.distributions, *orms)
            if normalised(d) in each.installed
        ]
        versions[name] = ", ".join([*found, f"Python {each.python}", f"OpenSSL {each.openssl}"])
    return Machine(
        cpu=_cpu(),
        cores=cores(),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        busy=round(busy, 2),
        versions=versions,
    )


def _cpu() -> str:
    """Return the name of the processor's model, or of its architecture if the system does not say."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.machine()
