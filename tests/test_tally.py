"""Counting runs of a cell: which run is shown, and what is kept of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.records.claim import Claim
from matrix.records.observation import Coordinates, ServerView, View
from matrix.records.outcomes import OUTCOMES, worst
from matrix.run.judge import Verdict
from matrix.run.tally import Tally, not_applicable

if TYPE_CHECKING:
    from matrix.records.outcomes import Outcome

CELL = Coordinates("bare", "example", "driver", "server", "tcp")
RUN = [outcome for outcome in OUTCOMES if outcome != "not applicable"]


def verdict(outcome: str, name: str = "parent") -> Verdict:
    seen = cast("Outcome", outcome)
    return Verdict(seen, [seen], View(name=name, session="none"), [], ServerView(), [])


def tally(*outcomes: str, claimed: tuple[str, ...] = ()) -> Tally:
    claim = Claim(cast("tuple[Outcome, ...]", claimed), "reason") if claimed else None
    counted = Tally(CELL, claim)
    for number, outcome in enumerate(outcomes):
        counted.add(verdict(outcome, f"run {number}"), {"driver": "made up 1.0"})
    return counted


@pytest.mark.parametrize(
    ("outcomes", "claimed", "shown"),
    [
        (("works", "works"), ("works",), "run 0"),
        (("works", "hang", "hang"), ("works", "hang"), "run 1"),
        (("hang", "works"), ("hang",), "run 1"),
        (("works", "parent error", "wrong row"), ("works",), "run 2"),
        (("wrong row", "works", "child error"), ("wrong row", "works"), "run 2"),
        (("child error", "hang"), (), "run 1"),
    ],
)
def test_the_first_of_the_worst_that_are_not_as_claimed_is_shown(
    outcomes: tuple[str, ...], claimed: tuple[str, ...], shown: str
) -> None:
    counted = tally(*outcomes, claimed=claimed)
    assert counted.shown is not None
    assert counted.shown.parent.name == shown


def test_evidence_is_wanted_only_of_the_run_that_is_shown() -> None:
    counted = Tally(CELL, Claim(("works",), "reason"))
    assert [counted.add(verdict(outcome), {}) for outcome in ("works", "works", "hang", "works", "hang")] == [
        True,
        False,
        True,
        False,
        False,
    ]


@given(st.lists(st.sampled_from(RUN), min_size=1, max_size=30), st.sets(st.sampled_from(RUN), min_size=1))
def test_every_run_is_counted_and_the_worst_is_the_outcome(outcomes: list[str], claimed: set[str]) -> None:
    seen = tally(*outcomes, claimed=tuple(claimed)).observation()
    assert seen is not None
    assert sum(seen.seen.values()) == len(outcomes)
    assert seen.outcome == worst(cast("list[Outcome]", outcomes))
    assert list(seen.seen) == [outcome for outcome in OUTCOMES if outcome in outcomes]


def test_a_cell_that_was_never_judged_has_no_observation() -> None:
    assert Tally(CELL, None).observation() is None


def test_a_cell_that_cannot_be_run_says_why() -> None:
    seen = not_applicable(CELL, "no server here")
    assert (seen.outcome, seen.note, seen.applies) == ("not applicable", "no server here", False)
