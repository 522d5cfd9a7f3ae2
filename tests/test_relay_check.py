"""The check that the relay changes nothing: what counts as the same, and what does not."""

from __future__ import annotations

import pytest

from matrix.records.claim import Claim
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.outcomes import Outcome
from matrix.records.summary import Summary
from matrix.run.relay_check import differences, error_differences

CELL = Coordinates("bare", "an_example", "a_driver", "a_server", "tcp")


def observed(*seen: Outcome, claimed: tuple[Outcome, ...] = ("works",), errors: tuple[str, ...] = ()) -> Summary:
    observation = Observation(
        cell=CELL,
        outcome=seen[0],
        seen=dict.fromkeys(seen, 1),
        parent=View(name="parent", session="none", errors=list(errors)),
        server=ServerView(),
    )
    return Summary(observations={CELL.id: observation}, claims={CELL.id: Claim(claimed, "a-reason")})


@pytest.mark.parametrize(
    ("through", "direct", "same"),
    [
        (observed("works"), observed("works"), True),
        (observed("works"), observed("hang"), False),
        (observed("hang", claimed=("hang", "works")), observed("works", claimed=("hang", "works")), True),
        (observed("leak", claimed=("hang", "works")), observed("works", claimed=("hang", "works")), False),
    ],
)
def test_outcomes_are_the_same_or_each_is_one_that_a_claimed_race_allows(
    through: Summary, direct: Summary, *, same: bool
) -> None:
    assert (differences(through, direct) == []) is same


def test_a_cell_that_was_judged_only_once_is_different() -> None:
    (line,) = differences(observed("works"), Summary())
    assert line == f"DIFFERENT {CELL.id}: with the relay works 1x; without not judged"


def test_other_exceptions_with_the_same_outcome_are_reported_and_fail_nothing() -> None:
    through = observed("parent error", errors=("x.E 2006",))
    direct = observed("parent error", errors=("x.E 2013",))
    assert differences(through, direct) == []
    (line,) = error_differences(through.observations, direct.observations)
    assert "x.E 2006" in line
    assert "x.E 2013" in line
