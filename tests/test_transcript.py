"""Reading transcripts: what the examples print is understood, and anything else does no harm."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from matrix.records.transcript import Names, moment, parse, stable

LINE = "12:30:01.500871 child 1  4712 look up 101: order 101, session 33"


def test_a_line_is_read() -> None:
    (line,), other = parse(LINE)
    assert other == []
    assert (line.who, line.pid, line.action, line.about) == ("child 1", 4712, "look up", 101)
    assert (line.answer, line.session, line.right, line.wrong, line.error) == (101, 33, True, False, None)
    assert line.time == 45_001.500871


def test_another_order_or_none_is_wrong() -> None:
    for result in ("order 7, session 33", "nothing", "row ('x',)"):
        (line,), _ = parse(f"12:30:01.500871 parent   4712 look up 1: {result}")
        assert line.wrong
        assert not line.right


def test_an_exception_is_not_wrong() -> None:
    (line,), _ = parse(
        "12:30:01.500871 parent   4 look up 1: raised pymysql.err.OperationalError 2013: Lost connection"
    )
    assert not line.wrong
    assert line.error == "pymysql.err.OperationalError 2013"
    assert line.message == "Lost connection"


def test_an_exception_without_code_or_text() -> None:
    (line,), _ = parse("12:30:01.500871 parent   4 close: raised builtins.ValueError: ")
    assert (line.error, line.message) == ("builtins.ValueError", "")


def test_a_step_that_begins_has_no_result() -> None:
    (line,), _ = parse("12:30:01.500871 parent   4 look up 1")
    assert line.result is None
    assert not line.wrong


def test_threads_are_apart_from_processes() -> None:
    (line,), _ = parse("12:30:01.500871 parent/reader 4 look up 1")
    assert (line.who, line.thread) == ("parent", "reader")


def test_a_death_by_signal() -> None:
    (line,), _ = parse("12:30:01.500871 parent   4 wait: signal SIGSEGV")
    assert line.signal == "SIGSEGV"


def test_sessions_have_letters_in_order_of_appearance() -> None:
    names = Names()
    lines, _ = parse("\n".join(LINE.replace("session 33", f"session {n}") for n in (33, 40, 33)))
    assert [names.plain(line).rpartition(" ")[2] for line in lines] == ["A", "B", "A"]
    assert [names.session(n) for n in range(100, 126)][-1] == "AB"


def test_what_differs_from_run_to_run_is_taken_out() -> None:
    text = 'connection to server on socket "/tmp/fc-1/.s.PGSQL.5432" failed; port 5432, thread: 12'
    assert stable(text) == 'connection to server on socket ".../.s.PGSQL.5432" failed; port N, thread: N'


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    lines, other = parse(text)
    assert len(lines) + len(other) == len(text.splitlines())


@given(
    st.sampled_from(["parent", "child 1", "child 12/reader"]),
    st.integers(1, 10**7),
    st.sampled_from(["look up", "close", "roll back", "read"]),
    st.none() | st.integers(0, 10**6),
    st.none() | st.from_regex(re.compile(r"[^\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+"), fullmatch=True),
)
def test_what_is_printed_is_what_is_read(
    who: str, pid: int, action: str, about: int | None, result: str | None
) -> None:
    step = action if about is None else f"{action} {about}"
    (line,), _ = parse(f"00:00:00.000001 {who:<8} {pid} {step}" + ("" if result is None else f": {result}"))
    assert (line.pid, line.step, line.result) == (pid, step, result)


@given(st.floats(0, 86_399), st.floats(-3600, 3600))
def test_a_time_of_day_is_the_moment_nearest(seconds: float, drift: float) -> None:
    near = 1_790_000_000.0
    hours, rest = divmod(int(seconds), 3600)
    (line,), _ = parse(f"{hours:02}:{rest // 60:02}:{rest % 60:02}.000000 parent 1 close")
    at = moment(line, near + drift)
    assert abs(at - near - drift) <= 43_200.001
    assert int(at) % 86_400 == int(seconds)
