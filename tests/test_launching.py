"""Launchers that do what they should not: each is one line and leaves no process; what cannot be run says why."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from matrix.catalogue import drivers, stacks
from matrix.catalogue.assemble import assemble, offered
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.catalogue.remedies import remedies
from matrix.errors import MissingError
from matrix.process.service import Service
from matrix.process.watchdog import Watchdog
from matrix.records.launchers import LauncherCell
from matrix.records.reading import ROOT
from matrix.run import launcher_runner, launching, services
from matrix.run.cell import BrokenCellError, Surroundings
from matrix.run.environment import environment
from matrix.run.launcher_runner import LauncherSummary
from matrix.run.options import Options
from matrix.run.workers import Groups
from matrix.servers import Server, Unavailable

FAKES = Path(__file__).parent / "fakes" / "launchers"
#: Marks that no other program of the tests bears.
marks = itertools.count((os.getpid() << 32) + (1 << 24))


class NoObserver:
    """Looks at no server; remembers which databases were dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.connections = 0

    def create_database(self, name: str) -> None:
        """Create nothing."""

    def create_orders(self, name: str) -> None:
        """Create nothing."""

    def drop_database(self, name: str) -> None:
        self.dropped.append(name)

    def sessions(self, name: str) -> list[object]:
        return []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the drivers, stacks, launchers and applications of this one, to change."""
    root = tmp_path / "repository"
    for path in [*{ROOT / stack.folder for stack in stacks().values()}, ROOT / "launchers"]:
        shutil.copytree(path, root / path.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    return root


def server(name: str) -> Server:
    where = ("user", "secret", "127.0.0.1", 1, None, None, None)
    return Server(name, name, name, "1.0", "1", "url", *where)


def subject(root: Path, launcher: str, installed: dict[str, str] | None = None) -> launching.LauncherSubject:
    """Return a cell of a launcher with the first application and driver that fit."""
    facts = launchers(root)[launcher].facts
    known = [applications(root)[name] for name in facts.applications] or list(applications(root).values())
    application, driver = next(
        (one, other) for one in known for other in drivers(root).values() if works_with(one, other)
    )
    name = driver.facts.servers[0]
    found = environment(Path(sys.executable))
    found = msgspec.structs.replace(found, installed=installed or {})
    cell = LauncherCell(application.name, launcher, "none", driver.name, name, "tcp")
    stack = stacks(root)[application.facts.stack]
    return launching.LauncherSubject(cell, driver, stack, application, launchers(root)[launcher], found, server(name))


def add_launcher(root: Path, fake: str, serving: str = 'work = "http"') -> str:
    """Add a launcher that runs a fake, and return its name."""
    folder = root / "launchers" / fake
    folder.mkdir()
    shutil.copy(FAKES / f"{fake}.py", folder / "main.py")
    names = ", ".join(f'"{path.parent.name}"' for path in root.glob("launchers/applications/*/application.toml"))
    (folder / "launcher.toml").write_text(
        f'title = "{fake}"\norder = 99\nforks = ""\ninherits = ""\nleaves = ""\nhooks = []\napplications = [{names}]\n'
        f'[serving]\ncommand = ["{{python}}", "main.py", "{{socket}}"]\n{serving}\n'
    )
    return fake


def children() -> set[int]:
    """Return the processes below this one, which adopts what is orphaned."""
    return {each.pid for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize(
    ("fake", "line"),
    [
        ("never_comes_up", "never_comes_up did not come up: starting"),
        ("dies_at_start", "dies_at_start exited with status 1: Error: no worker could be started"),
        ("daemonises", "daemonises exited with status 0: going to the background"),
        (
            "takes_its_socket_twice",
            "takes_its_socket_twice exited with status 1: OSError: [Errno 98] Address already in use",
        ),
        (
            "fails_to_import",
            "fails_to_import exited with status 1: ModuleNotFoundError: No module named 'shop_that_is_not_there'",
        ),
        (
            "prints_more",
            "prints_more exited with status 22: ModuleNotFoundError: No module named 'shop_that_is_not_there'",
        ),
        ("serves_nothing", "the application reported nothing: listening"),
        ("ignores_sigterm", "the application reported nothing: listening"),
    ],
)
def test_a_launcher_that_cannot_be_judged_is_one_line_and_leaves_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch, fake: str, line: str
) -> None:
    monkeypatch.setattr(launching, "STARTING", 0.7 if fake == "never_comes_up" else 20.0)
    monkeypatch.setattr(launching, "STOPPING", 0.5)
    assert problem(repository, subject(repository, add_launcher(repository, fake))) == line


@pytest.mark.parametrize(
    ("serving", "line"),
    [
        (
            'work = "tasks"\nup = "listening"\nsend = ["{python}", "-c", "import sys; sys.exit(\'no broker\')"]',
            "the program that sends tasks ended: no broker",
        ),
        (
            'work = "tasks"\nup = "listening"\nsend = ["{python}", "-c", "import sys; input(); sys.exit(\'broken\')"]',
            "the program that sends tasks ended: broken",
        ),
        (
            'work = "http"\nsetup = ["{python}", "-c", "import sys; sys.exit(\'no such table\')"]',
            "the set-up failed: no such table",
        ),
    ],
)
def test_a_broker_or_a_table_that_is_not_there_is_one_line_and_leaves_nothing(
    repository: Path, serving: str, line: str
) -> None:
    assert problem(repository, subject(repository, add_launcher(repository, "serves_nothing", serving))) == line


def problem(repository: Path, one: launching.LauncherSubject) -> str:
    """Run a cell that cannot be judged, check that it leaves nothing, and return the line that says why."""
    before, observer = children(), NoObserver()
    with Watchdog() as watchdog:
        folder = repository / "run"
        folder.mkdir()
        groups = Groups(watchdog)
        around = Surroundings(0.5, groups, dict(os.environ), folder, repository, None)
        with pytest.raises(BrokenCellError) as caught:
            launching.run_launcher_cell(
                one,
                around,
                observer,  # type: ignore[arg-type]
                database="db",
                marks=(next(marks), next(marks)),
            )
    assert observer.dropped == ["db"]
    assert not list(folder.iterdir())
    deadline = time.monotonic() + 5
    while children() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children() <= before
    return str(caught.value)


class NoGroups:
    """Watches nothing."""

    def watch_group(self, pgid: int) -> None:
        """Do nothing."""

    def release_group(self, pgid: int) -> None:
        """Do nothing."""


def test_a_service_that_ignores_its_signal_is_killed_with_what_it_started(tmp_path: Path) -> None:
    command = [sys.executable, str(FAKES / "ignores_sigterm.py"), str(tmp_path / "s")]
    with Service(command, env=os.environ, cwd=tmp_path, groups=NoGroups(), mark=next(marks)) as service:
        assert service.wait((tmp_path / "s").exists, 20)
        assert not service.stop(signal.SIGTERM, 0.3)
        assert service.alive
        pid = service.pid
    assert not psutil.pid_exists(pid)


def test_waiting_for_a_quiet_service_ends_in_time_and_for_a_busy_one_goes_on(tmp_path: Path) -> None:
    def waited(code: str) -> float:
        command = [sys.executable, "-c", code]
        with Service(command, env=os.environ, cwd=tmp_path, groups=NoGroups(), mark=next(marks)) as service:
            assert service.wait(lambda: bool(service.lines), 20)
            began = time.monotonic()
            assert not service.wait(lambda: False, 0.2)
            return time.monotonic() - began

    assert 0.2 <= waited("import time; print(1, flush=True); time.sleep(60)") < 1.5
    assert waited("print(1, flush=True)\nwhile True: pass") > 1.5


def work(root: Path, one: launching.LauncherSubject, watchdog: Watchdog, **services: Path | str) -> LauncherSummary:
    """Ask whether a cell can be run, and return the summary of a run that asked."""
    cell, summary = one.cell, LauncherSummary()
    options = Options(drivers=(cell.driver,), root=root)
    environments = {cell.driver: one.environment}
    running = {cell.server: one.server}
    asked = launcher_runner._Work(options, watchdog, running, services, environments, root, summary)
    can = asked.can_run(cell)
    assert can == (cell.id not in summary.observations)
    return summary


def requiring(root: Path) -> list[str]:
    """Return the launchers that require a distribution."""
    return [name for name, launcher in launchers(root).items() if launcher.facts.requires]


@pytest.mark.parametrize("name", requiring(ROOT))
def test_a_launcher_that_is_not_installed_is_not_applicable(name: str) -> None:
    one = subject(ROOT, name)
    requirement = one.launcher.facts.requires[0]
    with Watchdog() as watchdog:
        (seen,) = work(ROOT, one, watchdog, redis="no").observations.values()
    assert seen.outcome == "not applicable"
    assert seen.note == f"{requirement} is not installed in {one.cell.driver}'s environment"


def test_a_launcher_whose_service_is_missing_is_not_applicable(repository: Path) -> None:
    name = add_launcher(repository, "serves_nothing")
    path = repository / "launchers" / name / "launcher.toml"
    path.write_text('service = "redis"\n' + path.read_text())
    one = subject(repository, name)
    with Watchdog() as watchdog:
        (seen,) = work(repository, one, watchdog, redis="there is no redis-server here").observations.values()
        assert (seen.outcome, seen.note) == ("not applicable", "there is no redis-server here")
        assert not work(repository, one, watchdog, redis=repository / "redis").observations


def test_a_launcher_on_a_server_that_is_not_there_is_not_applicable(repository: Path) -> None:
    one = subject(repository, add_launcher(repository, "serves_nothing"))
    gone = replace(one, server=Unavailable(one.cell.server, "no server here"))  # type: ignore[arg-type]
    with Watchdog() as watchdog:
        (seen,) = work(repository, gone, watchdog).observations.values()
    assert seen.note == "no server here"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'no memory' >&2; exit 1", "redis-server does not start here: no memory"),
        ("exit 1", "redis-server does not start here: it said nothing"),
        ("sleep 600", "redis-server does not start here: it said nothing"),
    ],
)
def test_a_redis_that_does_not_start_is_one_line_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(services, "PATIENCE", 0.5)
    before = children()
    with Watchdog() as watchdog:
        with pytest.raises(MissingError) as caught, services.running_redis(tmp_path, watchdog):
            pytest.fail("it runs")
        assert str(caught.value) == why
    assert children() <= before


class Stop(Exception):  # noqa: N818 - is no error
    """What a run was about to start is known."""


def run_files(root: Path, one: launching.LauncherSubject, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the files that a cell's launcher is started with."""
    found: dict[str, str] = {}

    def start(_subject: object, _around: object, folder: Path, *_: object) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
        raise Stop

    monkeypatch.setattr(launching, "_Running", start)
    (root / "run").mkdir(exist_ok=True)
    around = Surroundings(1, NoGroups(), {}, root / "run", root, None)
    with pytest.raises(Stop):
        launching.run_launcher_cell(one, around, NoObserver(), database="db", marks=(1, 2))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", [name for name, launcher in launchers().items() if launcher.facts.points])
def test_a_changed_wiring_changes_what_is_printed_and_what_is_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(repository, changed)
    for path in changed.glob("launchers/*/launcher.toml"):  # a launcher may be like another
        text = path.read_text().replace("{code}\n", "{code}\n{code}\n").replace('{code}"', '{code}\\n{code}"')
        path.write_text(text)
    one = subject(repository, name)
    places = one.launcher.facts.points.keys()
    offers = {
        remedy.name
        for remedy in remedies(repository).values()
        if remedy.stack == one.application.facts.stack
        and places & remedy.points.keys()
        and one.driver.facts.runs(remedy.stack, remedy.needs)
    } & set(offered(one.cell.application, name, repository))
    offers -= one.application.facts.instead.keys() | one.launcher.facts.instead.keys()
    assert offers
    for remedy in offers:
        cell = msgspec.structs.replace(one.cell, remedy=remedy)
        was, now = (assemble(cell.application, name, remedy, cell.driver, root) for root in (repository, changed))
        assert now.files != was.files
        assert run_files(repository, replace(one, cell=cell), monkeypatch) == was.program
        assert run_files(changed, replace(subject(changed, name), cell=cell), monkeypatch) == now.program


def test_the_quick_subset_has_each_application_under_each_launcher_and_each_driver() -> None:
    everything = launcher_runner.chosen(launchers(), Options(drivers=tuple(drivers())))
    quick = launcher_runner.chosen(launchers(), Options(drivers=tuple(drivers()), quick=True))
    assert set(quick) < set(everything)
    under = {(cell.application, cell.launcher) for cell in everything}
    assert {(cell.application, cell.launcher) for cell in quick if cell.remedy == "none"} == under
    assert {cell.driver for cell in quick} == {cell.driver for cell in everything}
    assert len(quick) <= 2 * len(under)
