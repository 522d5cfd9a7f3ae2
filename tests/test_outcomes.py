"""Outcomes and how often they were seen."""

from __future__ import annotations

import pytest

from matrix.records.outcomes import counted, wilson


def test_one_outcome_is_a_count_and_several_have_shares_with_an_interval() -> None:
    assert counted({"works": 50}) == "50 of 50"
    assert counted({"works": 17, "hang": 3}) == "hang 3 of 20 (15 %, 5 to 36 %), works 17 of 20 (85 %, 64 to 95 %)"


@pytest.mark.parametrize(
    ("count", "runs", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 20, 0.0089, 0.2361)]
)
def test_the_interval_is_wilsons(count: int, runs: int, low: float, high: float) -> None:
    assert wilson(count, runs) == pytest.approx((low, high), abs=5e-5)
