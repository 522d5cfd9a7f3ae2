"""The check that the relay changes nothing: what counts as the same, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from matrix.run.relay_check import differences, error_differences


def observed(*seen: str, expected: tuple[str, ...] = ("works",), errors: tuple[str, ...] = ()) -> dict[str, Any]:
    view = {"errors": list(errors)}
    return {"seen": dict.fromkeys(seen, 1), "expected": list(expected), "parent": view, "children": []}


@pytest.mark.parametrize(
    ("through", "direct", "same"),
    [
        (observed("works"), observed("works"), True),
        (observed("works"), observed("hang"), False),
        (observed("hang", expected=("hang", "works")), observed("works", expected=("hang", "works")), True),
        (observed("leak", expected=("hang", "works")), observed("works", expected=("hang", "works")), False),
    ],
)
def test_outcomes_are_the_same_or_each_what_a_claimed_race_allows(
    through: dict[str, Any], direct: dict[str, Any], same: bool
) -> None:
    assert (differences({"cell": through}, {"cell": direct}) == []) is same


def test_a_cell_that_was_judged_only_once_is_different() -> None:
    (line,) = differences({"cell": observed("works")}, {})
    assert line == "DIFFERENT cell: with the relay works 1x; without not judged"


def test_other_exceptions_with_the_same_outcome_are_told_and_fail_nothing() -> None:
    through, direct = observed("parent error", errors=("x.E 2006",)), observed("parent error", errors=("x.E 2013",))
    assert differences({"cell": through}, {"cell": direct}) == []
    assert len(error_differences({"cell": through}, {"cell": direct})) == 1
