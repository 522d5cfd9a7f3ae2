"""Running a program: each fake does what its name says, and nothing of it may be left."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.process.execute import QUIET, STARTUP, Execution, Turn, _Grace, execute
from matrix.records.run import Run
from matrix.run.channel import VARIABLE, StepChannel
from matrix.run.judge import Verdict, judge

FAKES = Path(__file__).parent / "fakes"
#: Marks that no other program of the tests bears.
marks = itertools.count(os.getpid() << 32)


class NoGroups:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.watched: list[int] = []
        self.released: list[int] = []

    def watch_group(self, pgid: int) -> None:
        self.watched.append(pgid)

    def release_group(self, pgid: int) -> None:
        self.released.append(pgid)


def run(
    fake: str,
    *arguments: str,
    deadline: float = 0.4,
    groups: NoGroups | None = None,
    channel: StepChannel | None = None,
    startup: float = STARTUP,
    turn: Turn | None = None,
) -> Execution:
    return execute(
        [sys.executable, str(FAKES / f"{fake}.py"), *arguments],
        env=dict(os.environ) | ({VARIABLE: str(channel.path)} if channel else {}),
        cwd=FAKES,
        deadline=deadline,
        groups=groups or NoGroups(),
        mark=next(marks),
        channel=channel,
        startup=startup,
        turn=turn,
    )


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[StepChannel]:
    with StepChannel(tmp_path / "steps", lambda _: None) as opened:
        yield opened


def judged(channel: StepChannel, execution: Execution, committed: frozenset[int] | None = None) -> Verdict:
    run = Run(channel.steps, timed_out=execution.timed_out, signal=execution.signal, committed=committed)
    return judge(run)


def alive(pid: int) -> bool:
    """Whether a process is there; a zombie is not."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_works(channel: StepChannel) -> None:
    execution = run("works", channel=channel)
    assert (execution.returncode, execution.timed_out, execution.left_behind) == (0, False, 0)
    assert judged(channel, execution).outcome == "works"
    assert [step.name for step in channel.steps if step.result] == ["prepare", "look up 1"]


def test_hangs(channel: StepChannel) -> None:
    groups = NoGroups()
    execution = run("hangs", groups=groups, channel=channel)
    assert execution.timed_out
    assert execution.returncode is None
    assert groups.watched == groups.released
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)
    verdict = judged(channel, execution)
    assert verdict.outcome == "hang"
    assert verdict.parent.unanswered == ["look up 1"]


def test_dies_by_a_signal(channel: StepChannel) -> None:
    execution = run("dies_by_a_signal", channel=channel)
    assert execution.signal == "SIGSEGV"
    assert judged(channel, execution).outcome == "crash"


def test_lies(channel: StepChannel) -> None:
    execution = run("lies", channel=channel)
    verdict = judged(channel, execution, committed=frozenset())
    assert verdict.outcome == "lost write"
    assert verdict.server.lost == [1001]
    assert judged(channel, execution, committed=frozenset({1001})).outcome == "works"


def test_reports_garbage(channel: StepChannel) -> None:
    assert run("reports_garbage", channel=channel).returncode == 0
    assert channel.problem is not None
    assert channel.steps == []


def test_what_a_program_reports_last_is_read(channel: StepChannel) -> None:
    """It reports more than a pipe holds, and ends at once."""
    assert run("reports_a_lot", "3000", channel=channel).returncode == 0
    assert [step.about for step in channel.steps] == list(range(3000))


def test_a_program_that_reports_does_not_hang_though_it_prints_nothing(channel: StepChannel) -> None:
    execution = run("reports_slowly", "1.2", deadline=0.4, channel=channel)
    assert (execution.returncode, execution.timed_out) == (0, False)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_leaves_a_grandchild() -> None:
    groups = NoGroups()
    execution = run("leaves_a_grandchild", deadline=5, groups=groups)
    assert not execution.timed_out
    assert execution.left_behind == 1
    assert execution.seconds < 3
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_leaves_a_daemon(tmp_path: Path) -> None:
    execution = run("leaves_a_daemon", str(tmp_path / "pid"), deadline=5)
    assert execution.left_behind == 1
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_daemon_that_executes_another_program_without_an_environment_is_found() -> None:
    execution = run("leaves_a_nameless_daemon", deadline=5)
    assert execution.left_behind == 1
    assert not alive(int(execution.output))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_process_that_computes_when_the_program_ends_may_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute.GRACE", 0.1)
    assert run("leaves_a_busy_child", "0.5").left_behind == 0
    monkeypatch.setattr("matrix.process.execute.LONGEST_GRACE", 0.3)
    assert run("leaves_a_busy_child", "600").left_behind == 1


def test_steal_time_does_not_count_for_processes_that_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    stolen = iter([0.0, 60.0])
    monkeypatch.setattr("matrix.process.execute.GRACE", 0.0)
    monkeypatch.setattr("matrix.process.execute._StealTime.grown", lambda _: next(stolen))
    grace = _Grace()
    assert grace.is_over([])
    assert not grace.is_over([])
    monkeypatch.setattr("matrix.process.execute.LONGEST_GRACE", 0.0)
    stolen = iter([60.0])
    assert _Grace().is_over([])


def test_closes_its_pipes() -> None:
    assert run("closes_its_pipes").timed_out


def test_is_broken() -> None:
    execution = run("is_broken")
    assert execution.returncode == 1
    assert "no such driver" in execution.errors


def test_ignores_sigterm() -> None:
    groups = NoGroups()
    assert run("ignores_sigterm", groups=groups).timed_out
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)


def test_nothing_is_left_where_the_runner_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = NoGroups()

    def interrupt(*_: object) -> None:
        time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr("matrix.process.execute._Reading.until_the_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("hangs", groups=groups)
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)


def test_steal_time_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the host takes every second moment."""
    monkeypatch.setattr("matrix.process.execute.QUIET", 0.05)
    monkeypatch.setattr("matrix.process.execute._StealTime._seconds", lambda _: [time.monotonic() / 2])
    execution = run("hangs", deadline=0.6)
    assert execution.timed_out
    assert execution.seconds >= 0.9


def test_the_deadline_begins_when_the_program_is_ready(tmp_path: Path) -> None:
    with StepChannel(tmp_path / "steps", lambda _: None) as channel:
        assert run("slow_to_prepare", deadline=0.3, channel=channel).returncode == 0
    assert run("slow_to_prepare", deadline=0.3).timed_out


def test_a_host_that_steals_all_time_does_not_keep_a_program_running_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute.QUIET", 0.05)
    monkeypatch.setattr("matrix.process.execute.STRETCH", 2)
    monkeypatch.setattr("matrix.process.execute._StealTime.grown", lambda _: 10.0)
    execution = run("hangs", deadline=0.1, startup=1)
    assert execution.timed_out
    assert execution.seconds < 10


@pytest.mark.skipif(sys.platform != "linux", reason="what processes do is read from /proc")
def test_steal_time_does_not_count_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute._StealTime.grown", lambda _: 2.0)
    assert run("works_in_silence", "3", deadline=0.1, startup=1).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="what processes do is read from /proc")
def test_a_program_that_computes_does_not_hang_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("works_in_silence", "1", deadline=0.3).returncode == 0
    monkeypatch.setattr("matrix.process.execute.STRETCH", 1)
    execution = run("works_in_silence", "600", deadline=0.1, startup=1)
    assert execution.timed_out
    assert execution.seconds < 10


class Noted:
    """A turn that notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def lend(self) -> None:
        self.done.append("lend")

    def take_back(self) -> None:
        self.done.append("take back")


def test_a_program_that_only_waits_lends_its_turn_and_has_it_back_in_the_end() -> None:
    turn = Noted()
    assert run("hangs", deadline=3 * QUIET, turn=turn).timed_out
    assert "lend" in turn.done
    assert turn.done[-1] == "take back"


def test_a_program_that_computes_in_silence_keeps_its_turn() -> None:
    turn = Noted()
    assert run("works_in_silence", str(3 * QUIET), deadline=QUIET / 5, turn=turn).returncode == 0
    assert "lend" not in turn.done
