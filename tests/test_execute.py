"""Running a program: each fake does what its name says, and nothing of it may be left."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path

import pytest

from matrix.process.execute import STARTUP, Execution, _Grace, execute
from matrix.records.run import Run
from matrix.records.transcript import parse
from matrix.run.judge import judge

FAKES = Path(__file__).parent / "fakes"


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
    ready: bytes = b"\n",
    startup: float = STARTUP,
) -> Execution:
    return execute(
        [sys.executable, "-I", str(FAKES / f"{fake}.py"), *arguments],
        env=dict(os.environ),
        cwd=FAKES,
        deadline=deadline,
        groups=groups or NoGroups(),
        mark=uuid.uuid4().hex,
        ready=ready,
        startup=startup,
    )


def alive(pid: int) -> bool:
    """Whether a process is there; a zombie is not."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_works() -> None:
    execution = run("works")
    assert (execution.returncode, execution.timed_out, execution.left_behind) == (0, False, 0)
    lines, other = parse(execution.output)
    assert (len(lines), other) == (4, [])
    assert judge(Run(lines)).outcome == "works"


def test_hangs() -> None:
    groups = NoGroups()
    execution = run("hangs", groups=groups)
    assert execution.timed_out
    assert execution.returncode is None
    assert groups.watched == groups.released
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)
    verdict = judge(Run(parse(execution.output)[0], timed_out=True))
    assert verdict.outcome == "hang"
    assert verdict.parent["unanswered"] == ["look up 1"]


def test_dies_by_a_signal() -> None:
    execution = run("dies_by_a_signal")
    assert execution.signal == "SIGSEGV"
    assert judge(Run(parse(execution.output)[0], signal=execution.signal)).outcome == "crash"


def test_lies() -> None:
    lines, _ = parse(run("lies").output)
    verdict = judge(Run(lines, committed=frozenset()))
    assert verdict.outcome == "lost write"
    assert verdict.server["lost"] == [1001]
    assert judge(Run(lines, committed=frozenset({1001}))).outcome == "works"


def test_prints_garbage() -> None:
    lines, other = parse(run("prints_garbage").output)
    assert lines == []
    assert other


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
def test_who_works_when_the_program_ends_may_end_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute.GRACE", 0.1)
    assert run("leaves_a_busy_child", "0.5").left_behind == 0
    monkeypatch.setattr("matrix.process.execute.LONGEST_GRACE", 0.3)
    assert run("leaves_a_busy_child", "600").left_behind == 1


def test_what_the_host_keeps_from_who_is_leaving_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = iter([0.0, 60.0])
    monkeypatch.setattr("matrix.process.execute.GRACE", 0.0)
    monkeypatch.setattr("matrix.process.execute._Host.kept", lambda _: next(kept))
    grace = _Grace()
    assert grace.is_over([])
    assert not grace.is_over([])
    monkeypatch.setattr("matrix.process.execute.LONGEST_GRACE", 0.0)
    kept = iter([60.0])
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

    monkeypatch.setattr("matrix.process.execute._read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("hangs", groups=groups)
    with pytest.raises(ProcessLookupError):
        os.killpg(groups.watched[0], 0)


def test_what_the_host_keeps_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it keeps every second moment."""
    a_second = os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr("matrix.process.execute.QUIET", 0.05)
    monkeypatch.setattr("matrix.process.execute._Host._ticks", lambda _: [int(time.monotonic() * a_second / 2)])
    execution = run("hangs", deadline=0.6)
    assert execution.timed_out
    assert execution.seconds >= 0.9


def test_the_deadline_begins_when_the_program_is_ready() -> None:
    assert run("slow_to_prepare", deadline=0.3, ready=b"prepare: ").returncode == 0
    assert run("slow_to_prepare", deadline=0.3).timed_out


def test_a_host_that_keeps_everything_does_not_keep_a_program_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute.QUIET", 0.05)
    monkeypatch.setattr("matrix.process.execute.STRETCH", 2)
    monkeypatch.setattr("matrix.process.execute._Host.kept", lambda _: 10.0)
    execution = run("hangs", deadline=0.1, startup=1)
    assert execution.timed_out
    assert execution.seconds < 10


@pytest.mark.skipif(sys.platform != "linux", reason="what processes do is read from /proc")
def test_what_the_host_keeps_does_not_count_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.process.execute._Host.kept", lambda _: 2.0)
    assert run("works_in_silence", "3", deadline=0.1, startup=1).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="what processes do is read from /proc")
def test_who_computes_does_not_hang_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("works_in_silence", "1", deadline=0.3).returncode == 0
    monkeypatch.setattr("matrix.process.execute.STRETCH", 1)
    execution = run("works_in_silence", "600", deadline=0.1, startup=1)
    assert execution.timed_out
    assert execution.seconds < 10
