"""The watchdog: whatever a run started or made is gone soon after the run, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.process import watchdog
from matrix.process.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent

# A run that has a folder, a process that ignores SIGTERM in a group of its own, and one that left every group.
RUN = """
import os, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from matrix.process.execute import start
from matrix.process.watchdog import Watchdog
folder, ending = Path(sys.argv[1]), sys.argv[2]
with Watchdog() as watchdog:
    watchdog.watch_folder(folder)
    folder.mkdir()
    (folder / "file").touch()
    child = "trap '' TERM; setsid sleep 100 & sleep 100"
    group = subprocess.Popen(["/bin/sh", "-c", child], start_new_session=True, env=watchdog.environ())
    watchdog.watch_group(group.pid)
    loose = subprocess.Popen(["sleep", "100"], start_new_session=True, env=watchdog.environ())
    nameless = ["sh", "-c", "(setsid env -i sleep 100 &) & wait"]
    start(nameless, watchdog.environ(), Path("/"), watchdog.mark(7)).wait()
    print(watchdog.token, flush=True)
    if ending == "exception":
        raise ValueError
    if ending == "wait":
        time.sleep(100)
    if ending == "exec":
        os.execv("/bin/true", ["true"])
    if ending == "_exit":
        os._exit(0)
"""


def eventually(true: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def start(folder: Path, ending: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout
    token = process.stdout.readline().strip()
    process.stdout.close()
    return process, token


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("ending", ["finished", "exception", "_exit", "exec"])
def test_nothing_is_left_of_a_run_that_ends_by_itself(tmp_path: Path, ending: str) -> None:
    process, token = start(tmp_path / "folder", ending)
    process.wait(10)
    assert eventually(lambda: not watchdog.survivors(set(), token))
    assert eventually(lambda: not (tmp_path / "folder").exists())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    process, token = start(tmp_path / "folder", "wait")
    assert len(watchdog.survivors(set(), token)) >= 5
    process.send_signal(number)
    process.wait(10)
    assert eventually(lambda: not watchdog.survivors(set(), token))
    assert eventually(lambda: not (tmp_path / "folder").exists())


def test_runs_do_not_touch_each_other(tmp_path: Path) -> None:
    one, first = start(tmp_path / "one", "wait")
    two, second = start(tmp_path / "two", "wait")
    one.kill()
    one.wait()
    assert eventually(lambda: not (tmp_path / "one").exists())
    assert (tmp_path / "two").exists()
    assert not watchdog.survivors(set(), first)
    assert len(watchdog.survivors(set(), second)) >= 2
    two.kill()
    two.wait()
    assert eventually(lambda: not (tmp_path / "two").exists())


def test_what_was_released_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        with Watchdog() as watching:
            watching.watch_group(process.pid)
            watching.watch_folder(tmp_path)
            watching.release_group(process.pid)
            watching.release_folder(tmp_path)
        assert process.poll() is None
        assert tmp_path.exists()
        process.kill()


def test_a_group_may_leave_politely(tmp_path: Path) -> None:
    script = "trap 'echo gone > \"$0\"; exit' QUIT; echo; while :; do sleep 0.01; done"
    with subprocess.Popen(
        ["/bin/sh", "-c", script, str(tmp_path / "note")], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with Watchdog() as watching:
            watching.watch_group(process.pid, stop=signal.SIGQUIT)
        assert process.wait(5) == 0
    assert (tmp_path / "note").read_text() == "gone\n"


def test_children_of_the_run_do_not_hold_the_watchdog_up() -> None:
    """A process that outlives the run and inherits what it may must not keep the pipe open."""
    with Watchdog() as watching, subprocess.Popen(["sleep", "100"], close_fds=False) as process:
        watching.__exit__(None, None, None)  # returns although the child lives
        assert process.poll() is None
        process.kill()


def test_a_run_goes_on_when_its_watchdog_was_killed(tmp_path: Path) -> None:
    with Watchdog() as watching:
        assert watching._process
        os.kill(watching._process.pid, signal.SIGKILL)
        watching._process.wait()
        watching.watch_folder(tmp_path)


def test_orders_outside_of_its_duty_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Watchdog().watch_folder(tmp_path)


def test_a_helper_gives_its_status_and_output() -> None:
    with Watchdog() as watching:
        done = watching.run(["sh", "-c", "cat; echo wrong >&2; exit 3"], stdin=b"right")
    assert (done.returncode, done.stdout, done.stderr) == (3, "right", "wrong\n")


def test_a_helper_that_takes_too_long_is_killed_with_its_children() -> None:
    with Watchdog() as watching:
        with pytest.raises(subprocess.TimeoutExpired):
            watching.run(["sh", "-c", "sleep 100 & sleep 100"], timeout=0.2, env=watching.environ())
        assert eventually(lambda: not watchdog.survivors(set(), watching.token))


def test_cancelling_ends_helpers_and_starts_no_other() -> None:
    with Watchdog() as watching, ThreadPoolExecutor() as pool:
        helper = pool.submit(watching.run, ["sleep", "100"], env=watching.environ())
        assert eventually(lambda: bool(watchdog.survivors(set(), watching.token)))
        watching.cancel()
        with pytest.raises(watchdog.CancelledError):
            helper.result(5)
        with pytest.raises(watchdog.CancelledError):
            watching.run(["true"])


def test_a_helper_is_not_in_the_terminals_group() -> None:
    with Watchdog() as watching:
        group = watching.run(["sh", "-c", "ps -o pgid= $$ || cut -d' ' -f5 /proc/$$/stat"]).stdout
    assert int(group) != os.getpgrp()
