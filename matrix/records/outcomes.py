"""Every outcome that a cell can have, from the worst down."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.records.observation import Observation

Outcome = Literal[
    "wrong row",
    "lost write",
    "unwanted write",
    "crash",
    "hang",
    "parent error",
    "child error",
    "leak",
    "shared session",
    "new session",
    "works",
    "not applicable",
]
#: Every outcome and its meaning, from the worst down. A run's outcome is the worst that was seen in it.
OUTCOMES: dict[Outcome, str] = {
    "wrong row": "a process got a row it did not ask for, or was told that its row does not exist, without an error",
    "lost write": "the program was told that its write is committed, and the write is not on the server",
    "unwanted write": "the program rolled its write back, and the write is on the server",
    "crash": "a process died by a signal",
    "hang": "a process got no reply before the deadline",
    "parent error": "the parent got an exception",
    "child error": "only children got an exception",
    "leak": "sessions stay open on the server after every process has exited",
    "shared session": "every row was right, yet two processes used one server session: luck, not safety",
    "new session": (
        "every row was right, and the parent is on a different session than before:"
        " its temporary tables, settings and locks are gone"
    ),
    "works": "every process got its own rows on its own session, and the parent kept its session",
    "not applicable": "the cell could not be run here; the note says why",
}
#: A sign for each outcome, so that no table needs its colours to be read.
SIGNS: dict[Outcome, str] = {
    "wrong row": "‼",
    "lost write": "‼",
    "unwanted write": "‼",
    "crash": "✖",
    "hang": "✖",
    "parent error": "✗",
    "child error": "✗",
    "leak": "~",
    "shared session": "~",
    "new session": "~",
    "works": "✓",
    "not applicable": "-",
}
#: What an outcome means to a reader who has not seen the legend.
PLAIN_WORDS: dict[Outcome, str] = {
    "wrong row": "a process reads another's row, without an error",
    "lost write": "a confirmed write is lost, without an error",
    "unwanted write": "a write that was rolled back is committed, without an error",
    "crash": "a process crashes",
    "hang": "a query never returns",
    "parent error": "the parent gets an error",
    "child error": "the child gets an error",
    "leak": "sessions stay open on the server",
    "shared session": "no error, but both use one session",
    "new session": "no error, and the parent has a new session",
    "works": "works, and the parent keeps its session",
}
#: Outcomes in which every process gets its rows; the second costs the parent its session.
GOOD = ("works", "new session")

_RANK: dict[Outcome, int] = {name: rank for rank, name in enumerate(OUTCOMES)}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of some outcomes."""
    return min(outcomes, key=_RANK.__getitem__)


def counted(seen: Mapping[Outcome, int]) -> str:
    """Return how often each outcome was seen, in words: `20 of 20`; of several, each with its share and its interval.

    `hang 3 of 20 (15 %, 5 to 36 %), works 17 of 20 (85 %, 64 to 95 %)`: the interval holds the true share with 95 %
    confidence.
    """
    runs = sum(seen.values())
    if len(seen) == 1:
        return f"{runs} of {runs}"
    parts = []
    for outcome in OUTCOMES:
        if outcome in seen:
            low, high = wilson(seen[outcome], runs)
            share = f"{seen[outcome] / runs:.0%}, {low:.0%} to {high:.0%}".replace("%", " %").replace(" % to", " to")
            parts.append(f"{outcome} {seen[outcome]} of {runs} ({share})")
    return ", ".join(parts)


def wilson(count: int, runs: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, after Wilson: of `count` in `runs` independent runs."""
    z = NormalDist().inv_cdf(0.975)
    share = count / runs
    middle = share + z * z / (2 * runs)
    width = z * sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    scale = 1 + z * z / runs
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def by_outcome(cells: Iterable[Observation]) -> dict[Outcome, list[Observation]]:
    """Return observations by outcome, from the worst down."""
    groups: dict[Outcome, list[Observation]] = {}
    for seen in cells:
        groups.setdefault(seen.outcome, []).append(seen)
    return {outcome: groups[outcome] for outcome in OUTCOMES if outcome in groups}
