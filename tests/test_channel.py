"""The pipe that examples report through: records arrive whole and in order, whatever pieces they come in."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from matrix.records.steps import Step
from matrix.run.channel import VARIABLE, StepChannel

FAKES = Path(__file__).parent / "fakes"
STEPS = [
    Step(who="parent", action="prepare"),
    Step(who="parent", action="prepare", result="done", text="tcp"),
    Step(who="parent", action="look up", about=1),
    Step(who="parent", action="look up", about=1, result="order", order=1, session=7),
]
STREAM = b"".join(msgspec.json.encode(step) + b"\n" for step in STEPS)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_records_may_come_in_pieces(cuts: list[int]) -> None:
    ended: list[Step] = []
    channel = StepChannel(Path("unused"), ended.extend)
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in itertools.pairwise(places):
        channel.received(STREAM[begin:end])
    assert channel.steps == STEPS
    assert ended == [step for step in STEPS if step.result]
    assert not channel.incomplete


def test_a_program_is_ready_once_it_has_prepared() -> None:
    channel = StepChannel(Path("unused"), lambda _: None)
    lines = STREAM.splitlines(keepends=True)
    channel.received(lines[0])
    assert not channel.ready
    channel.received(lines[1])
    assert channel.ready


def test_nothing_is_read_after_what_cannot_be() -> None:
    channel = StepChannel(Path("unused"), lambda _: None)
    channel.received(b"no record\n" + STREAM)
    assert channel.problem is not None
    assert channel.steps == []


def test_a_record_that_was_cut_off_is_incomplete() -> None:
    channel = StepChannel(Path("unused"), lambda _: None)
    channel.received(STREAM[:-5])
    assert channel.incomplete


def test_several_processes_report_through_one_pipe(tmp_path: Path) -> None:
    with StepChannel(tmp_path / "pipe", lambda _: None) as channel:
        program = "from step_records import report\nfor number in range(200): report('look up', number)"
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program], cwd=FAKES, env={**os.environ, VARIABLE: str(channel.path)}
            )
            for _ in range(2)
        ]
        while len(channel.steps) < 400 and not channel.problem:
            try:
                channel.received(os.read(channel.fileno(), 65_536))
            except BlockingIOError:
                continue
        assert [process.wait() for process in processes] == [0, 0]
    assert channel.problem is None
    for process in processes:
        assert [step.about for step in channel.steps if step.pid == process.pid] == list(range(200))
    assert not channel.path.exists()
