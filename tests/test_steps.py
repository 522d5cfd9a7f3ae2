"""Records of steps: what is read must be what is defined, and what is not is named."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import UnreadableError
from matrix.records.steps import Identity, Step, read_records

BEGIN = Step(who="child 1", action="look up", about=101)
ORDER = Step(who="child 1", action="look up", about=101, result="order", order=101, session=33)


def encoded(*records: Step | Identity) -> bytes:
    return b"\n".join(map(msgspec.json.encode, records))


def test_records_are_read_in_their_order() -> None:
    identity = Identity(
        pid=1,
        module="made_up",
        distribution="made-up",
        version="1.0",
        implementation="c",
        library=None,
        server="1",
        stack="bare",
    )
    assert read_records(encoded(BEGIN, identity, ORDER)) == [BEGIN, identity, ORDER]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"not a record", "record 1"),
        (b'{"type": "step", "who": "parent"}', "`action`"),
        (b'{"type": "step", "who": "parent", "action": "read", "pages": 3}', "`pages`"),
        (b'{"type": "step", "who": "parent", "action": "read", "pid": "7"}', "`$.pid`"),
        (b'{"type": "step", "who": "parent", "action": "read", "result": "maybe"}', "'maybe'"),
        (b'{"type": "step", "who": "parent", "action": "read", "result": "order", "order": 1}', "`session`"),
        (b'{"type": "step", "who": "parent", "action": "read", "result": "raised", "text": "lost"}', "`error`"),
        (b'{"type": "step", "who": "parent", "action": "read", "result": "nothing", "order": 1}', "`order`"),
        (b'{"type": "step", "who": "parent", "action": "read", "text": "begun"}', "`text`"),
        (b'{"type": "rumour", "who": "parent"}', "'rumour'"),
        (b'{"type": "identity", "pid": 1, "module": "made_up"}', "`distribution`"),
    ],
)
def test_what_is_not_a_record_is_refused_with_its_field(line: bytes, what: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read_records(line)
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UnreadableError, match="record 2"):
        read_records(encoded(BEGIN) + b"\n{}\n" + encoded(ORDER))


@pytest.mark.parametrize("code", [None, "2013", "-1", "57P01"])
def test_an_exception_has_class_and_code(code: str | None) -> None:
    step = Step(who="parent", action="read", about=1, result="raised", error="x.Error", code=code, text="lost")
    assert step.exception == ("x.Error" if code is None else f"x.Error {code}")
    assert not step.wrong
    assert not step.right


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (BEGIN, "child 1  look up 101"),
        (ORDER, "child 1  look up 101: order 101, session 33"),
        (
            Step(who="parent", thread="report", action="read", about=2, result="nothing"),
            "parent/report read 2: nothing",
        ),
        (Step(who="parent", action="prepare", result="done", text="tcp"), "parent   prepare: done, over tcp"),
        (Step(who="parent", action="connect", result="done", session="A"), "parent   connect: done, session A"),
        (Step(who="parent", action="wait", result="exit", text="0"), "parent   wait: exit 0"),
        (Step(who="parent", action="wait", result="signal", text="SIGKILL"), "parent   wait: signal SIGKILL"),
        (
            Step(who="parent", action="close", result="raised", error="x.Error", code="-1", text="lost"),
            "parent   close: raised x.Error -1: lost",
        ),
    ],
)
def test_a_step_reads_like_its_line_in_the_transcript(step: Step, line: str) -> None:
    assert str(step) == line


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    try:
        records = read_records(data)
    except UnreadableError:
        return
    assert all(isinstance(record, Step | Identity) for record in records)
