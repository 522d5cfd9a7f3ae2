"""Copies of a preloaded interpreter: a program must not be able to tell that it runs in one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.catalogue import STACKS, cells, drivers, preload, stacks
from matrix.process.execute import Execution, Start, execute, start
from matrix.process.preloaded import Interpreters
from matrix.run.environment import environment, interpreter, normalised
from tests.test_execute import FAKES, NoGroups, alive, marks

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
HERE = Path(sys.executable)
PRELOADED = ("decimal", "multiprocessing.util", "signal")


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Interpreters]:
    with Interpreters(cwd=FAKES, env=dict(os.environ), groups=NoGroups()) as opened:
        yield opened


def run(
    fake: str,
    start: Start,
    *,
    deadline: float = 5,
    python: Path = HERE,
    needed: dict[str, str] | None = None,
    **environ: str,
) -> Execution:
    return execute(
        [str(python), "-m", fake],
        env={**os.environ, **(needed or {}), **environ},
        cwd=FAKES,
        deadline=deadline,
        groups=NoGroups(),
        mark=next(marks),
        start=start,
    )


def said(execution: Execution) -> dict[str, Any]:
    """Return what `describes_itself` said."""
    about: dict[str, Any] = json.loads(execution.output.splitlines()[0])
    return about


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_a_program_sees_what_it_would_see_by_itself(interpreters: Interpreters, how: str) -> None:
    fresh = run("describes_itself", start, START=how)
    copy = run("describes_itself", interpreters.of(HERE, PRELOADED).start, START=how)
    assert said(copy) == said(fresh)
    assert said(copy)["parent"] == os.getpid()
    assert copy.output.splitlines()[1:] == fresh.output.splitlines()[1:]
    assert (copy.returncode, copy.left_behind) == (0, 0)


@pytest.mark.parametrize("ends", ["by a signal", "with a status", "with a message", "with an exception", "at once"])
def test_a_program_ends_as_it_would_by_itself(interpreters: Interpreters, ends: str) -> None:
    fresh = run("describes_itself", start, ENDS=ends)
    copy = run("describes_itself", interpreters.of(HERE, PRELOADED).start, ENDS=ends)
    assert (copy.returncode, copy.signal) == (fresh.returncode, fresh.signal)
    assert copy.returncode != 0
    assert copy.output.splitlines()[1:] == fresh.output.splitlines()[1:]
    assert copy.errors.splitlines()[-1:] == fresh.errors.splitlines()[-1:]


def test_what_is_not_in_its_environment_a_program_does_not_inherit(interpreters: Interpreters) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    assert "HOME" in os.environ
    copy = execute(
        [sys.executable, "-m", "describes_itself"],
        env=environ | {"LARGE": "x" * 100_000},
        cwd=FAKES,
        deadline=5,
        groups=NoGroups(),
        mark=next(marks),
        start=interpreters.of(HERE, PRELOADED).start,
    )
    assert said(copy)["environ"] == environ | {"LARGE": "x" * 100_000}


def test_more_environment_than_can_be_told_is_said(interpreters: Interpreters) -> None:
    with pytest.raises(OSError, match="environment"):
        run("works", interpreters.of(HERE, PRELOADED).start, LARGE="x" * 200_000)
    assert run("works", interpreters.of(HERE, PRELOADED).start).returncode == 0


def test_a_program_that_hangs_is_killed(interpreters: Interpreters) -> None:
    execution = run("hangs", interpreters.of(HERE, PRELOADED).start, deadline=0.3)
    assert execution.timed_out
    assert execution.returncode is None


@pytest.mark.parametrize("fake", ["leaves_a_quiet_daemon", "leaves_a_nameless_daemon"])
def test_a_daemon_is_found(interpreters: Interpreters, fake: str) -> None:
    execution = run(fake, interpreters.of(HERE, PRELOADED).start)
    assert execution.left_behind == 1
    assert not alive(int(execution.output))


def test_an_unknown_module_is_the_programs_own_failure(interpreters: Interpreters) -> None:
    execution = run("no_such_fake", interpreters.of(HERE, PRELOADED).start)
    assert execution.returncode == 1
    assert "No module named no_such_fake" in execution.errors


def test_what_cannot_be_imported_is_left_to_the_program(interpreters: Interpreters) -> None:
    execution = run("works", interpreters.of(HERE, ("no_such_module_anywhere", "decimal")).start)
    assert execution.returncode == 0
    named = run("names_its_modules", interpreters.of(HERE, ("nowhere", "decimal")).start)
    assert "decimal" in named.output.split()


def test_an_interpreter_starts_with_the_variables_that_a_driver_needs(
    interpreters: Interpreters, tmp_path: Path
) -> None:
    (tmp_path / "found_by_its_driver.py").write_text("")
    names, path = ("found_by_its_driver",), str(tmp_path)
    with_it = run("names_its_modules", interpreters.of(HERE, names, {"PYTHONPATH": path}).start, PYTHONPATH=path)
    without = run("names_its_modules", interpreters.of(HERE, names).start)
    assert "found_by_its_driver" in with_it.output.split()
    assert "found_by_its_driver" not in without.output.split()


def test_an_interpreter_that_was_killed_says_so_and_is_replaced(interpreters: Interpreters) -> None:
    interpreter = interpreters.of(HERE, ("json",))
    run("works", interpreter.start)
    process = interpreter._process
    assert process is not None
    process.kill()
    process.wait()
    with pytest.raises(OSError, match="preloaded interpreter"):
        run("works", interpreter.start)
    assert run("works", interpreter.start).returncode == 0


def test_an_interpreter_ends_with_the_run_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from matrix.process.preloaded import Interpreters\n"
        "from tests.test_execute import FAKES, NoGroups\n"
        "from tests.test_preloaded import run\n"
        "with Interpreters(cwd=FAKES, env=dict(os.environ), groups=NoGroups()) as all:\n"
        "    run('works', all.of(Path(sys.executable), ('json',)).start)\n"
        "    print(all.of(Path(sys.executable), ('json',))._process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root, text=True) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        assert alive(pid)
        runner.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)


def required_by(python: Path, driver: str) -> set[str]:
    """Return the modules of drivers that a driver's own distribution requires."""
    program = "import importlib.metadata as m, sys; print(*m.requires(sys.argv[1]) or ())"
    names = [one for one in drivers()[driver].facts.distributions if normalised(one) in environment(python).installed]
    text = subprocess.run([python, "-c", program, names[0]], capture_output=True, text=True, check=True).stdout.lower()
    return {one.facts.module for one in drivers().values() if one.facts.distributions[0].lower() in text.split(">")[0]}


KINDS = sorted({(cell.stack, cell.driver) for cell in cells()})


@pytest.mark.parametrize(("stack", "driver"), KINDS, ids=map("/".join, KINDS))
def test_a_copy_brings_its_own_driver_and_orm_and_nothing_else(
    interpreters: Interpreters, stack: str, driver: str
) -> None:
    python, names = interpreter(driver), preload(stack, driver)
    needed = environment(python).environ(drivers()[driver])
    preloaded = interpreters.of(python, names, needed)
    copy = run("names_its_modules", preloaded.start, python=python, needed=needed)
    imported, descriptors, threads = copy.output.splitlines()
    assert (descriptors, threads) == ("0 1 2", "1")
    seen = {name.partition(".")[0] for name in imported.split()}
    imports = {each.facts.module for each in drivers().values()}
    # A driver may be built on another, whose package it requires.
    assert seen & imports - required_by(python, driver) == {drivers()[driver].facts.module}
    assert not seen & {"matrix", *STACKS.values()}
    assert {name.partition(".")[0] for name in stacks()[stack].facts.preload} <= seen
