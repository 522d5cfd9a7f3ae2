"""What the examples share: each step is a printed line and a record, and a driver's facts say what differs."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from matrix.catalogue import ROOT, Cell, cells, drivers, module
from matrix.errors import UnreadableError
from matrix.process.watchdog import Watchdog
from matrix.records.steps import Identity, Record, Step, read_records
from matrix.run.environment import environment, interpreter
from matrix.servers import Observer, Server, observer, running

FACTS = """\
schemes = ["{scheme}"]
module = "made_up"
protocol = "mysql"
code = "{code}"
stacks = {{bare = {{}}}}
"""
PRELUDE = """\
import os, sys, threading, types
from example_support import transcript
from example_support.transcript import step, wait_for, answer, done

class Error(Exception):
    __module__ = "made_up.errors"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with what the examples share and one made-up driver, `some`, for URLs that begin with `some://`."""
    shutil.copytree(ROOT / "example_support", tmp_path / "example_support")
    add_driver(tmp_path, "some", code="args.0")
    return tmp_path


def add_driver(repository: Path, name: str, *, code: str, scheme: str = "some") -> None:
    folder = repository / "drivers" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "driver.toml").write_text(FACTS.format(scheme=scheme, code=code))
    (folder / "connection.py").write_text("")


def run(
    command: list[str], folder: Path, url: str, pipe: Path | None = None, needed: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], list[Record]]:
    """Run a program with a pipe for its records, if there is to be one, and return what it printed and recorded.

    `needed` are the variables that its driver needs.
    """
    environ = {name: value for name, value in os.environ.items() if name not in ("STEP_RECORDS", "DATABASE_URL")}
    environ |= {**(needed or {}), "DATABASE_URL": url}
    received: list[bytes] = []
    if pipe is None:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False)
        return done, []
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reader, True)

    def receive() -> None:
        while data := os.read(reader, 65_536):
            received.append(data)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    try:
        environ["STEP_RECORDS"] = str(pipe)
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False)
    finally:
        os.close(writer)
        thread.join(10)
        os.close(reader)
    return done, read_records(b"".join(received))


def steps_of(repository: Path, program: str) -> tuple[list[Step], str]:
    """Return the steps that a program recorded, and what it printed."""
    done, records = run([sys.executable, "-c", PRELUDE + program], repository, "some://", repository / "pipe")
    assert (done.returncode, done.stderr) == (0, "")
    return [record for record in records if isinstance(record, Step)], done.stdout


def printed(step: Step) -> str:
    """Return the line that is printed for a step."""
    who = f"{step.who}/{step.thread}" if step.thread else step.who
    line = f"{datetime.fromtimestamp(step.at, UTC):%H:%M:%S.%f} {who:<8} {step.pid} {step.name}"
    return f"{line}: {step.outcome}" if step.result else line


# With a made-up driver.


def test_a_step_that_is_awaited_is_recorded_as_any_other(repository: Path) -> None:
    steps, output = steps_of(
        repository,
        """
import asyncio
from example_support.transcript import async_read_order, async_step

async def row():
    return 101, 33

async def fail(text):
    raise Error(1205, text)

async def main():
    print(await async_read_order("look up", row, 101), flush=True)
    print(await async_step("insert", fail, "too late", about=1001), flush=True)

asyncio.run(main())
""",
    )
    outcomes = [step.outcome for step in steps[1::2]]
    assert outcomes == ["order 101, session 33", "raised made_up.errors.Error 1205: too late"]
    assert [line for line in output.splitlines() if " " not in line] == ["101", "None"]


def test_exceptions_may_be_another_packages_and_some_may_lack_a_code(repository: Path) -> None:
    add_driver(repository, "some", code='sqlstate?"\nerrors = "made_up')
    path = repository / "drivers" / "some" / "driver.toml"
    path.write_text(path.read_text().replace('module = "made_up"', 'module = "driver"'))
    steps, _ = steps_of(
        repository,
        """
class WithCode(Error):
    sqlstate = "08003"

def fail(error):
    raise error

step("close", fail, WithCode("closed"))
step("close", fail, Error("never opened"))
""",
    )
    assert [step.code for step in steps[1::2]] == ["08003", None]


def test_a_step_is_recorded_and_printed_when_it_begins_and_when_it_ends(repository: Path) -> None:
    steps, output = steps_of(
        repository,
        """
step("connect", lambda: 1, result=lambda _: done(33))
step("look up", lambda: (101, 33), about=101, result=answer)
step("look up", lambda: None, about=102, result=answer)
step("look up", lambda: ("x", b"y"), about=103, result=answer)
step("transaction state", lambda: "autocommit on", result=transcript.state)
step("prepare", lambda: None, result=lambda _: done(text="tls"))
step("close", lambda: None)
""",
    )
    assert output.splitlines() == [printed(step) for step in steps]
    assert [step.result for step in steps[::2]] == [None] * 7
    assert [step.outcome for step in steps[1::2]] == [
        "done, session 33",
        "order 101, session 33",
        "nothing",
        "row ('x', b'y')",
        "autocommit on",
        "done, over tls",
        "done",
    ]
    assert {(step.who, step.thread) for step in steps} == {("parent", "")}
    assert (steps[3].order, steps[3].session, steps[3].about) == (101, 33, 101)


def test_children_and_threads_are_named_and_their_ends_recorded(repository: Path) -> None:
    steps, output = steps_of(
        repository,
        """
for end in (lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)):
    pid = os.fork()
    if pid == 0:
        step("close", lambda: None)
        end()
    wait_for(pid)
thread = threading.Thread(target=step, args=("close", lambda: None), name="report")
thread.start()
thread.join()
""",
    )
    assert sorted(output.splitlines()) == sorted(map(printed, steps))
    assert {step.who for step in steps} == {"parent", "child 1", "child 2"}
    assert [step.outcome for step in steps if step.action == "wait" and step.result] == ["exit 3", "signal SIGKILL"]
    assert [step.thread for step in steps if step.who == "parent"][-2:] == ["report", "report"]


@pytest.mark.parametrize(
    ("facts", "error", "code", "text"),
    [
        ("args.0", "Error(2013, 'Lost connection')", "2013", "Lost connection"),
        ("args.0", "Error(-1, 'pure Python')", "-1", "pure Python"),
        ("args.0", "Error(0, '')", None, "(0, '')"),
        ("args.0", "Error('no number')", None, "no number"),
        ("errno", "error", "-1", "the server has gone"),
        ("sqlstate", "error", "57P01", "the server has gone"),
        ("strerror", "error", None, "the server has gone"),
        (
            "args.0.C",
            "Error({'C': '57P01', 'M': 'the server has gone'})",
            "57P01",
            "{'C': '57P01', 'M': 'the server has gone'}",
        ),
        ("args.0.C", "Error('the server has gone')", None, "the server has gone"),
        ("args.1", "Error('alone')", None, "alone"),
        ("sqlstate", "ConnectionResetError(104, 'Connection reset by peer')", "104", "Connection reset by peer"),
        ("args.0", "KeyError(7)", None, "7"),
        ("args.0", "Error('one\\ntwo')", None, "one"),
    ],
)
def test_an_exception_carries_its_code_where_the_drivers_facts_say(
    repository: Path, facts: str, error: str, code: str | None, text: str
) -> None:
    add_driver(repository, "some", code=facts)
    steps, output = steps_of(
        repository,
        f"""
error = Error("the server has gone")
error.errno, error.sqlstate, error.strerror = -1, "57P01", None
def fail(): raise {error}
step("look up", fail, about=1)
""",
    )
    assert (steps[1].result, steps[1].code, steps[1].text) == ("raised", code, text)
    assert output.splitlines()[1] == printed(steps[1])


def test_an_exception_without_the_attribute_that_the_facts_name_is_trouble(repository: Path) -> None:
    add_driver(repository, "some", code="errno")
    with pytest.raises(UnreadableError, match=r"where exceptions carry their code is not known: .*'errno'"):
        steps_of(repository, 'def fail(): raise Error("gone")\nstep("look up", fail, about=1)')


def test_the_exception_that_an_orm_wraps_gives_code_and_text(repository: Path) -> None:
    steps, _ = steps_of(
        repository,
        """
transcript.original = lambda error: error.__cause__ or error
def fail():
    raise ValueError("the ORM's words") from Error(2006, "gone away")
step("look up", fail, about=1)
""",
    )
    assert (steps[1].exception, steps[1].text) == ("builtins.ValueError 2006", "gone away")


def test_a_record_fits_into_one_write_whatever_its_text(repository: Path) -> None:
    steps, output = steps_of(
        repository,
        """
def fail(text): raise Error(text)
for text in ("x" * 9000, chr(0x20ac) * 3000, chr(0) * 3000, "surrogate " + chr(0xdc80)):
    step("close", fail, text)
""",
    )
    texts = [step.text or "" for step in steps[1::2]]
    assert texts[0].startswith("x" * 3000)
    assert texts[1].startswith("\u20ac" * 500)
    assert texts[3] == "surrogate ?"
    assert all(len(text) < select.PIPE_BUF for text in texts)
    assert "x" * 9000 in output


def test_records_of_several_processes_do_not_mix(repository: Path) -> None:
    steps, _ = steps_of(
        repository,
        """
def fail(): raise Error("x" * 3000)
pids = []
for child in range(4):
    pids.append(os.fork())
    if pids[-1] == 0:
        for number in range(50):
            step("look up", fail, about=number)
        os._exit(0)
for pid in pids:
    wait_for(pid)
""",
    )
    assert len(steps) == 4 * 50 * 2 + 4 * 2


def test_without_a_pipe_only_lines_are_printed(repository: Path) -> None:
    done, _ = run([sys.executable, "-c", PRELUDE + 'step("close", lambda: None)'], repository, "some://")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["close", "done"]


@pytest.mark.parametrize(
    ("url", "others", "words"),
    [
        ("", {}, ["DATABASE_URL is not set"]),
        ("sme://", {}, ["sme://", "did you mean some://"]),
        ("some://", {"other": "some"}, ["other and some both claim", "some://"]),
    ],
)
def test_a_url_that_names_no_driver_or_two_is_one_line(
    repository: Path, url: str, others: dict[str, str], words: list[str]
) -> None:
    for name, scheme in others.items():
        add_driver(repository, name, code="args.0", scheme=scheme)
    done, _ = run([sys.executable, "-c", PRELUDE], repository, url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


# With the real drivers and servers.


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, tuple[Server, Observer]]]:
    """Every server that is available here, with a connection to it."""
    with Watchdog() as watchdog, running(sorted({cell.server for cell in cells()}), watchdog=watchdog) as found:
        started = {name: server for name, server in found.items() if isinstance(server, Server)}
        looks = {name: observer(server) for name, server in started.items()}
        yield {name: (server, looks[name]) for name, server in started.items()}
        for look in looks.values():
            look.close()


KINDS = [cell for cell in cells() if cell.example == "spawned_children" and cell.transport == "tls"]


@pytest.mark.parametrize("cell", KINDS, ids=lambda cell: cell.id)
def test_spawned_children_record_too_and_the_connection_in_use_says_what_it_is(
    cell: Cell, servers: dict[str, tuple[Server, Observer]], tmp_path: Path
) -> None:
    server, look = servers[cell.server]
    database = f"example_support_{KINDS.index(cell)}"
    look.create_database(database)
    driver, place = drivers()[cell.driver], environment(interpreter(cell.driver))
    try:
        url = driver.url(cell.stack, cell.transport, server, database)
        command, needed = [str(place.interpreter), "-m", module(cell)], place.environ(driver)
        done, records = run(command, ROOT, url, tmp_path / "pipe", needed)
    finally:
        look.drop_database(database)
    assert done.returncode == 0, done.stderr
    steps = [record for record in records if isinstance(record, Step)]
    assert sorted(done.stdout.splitlines()) == sorted(map(printed, steps))
    assert {step.who for step in steps} == {"parent", "child 1", "child 2"}
    assert all(step.right for step in steps if step.action == "look up" and step.result)
    (identity,) = (record for record in records if isinstance(record, Identity))
    facts = driver.facts
    assert (identity.module, identity.implementation) == (facts.module, facts.implementation)
    assert identity.distribution in facts.distributions
    assert server.version in identity.server
    assert identity.stack.partition(" ")[0].lower() == cell.stack
    prepared = next(step for step in steps if step.action == "prepare" and step.result)
    assert (prepared.text, prepared.pid) == (cell.transport, identity.pid)
    assert records.index(identity) < records.index(prepared)
