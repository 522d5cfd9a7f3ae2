"""Every outcome that a cell can have, from the worst down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

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
#: Outcomes in which every process gets its rows; the second costs the parent its session.
GOOD = ("works", "new session")

_RANK: dict[Outcome, int] = {name: rank for rank, name in enumerate(OUTCOMES)}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of some outcomes."""
    return min(outcomes, key=_RANK.__getitem__)


def by_outcome(cells: Iterable[Observation]) -> dict[Outcome, list[Observation]]:
    """Return observations by outcome, from the worst down."""
    groups: dict[Outcome, list[Observation]] = {}
    for seen in cells:
        groups.setdefault(seen.outcome, []).append(seen)
    return {outcome: groups[outcome] for outcome in OUTCOMES if outcome in groups}
