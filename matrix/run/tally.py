"""What the runs of one cell come to: how often each outcome was the worst, and the one run that is shown."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.records.observation import Observation, ServerView, View
from matrix.records.outcomes import OUTCOMES, worst
from matrix.records.results import shorten

if TYPE_CHECKING:
    from matrix.records.claim import Claim
    from matrix.records.evidence import Evidence
    from matrix.records.observation import Coordinates
    from matrix.records.outcomes import Outcome
    from matrix.run.judge import Verdict

_RANK = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}


@dataclass
class Tally:
    """The runs of a cell. Of their verdicts it keeps the one that is shown: the first of the worst not as expected.

    If all are as expected, that is the first of the worst. However often a cell is run, a tally stays as small.
    """

    cell: Coordinates
    claim: Claim | None
    counts: collections.Counter[Outcome] = field(default_factory=collections.Counter)
    shown: Verdict | None = None
    versions: dict[str, str] = field(default_factory=dict)
    evidence: Evidence | None = None

    def add(self, verdict: Verdict, versions: dict[str, str]) -> bool:
        """Count a run; return whether it is the one to show from now on, and so the one whose evidence is wanted."""
        self.counts[verdict.outcome] += 1
        if self.shown is not None and self._weight(verdict) >= self._weight(self.shown):
            return False
        self.shown, self.versions, self.evidence = verdict, versions, None
        return True

    def deviates(self, verdict: Verdict) -> bool:
        """Whether a verdict is not as expected."""
        return self.claim is None or verdict.outcome not in self.claim.outcomes

    def _weight(self, verdict: Verdict) -> tuple[bool, int]:
        return not self.deviates(verdict), _RANK[verdict.outcome]

    def observation(self) -> Observation | None:
        """Return what was observed, None if the cell was never judged."""
        if self.shown is None:
            return None
        steps, omitted, omitted_after = shorten(self.shown.steps)
        return Observation(
            cell=self.cell,
            outcome=worst(self.counts),
            seen={outcome: self.counts[outcome] for outcome in OUTCOMES if outcome in self.counts},
            parent=self.shown.parent,
            children=self.shown.children,
            server=self.shown.server,
            steps=steps,
            omitted=omitted,
            omitted_after=omitted_after,
            versions=self.versions,
        )


def not_applicable(cell: Coordinates, why: str) -> Observation:
    """Return what is written about a cell that could not be run here."""
    return Observation(
        cell=cell,
        outcome="not applicable",
        seen={"not applicable": 1},
        parent=View(name="parent", session="none"),
        server=ServerView(),
        note=why,
    )
