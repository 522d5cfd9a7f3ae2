"""Judging: from the steps of the processes and a look at the server to one outcome."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.records.outcomes import OUTCOMES, worst
from matrix.records.run import Run
from matrix.records.steps import Step
from matrix.run.judge import judge


def run(*steps: Step, **facts: object) -> Run:
    return Run(list(steps), **facts)  # type: ignore[arg-type]  # the facts of each test


def read(who: str, about: int, order: int | None = None, session: int = 7) -> Step:
    """Return a look-up that read an order, or that had no row."""
    if order is None:
        return Step(who=who, action="look up", about=about, result="nothing")
    return Step(who=who, action="look up", about=about, result="order", order=order, session=session)


def failed(who: str, about: int, error: str = "x.Error", code: str | None = None) -> Step:
    return Step(who=who, action="look up", about=about, result="raised", error=error, code=code, text="lost")


def done(who: str, action: str, about: int | None = None) -> Step:
    return Step(who=who, action=action, about=about, result="done")


def waited(result: str, text: str) -> Step:
    return msgspec.convert({"type": "step", "who": "parent", "action": "wait", "result": result, "text": text}, Step)


FIRST = read("parent", 1, 1)
OWN = read("child 1", 101, 101, session=8)
AGAIN = read("parent", 2, 2)


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([FIRST, OWN, AGAIN], "works"),
        ([FIRST, OWN, read("parent", 2, 2, session=9)], "new session"),
        ([FIRST, read("child 1", 101, 101), AGAIN], "shared session"),
        ([FIRST, failed("child 1", 101, code="2013"), AGAIN], "child error"),
        ([FIRST, failed("child 1", 101, code="-1"), failed("parent", 2)], "parent error"),
        ([FIRST, read("child 1", 101, 2), failed("parent", 2)], "wrong row"),
        ([FIRST, read("child 1", 101), AGAIN], "wrong row"),
        ([FIRST, waited("signal", "SIGSEGV"), AGAIN], "crash"),
        ([FIRST, waited("exit", "1"), AGAIN], "works"),
    ],
)
def test_outcomes_from_the_steps(steps: list[Step], outcome: str) -> None:
    assert judge(run(*steps)).outcome == outcome


def test_an_error_is_no_wrong_row_whatever_its_code_is() -> None:
    for code in (None, "-1", "2013", "57P01", "0"):
        verdict = judge(run(FIRST, failed("child 1", 101, "mysql.connector.errors.OperationalError", code), AGAIN))
        assert verdict.seen == ["child error"]


def test_silence_is_a_hang_and_says_what_was_not_answered() -> None:
    begun = [Step(who="child 1", action="look up", about=101), Step(who="parent", action="wait")]
    verdict = judge(run(FIRST, *begun, timed_out=True))
    assert verdict.outcome == "hang"
    assert verdict.children[0].unanswered == ["look up 101"]
    assert verdict.parent.unanswered == ["wait"]


def test_the_parents_own_death_is_a_crash() -> None:
    verdict = judge(run(FIRST, signal="SIGABRT"))
    assert verdict.outcome == "crash"
    assert verdict.parent.signal == "SIGABRT"


def test_sessions_that_stay_are_a_leak() -> None:
    assert judge(run(FIRST, OWN, AGAIN, sessions_after=1)).outcome == "leak"


def test_a_confirmed_write_that_is_not_there_is_lost() -> None:
    steps = [done("parent", "insert", 1001), done("parent", "commit"), done("parent", "insert", 1002)]
    verdict = judge(run(*steps, done("parent", "commit"), committed=frozenset({1002})))
    assert verdict.outcome == "lost write"
    assert verdict.server.lost == [1001]


def test_a_write_that_was_rolled_back_and_is_there_is_unwanted() -> None:
    steps = [done("parent", "insert", 1001), done("parent", "rollback")]
    verdict = judge(run(*steps, committed=frozenset({1001})))
    assert verdict.outcome == "unwanted write"
    assert verdict.server.unwanted == [1001]


def test_a_write_whose_commit_was_refused_is_not_lost() -> None:
    refused = Step(who="parent", action="commit", result="raised", error="x.Error", text="lost")
    assert judge(run(done("parent", "insert", 1001), refused, committed=frozenset())).outcome == "parent error"


def test_a_process_commits_its_own_writes_only() -> None:
    steps = [done("parent", "insert", 1001), done("child 1", "commit"), done("parent", "rollback")]
    assert judge(run(*steps, committed=frozenset())).outcome == "works"


def test_what_the_parent_reads_after_it_forked_is_after_the_fork() -> None:
    verdict = judge(run(FIRST, done("parent", "fork"), read("parent", 2, 2, session=9), OWN))
    assert verdict.outcome == "new session"
    assert verdict.parent.session == "new"


def test_the_shown_steps_are_the_same_from_run_to_run() -> None:
    def at(steps: list[Step], pid: int, session: int) -> list[Step]:
        return [msgspec.structs.replace(s, at=pid / 7, pid=pid, session=s.session and session) for s in steps]

    steps = [FIRST, AGAIN]
    assert judge(run(*at(steps, 12, 7))).steps == judge(run(*at(steps, 99, 4711))).steps


def test_the_worst_is_the_first_in_the_list_of_outcomes() -> None:
    names = list(OUTCOMES)
    assert [worst(names[index:]) for index in range(len(names))] == names


STEPS = st.builds(
    Step,
    who=st.sampled_from(["parent", "child 1", "child 2"]),
    action=st.sampled_from(["look up", "insert", "commit", "rollback", "wait", "connect", "fork"]),
    about=st.none() | st.integers(1, 2000),
    result=st.sampled_from([None, "order", "nothing", "done", "raised", "exit", "signal"]),
    order=st.none() | st.integers(1, 2000),
    session=st.none() | st.integers(1, 5),
    error=st.none() | st.just("x.Error"),
    text=st.none() | st.text(max_size=10),
)


@given(st.lists(STEPS, max_size=20), st.none() | st.frozensets(st.integers(1, 2000)), st.booleans())
def test_every_run_has_an_outcome_that_is_the_worst_that_was_seen(
    steps: list[Step], committed: frozenset[int] | None, timed_out: bool
) -> None:
    verdict = judge(run(*steps, committed=committed, timed_out=timed_out))
    assert verdict.outcome == worst(verdict.seen)
    assert ("hang" in verdict.seen) is timed_out
