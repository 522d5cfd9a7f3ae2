"""What a launcher's page prints runs by itself: pasted into a new folder, with nothing of this repository in reach."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from matrix.catalogue import drivers
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.errors import MissingError
from matrix.pages.facts import Facts, load
from matrix.pages.launched import files_for
from matrix.pages.render import launcher_page
from matrix.process.service import Service
from matrix.process.watchdog import Watchdog
from matrix.records.results import RESULTS
from matrix.run.environment import environment, interpreter, normalised
from matrix.run.services import running_redis
from matrix.servers import Observer, Server, observer, running

UNDER = [(launcher.name, name) for launcher in launchers().values() for name in launcher.facts.applications]
#: What is asked for before and after a worker is killed.
BEFORE, AFTER = range(101, 131), range(131, 161)
PATIENCE = 40
marks = itertools.count((os.getpid() << 32) + (1 << 25))


class NoGroups:
    """Watches nothing."""

    def watch_group(self, pgid: int) -> None:
        """Do nothing."""

    def release_group(self, pgid: int) -> None:
        """Do nothing."""


@pytest.fixture(scope="module")
def watchdog() -> Iterator[Watchdog]:
    with Watchdog() as started:
        yield started


@pytest.fixture(scope="module")
def servers(watchdog: Watchdog) -> Iterator[dict[str, tuple[Server, Observer]]]:
    """The default server of each driver, with a connection to it."""
    names = list(dict.fromkeys(driver.facts.servers[0] for driver in drivers().values()))
    with running(names, watchdog=watchdog) as found, contextlib.ExitStack() as stack:
        looks = {}
        for name, server in found.items():
            if isinstance(server, Server):
                looks[name] = server, observer(server)
                stack.callback(looks[name][1].close)
        yield looks


@pytest.fixture(scope="module")
def redis(watchdog: Watchdog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("redis")
    try:
        with running_redis(folder, watchdog) as path:
            yield path
    except MissingError as error:
        pytest.skip(str(error))


def installed(facts: Facts, launcher: str, application: str) -> tuple[str, Path]:
    """Return a driver for which the page has an answer, and a Python that has it and the launcher."""
    for name, driver in drivers().items():
        if works_with(applications()[application], driver) and files_for(facts, name, application, launcher).best:
            for python in (interpreter(name), interpreter(f"{name}+{launcher}")):
                has = environment(python)
                wanted = [*launchers()[launcher].facts.requires, *applications()[application].facts.requires]
                names = [normalised(re.split(r"[^\w.-]", text)[0]) for text in wanted]
                if has.has(driver) and all(one in has.installed for one in names):
                    return name, python
    pytest.skip(f"{launcher} is in no environment here with a driver for {application}")


class Page:
    """What a program that reads nothing but a page's text makes of it for one application and driver."""

    def __init__(self, text: str, application: str, driver: str) -> None:
        self.anchor = self._smallest(text, application, driver)
        section = re.split(r"^## ", text.partition(f'<a id="{application}"></a>')[2], flags=re.MULTILINE)[0]
        self.files: dict[str, str] = {}
        for anchor in dict.fromkeys((f"{application}-program", self.anchor)):
            part = re.split(r"^### ", section.partition(f'<a id="{anchor}"></a>')[2], flags=re.MULTILINE)[0]
            for name, which, code in re.findall(
                r"^`([^`]+)`(?: with ([\w, ]+))?:\n\n```\w+\n(.*?)\n```$", part, re.MULTILINE | re.DOTALL
            ):
                if not which or driver in which.split(", "):
                    self.files[name] = code + "\n"
        variables = re.search(r"^Environment: (.*)\.$", section, re.MULTILINE)
        assert variables
        self.environ = dict(text.partition("=")[::2] for text in re.findall(r"`([^`]+)`", variables[1]) if "=" in text)
        self.setup = self._command(section, "Set up")
        self.start = self._command(section, "Start")
        self.send = self._command(section, "Send work")

    @staticmethod
    def _smallest(text: str, application: str, driver: str) -> str:
        """Return the anchor of what the page's table names for a driver."""
        rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]
        found = (re.search(rf"\(#({application}-\w+)\)", row[3]) for row in rows if driver in row[1].split(", "))
        return next(match[1] for match in found if match)

    @staticmethod
    def _command(section: str, what: str) -> list[str]:
        found = re.search(rf"{what}: `([^`]+)`", section)
        return found[1].split() if found else []


def rows(lines: list[tuple[float, str]]) -> list[int]:
    """Return the orders in what a program printed; what several processes print may stand in one line."""
    return [int(number) for _, line in lines for number in re.findall(r"order (\d+), session \d+", line)]


def wait_until(done: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


def get(number: int) -> str:
    """Send a request to the program's socket and return the body."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("app.sock")
    try:
        connection.request("GET", f"/{number}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def requests(service: Service, _page: Page) -> list[tuple[float, str]]:
    """Ask for orders, six at a time; kill a worker half-way."""
    wait_until(lambda: Path("app.sock").exists(), "it listens")
    bodies: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        bodies += pool.map(get, BEFORE)
        kill_a_worker(service)
        bodies += pool.map(get, AFTER)
    return [(0.0, f"{number} {body}") for number, body in zip((*BEFORE, *AFTER), bodies, strict=True)]


def tasks(service: Service, page: Page, env: dict[str, str], *, kill: bool) -> list[tuple[float, str]]:
    """Send tasks; kill a worker half-way if the launcher replaces those that die."""
    with Service(page.send, env=env, cwd=Path(), groups=NoGroups(), mark=next(marks), stdin=True) as sender:
        for numbers in (BEFORE, AFTER):
            for number in numbers:
                sender.write(f"{number}\n".encode())
            wait_until(lambda last=numbers[-1]: len(rows(service.lines)) > last - BEFORE[0], str(numbers))  # type: ignore[misc]
            if numbers is BEFORE and kill:
                kill_a_worker(service)
    return service.lines


def kill_a_worker(service: Service) -> None:
    pid = psutil.Process(service.pid).children()[-1].pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in service.descendants(), "the worker is gone")


@pytest.mark.parametrize(("launcher", "application"), UNDER)
def test_what_a_page_prints_runs_in_a_new_folder_and_gets_every_row(
    launcher: str,
    application: str,
    servers: dict[str, tuple[Server, Observer]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = load(RESULTS)
    driver, python = installed(facts, launcher, application)
    page = Page(launcher_page(facts, launcher), application, driver)
    name = drivers()[driver].facts.servers[0]
    if name not in servers:
        pytest.skip(f"there is no {name} here")
    server, look = servers[name]
    for file, text in page.files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    database = f"pasted_{os.getpid()}_{UNDER.index((launcher, application))}"
    stack = applications()[application].facts.stack
    env = {
        "PATH": f"{python.parent}:{os.defpath}",
        "HOME": str(tmp_path),
        "DATABASE_URL": drivers()[driver].url(stack, "tcp", server, database),
        **environment(python).environ(drivers()[driver]),
        **page.environ,
    }
    if launchers()[launcher].facts.service:
        where = {"redis": request.getfixturevalue("redis"), "database": UNDER.index((launcher, application))}
        env |= {one: text.format_map(where) for one, text in launchers()[launcher].facts.environ.items()}
    look.create_database(database)
    try:
        look.create_orders(database)
        for words in (page.setup, page.start, page.send):
            words[:1] = [shutil.which(word, path=env["PATH"]) or word for word in words[:1]]
        if page.setup:
            subprocess.run(page.setup, env=env, check=True, timeout=PATIENCE)
        with Service(page.start, env=env, cwd=tmp_path, groups=NoGroups(), mark=next(marks)) as service:
            if page.send:
                lines = tasks(service, page, env, kill=bool(launchers()[launcher].facts.serving.replace))
            elif "app.sock" in " ".join(page.start):
                lines = requests(service, page)
            else:
                wait_until(lambda: not service.alive, "the program ends")
                service.last_words()
                lines = service.lines
            found = rows(lines)
            log = "\n".join(line for _, line in service.lines[-20:])
    finally:
        look.drop_database(database)
    answers = [int(match[1]) for _, line in lines if (match := re.match(r"(\d+):? order \1, session ", line))]
    wanted = {*BEFORE, *AFTER}
    assert wanted <= set(found), log
    assert page.send or wanted <= set(answers), log
