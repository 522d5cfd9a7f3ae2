"""Everything the pages are made from: examples, drivers, claims, observations, evidence, reasons and prose."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from matrix import catalogue
from matrix.catalogue import claims
from matrix.pages.prose import Prose, read_prose
from matrix.records import old_results as observations
from matrix.records.outcomes import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matrix.catalogue import Cell, Driver, Example
    from matrix.catalogue.claims import Claim

#: Outcomes that mean that everybody was served; the second costs the parent its session.
GOOD = ("works", "new session")
#: How pages name the stacks.
STACK_TITLES = {"bare": "driver alone", "django": "Django", "sqlalchemy": "SQLAlchemy"}


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known.

    `observed` holds observations by cell id, in the order of the tables, without those of cells that no longer exist
    and those that could not be run (`not applicable`), which are in `skipped`. `claimed` holds claims by cell id.
    """

    root: Path
    results: Path
    drivers: dict[str, Driver]
    examples: dict[tuple[str, str], Example]
    cells: tuple[Cell, ...]
    observed: dict[str, dict[str, Any]]
    skipped: dict[str, str]
    claimed: dict[str, Claim]
    reasons: dict[str, dict[str, Any]]
    prose: Prose

    def names(self, kind: str) -> list[str]:
        """Return the names of all hazards, or of all remedies, each once."""
        return sorted({name for (_, name), example in self.examples.items() if example.kind == kind})

    def stacks(self, name: str) -> list[str]:
        """Return the stacks that have an example."""
        return [stack for stack in catalogue.STACKS if (stack, name) in self.examples]

    def example(self, name: str) -> Example:
        """Return an example in the first stack that has it."""
        return next(self.examples[stack, name] for stack in self.stacks(name))

    def of(
        self,
        *,
        stack: str | None = None,
        example: str | None = None,
        driver: str | None = None,
        transport: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the observations at some coordinates."""
        wanted = {"stack": stack, "example": example, "driver": driver, "transport": transport}
        given = {axis: value for axis, value in wanted.items() if value is not None}
        among = self.observed.values() if example is None else self._at.get((example, driver), ())
        return [o for o in among if all(o[axis] == value for axis, value in given.items())]

    @functools.cached_property
    def _at(self) -> dict[tuple[str, str | None], list[dict[str, Any]]]:
        """The observations of each example, all of them under None, and with each driver."""
        found: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
        for observation in self.observed.values():
            for driver in (None, observation["driver"]):
                found.setdefault((observation["example"], driver), []).append(observation)
        return found

    def matching(self, globs: Iterable[str]) -> list[dict[str, Any]]:
        """Return the observations whose cell id matches one of the globs."""
        patterns = [_pattern(glob) for glob in globs]
        return [o for key, o in self.observed.items() if any(_fits(key, pattern) for pattern in patterns)]

    def exists(self, glob: str) -> bool:
        """Whether a glob matches a cell, observed or not."""
        pattern = _pattern(glob)
        return any(_fits(cell.id, pattern) for cell in self.cells)

    def reason(self, observation: dict[str, Any]) -> str | None:
        """Return the id of the reason that people give for what a cell does, None where nobody has."""
        claim = self.claimed.get(observation["id"])
        reason = claim.reason if claim else observation["reason"]
        return reason if reason in self.reasons else None

    def evidence(self, observation: dict[str, Any]) -> dict[str, Any] | None:
        """Return what was recorded of a cell's run, its timeline; None where nothing was.

        Raises MatrixError where the file cannot be read.
        """
        return observations.read_evidence(self.results, observation["id"])

    def remedies(self, hazard: str) -> list[str]:
        """Return the remedies of a hazard: those its docstrings name, in that order, and those that name it."""
        named = [name for stack in self.stacks(hazard) for name in self.examples[stack, hazard].counterparts]
        naming = [name for (_, name), e in self.examples.items() if e.kind == "remedy" and hazard in e.counterparts]
        known = {name for _, name in self.examples}
        return [name for name in dict.fromkeys([*named, *sorted(naming)]) if name in known]

    def hazards(self, remedy: str) -> list[str]:
        """Return the hazards that a remedy is said to be for, by itself or by them."""
        named = [name for stack in self.stacks(remedy) for name in self.examples[stack, remedy].counterparts]
        naming = [name for (_, name), e in self.examples.items() if e.kind == "hazard" and remedy in e.counterparts]
        known = {name for _, name in self.examples}
        return [name for name in dict.fromkeys([*named, *sorted(naming)]) if name in known]


def load(results: Path = observations.RESULTS, root: Path = catalogue.ROOT) -> Facts:
    """Read everything; raise MatrixError where something is malformed, with the file and what is wrong."""
    drivers = catalogue.drivers(root)
    cells = catalogue.cells(root)
    read: dict[str, dict[str, Any]] = {}
    for path in sorted(results.glob("*.json")):
        read |= observations.read(path)
    observed, skipped = {}, {}
    for cell in cells:
        if (observation := read.get(cell.id)) is None:
            continue
        if observation["outcome"] == "not applicable":
            skipped[cell.id] = observation.get("note", "")
        else:
            observed[cell.id] = observation
    return Facts(
        root=root,
        results=results,
        drivers=drivers,
        examples=catalogue.examples(root),
        cells=cells,
        observed=observed,
        skipped=skipped,
        claimed={cell.id: claim for name in drivers for cell, claim in claims.claims(name, root).items()},
        reasons=msgspec.to_builtins(claims.reasons(root)),
        prose=read_prose(root),
    )


def coordinates(observation: dict[str, Any]) -> dict[str, str]:
    """Return where an observation stands on each axis of the matrix."""
    return {
        "stack": observation["stack"],
        "example": observation["example"],
        "driver": observation["driver"],
        "server": observation["server"]["family"],
        "transport": observation["transport"],
    }


def describe(some: Sequence[dict[str, Any]], among: Sequence[dict[str, Any]], *, inner: bool = False) -> str:
    """Say which of a set of observations are meant, with as few words as tell them apart: `tls`, `mysqlclient: tls`.

    Empty where they are all of them.
    """
    chosen = {o["id"] for o in some}
    if not some or chosen == {o["id"] for o in among}:
        return ""
    axes = [axis for axis in ("driver", "transport", "stack", "server", "example") if _varies(axis, among)]
    for axis in axes:
        values = list(dict.fromkeys(coordinates(o)[axis] for o in some))
        if chosen == {o["id"] for o in among if coordinates(o)[axis] in values}:
            return ", ".join(_word(axis, value) for value in values)
    best: list[str] | None = None
    for axis in axes:
        whole, parts = [], []
        for value in dict.fromkeys(coordinates(o)[axis] for o in some):
            rest = describe(
                [o for o in some if coordinates(o)[axis] == value],
                [o for o in among if coordinates(o)[axis] == value],
                inner=True,
            )
            if rest:
                parts.append(f"{_word(axis, value)} ({rest})" if inner else f"{_word(axis, value)}: {rest}")
            else:
                whole.append(_word(axis, value))
        parts = [", ".join(whole), *parts] if whole else parts
        if best is None or sum(map(len, parts)) < sum(map(len, best)):
            best = parts
    return "; ".join(best or [])


def outcomes(found: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return observations by outcome, from the worst down."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for observation in found:
        groups.setdefault(observation["outcome"], []).append(observation)
    return {outcome: groups[outcome] for outcome in OUTCOMES if outcome in groups}


def is_race(observation: dict[str, Any]) -> bool:
    """Whether other outcomes of a cell were seen too, or are claimed to be possible."""
    return len(set(observation["seen"]) | set(observation["expected"])) > 1 and len(observation["expected"]) != 1


def _varies(axis: str, among: Sequence[dict[str, Any]]) -> bool:
    return len({coordinates(o)[axis] for o in among}) > 1


def _word(axis: str, value: str) -> str:
    return STACK_TITLES[value] if axis == "stack" else value


def _pattern(glob: str) -> list[str]:
    parts = glob.split("/")
    return parts + ["*"] * (5 - len(parts))


def _fits(key: str, pattern: Sequence[str]) -> bool:
    return all(map(fnmatchcase, key.split("/"), pattern))
