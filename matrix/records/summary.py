"""What came of a run: observations with the claims they are compared with, and what could not be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from matrix.files import write_text
from matrix.records.claim import Claim
from matrix.records.evidence import Evidence
from matrix.records.observation import Observation
from matrix.records.reading import read_json

if TYPE_CHECKING:
    from pathlib import Path


class Outputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to write about a run, as absolute paths; None is not written."""

    html: str | None = None
    junit: str | None = None
    markdown: str | None = None


class Summary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What came of a run.

    `observations`, `claims` and `evidence` are keyed by cell id, like `broken`, which says why a cell could not be
    judged. `claims` are those that the observations are compared with. `unavailable` says why a server could not be
    had, by its name, and is an error unless `allow_missing`. `servers` describes each server that took part, `reviewed`
    names the files of claims that were rewritten. `runs` counts runs of cells, `cores` those they shared.
    """

    observations: dict[str, Observation] = {}
    claims: dict[str, Claim] = {}
    evidence: dict[str, Evidence] = {}
    broken: dict[str, str] = {}
    unavailable: dict[str, str] = {}
    allow_missing: bool = False
    runs: int = 0
    seconds: float = 0.0
    cores: int = 0
    servers: list[str] = []
    reviewed: list[str] = []
    outputs: Outputs = Outputs()

    @property
    def deviations(self) -> list[str]:
        """The cells that showed an outcome that is not claimed, or of which nothing is claimed."""
        return sorted(key for key, seen in self.observations.items() if deviates(seen, self.claims.get(key)))

    @property
    def unclaimed(self) -> list[str]:
        """The deviations of which nothing is claimed yet."""
        return [key for key in self.deviations if key not in self.claims]

    @property
    def as_claimed(self) -> int:
        """The number of cells that were run and showed nothing but what is claimed."""
        return sum(seen.applies for seen in self.observations.values()) - len(self.deviations)

    @property
    def not_applicable(self) -> int:
        """The number of cells that could not be run."""
        return sum(not seen.applies for seen in self.observations.values())

    @property
    def status(self) -> int:
        """The exit status: 2 if work could not be done, in whole or in part, 1 if a cell is not as expected, else 0."""
        missing = bool(self.unavailable) and not (self.allow_missing and self.runs)
        return 2 if self.broken or missing else 1 if self.deviations else 0

    def explain(self, key: str) -> str:
        """Return what a cell showed and what is claimed of it: `seen hang 2x, works 3x; expected works`."""
        seen = ", ".join(f"{outcome} {count}x" for outcome, count in self.observations[key].seen.items())
        claim = self.claims.get(key)
        return f"seen {seen}; " + (f"expected {' or '.join(claim.outcomes)}" if claim else "nothing is expected yet")

    def add(self, other: Summary) -> None:
        """Add what came of another run; `outputs` are the later run's."""
        for name in ("observations", "claims", "evidence", "broken", "unavailable"):
            getattr(self, name).update(getattr(other, name))
        self.runs += other.runs
        self.seconds += other.seconds
        self.cores = max(self.cores, other.cores)
        self.servers += [server for server in other.servers if server not in self.servers]
        self.reviewed += other.reviewed
        self.allow_missing = other.allow_missing
        self.outputs = other.outputs


def deviates(seen: Observation, claim: Claim | None) -> bool:
    """Whether a cell that could be run showed an outcome that its claim does not allow."""
    return seen.applies and not (claim is not None and set(seen.seen) <= set(claim.outcomes))


def is_race(seen: Observation, claim: Claim | None) -> bool:
    """Whether a cell's outcome differs from run to run: as expected, else, if nothing is claimed, as seen."""
    return claim.is_race if claim else len(seen.seen) > 1


def read_summary(path: Path) -> Summary:
    """Return what `write_summary` wrote; raise MatrixError where the file does not fit."""
    return read_json(path, Summary)


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary as JSON; raise MatrixError where it cannot be written."""
    write_text(path, msgspec.json.encode(summary).decode())
