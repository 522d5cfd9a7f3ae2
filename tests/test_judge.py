"""Judging: from a transcript and a look at the server to one outcome."""

from __future__ import annotations

import pytest

from matrix.records.outcomes import OUTCOMES, worst
from matrix.records.run import Run
from matrix.records.transcript import parse
from matrix.run.judge import judge


def run(*lines: str, **facts: object) -> Run:
    """Make a run of lines such as `parent look up 1: order 1, session 7`."""
    text = []
    for number, line in enumerate(lines):
        who = line.split()[0] if line.startswith("parent") else " ".join(line.split()[:2])
        pid = 100 if who == "parent" else 100 + int(who.split()[1])
        text.append(f"10:00:00.{number:06} {who:<8} {pid} {line.removeprefix(who).strip()}")
    parsed, other = parse("\n".join(text))
    assert not other
    return Run(parsed, **facts)  # type: ignore[arg-type]  # the facts of each test


ASKED = "parent look up 1: order 1, session 7"
OWN = "child 1 look up 101: order 101, session 8"
AGAIN = "parent look up 2: order 2, session 7"


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([ASKED, OWN, AGAIN], "works"),
        ([ASKED, OWN, "parent look up 2: order 2, session 9"], "new session"),
        ([ASKED, "child 1 look up 101: order 101, session 7", AGAIN], "shared session"),
        ([ASKED, "child 1 look up 101: raised x.Error 2013: lost", AGAIN], "child error"),
        (
            [ASKED, "child 1 look up 101: raised x.Error 2013: lost", "parent look up 2: raised x.Error: y"],
            "parent error",
        ),
        ([ASKED, "child 1 look up 101: order 2, session 7", "parent look up 2: raised x.Error: y"], "wrong row"),
        ([ASKED, "child 1 look up 101: nothing", AGAIN], "wrong row"),
        ([ASKED, "parent wait: signal SIGSEGV", AGAIN], "crash"),
        ([ASKED, "parent wait: exit 1", AGAIN], "works"),
    ],
)
def test_outcomes_from_the_transcript(lines: list[str], outcome: str) -> None:
    assert judge(run(*lines)).outcome == outcome


def test_silence_is_a_hang_and_says_what_was_not_answered() -> None:
    verdict = judge(run(ASKED, "child 1 look up 101", "parent wait", timed_out=True))
    assert verdict.outcome == "hang"
    assert verdict.children[0]["unanswered"] == ["look up 101"]
    assert verdict.parent["unanswered"] == ["wait"]


def test_the_parents_own_death_is_a_crash() -> None:
    verdict = judge(run(ASKED, signal="SIGABRT"))
    assert verdict.outcome == "crash"
    assert verdict.parent["signal"] == "SIGABRT"


def test_sessions_that_stay_are_a_leak() -> None:
    assert judge(run(ASKED, OWN, AGAIN, sessions_after=1)).outcome == "leak"


def test_a_confirmed_write_that_is_not_there_is_lost() -> None:
    lines = ["parent insert 1001: done", "parent commit: done", "parent insert 1002: done", "parent commit: done"]
    verdict = judge(run(*lines, committed=frozenset({1002})))
    assert verdict.outcome == "lost write"
    assert verdict.server["lost"] == [1001]


def test_a_write_that_was_rolled_back_and_is_there_is_unwanted() -> None:
    lines = ["parent insert 1001: done", "child 1 commit: done", "parent insert 1002: done", "parent rollback: done"]
    verdict = judge(run(*lines, committed=frozenset({1001, 1002})))
    assert verdict.outcome == "unwanted write"
    assert verdict.server["unwanted"] == [1001, 1002]


def test_a_write_that_failed_is_nobodys_business() -> None:
    lines = ["parent insert 1001: raised x.Error: no", "parent commit: raised x.Error: no"]
    assert judge(run(*lines, committed=frozenset())).outcome == "parent error"


def test_a_parent_that_used_several_sessions_before_keeps_them() -> None:
    lines = [ASKED, "parent look up 3: order 3, session 9", OWN, "parent look up 2: order 2, session 9"]
    assert judge(run(*lines)).outcome == "works"


def test_a_parent_that_asks_before_its_child_says_a_word_asks_after_the_fork() -> None:
    lines = [ASKED, "parent fork: done", "parent look up 2: order 2, session 9", OWN]
    assert judge(run(*lines)).outcome == "new session"


def test_everything_that_was_seen_is_kept() -> None:
    verdict = judge(
        run(ASKED, "child 1 look up 101: order 2, session 7", "parent look up 2: raised x.Error: y", sessions_after=2)
    )
    assert verdict.seen == ["wrong row", "parent error", "leak", "shared session"]


def test_outcomes_are_ordered_from_the_worst_down() -> None:
    assert worst(["works", "hang", "parent error"]) == "hang"
    assert worst(list(reversed(OUTCOMES))) == "wrong row"
