"""Everything the pages are made from: examples, drivers, claims, observations, evidence, reasons and prose."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace as replace_struct

from matrix import catalogue
from matrix.catalogue import claims, crossed, crossed_claims
from matrix.catalogue.launcher_claims import launcher_cells
from matrix.pages.costs import read_sentences
from matrix.pages.prose import Prose, read_prose
from matrix.records import costs, crossed_results, launcher_results, server_results
from matrix.records import results as files
from matrix.records.outcomes import by_outcome
from matrix.records.reading import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matrix.catalogue import Example
    from matrix.pages.costs import RemedyCost
    from matrix.records.claim import Claim, Reason
    from matrix.records.costs import Costs
    from matrix.records.evidence import Evidence
    from matrix.records.facts import DriverFacts
    from matrix.records.launchers import LauncherObservation
    from matrix.records.observation import Coordinates, Observation
    from matrix.records.server_results import ServerResults


class _Claims(dict[str, "dict[Coordinates, Claim]"]):
    """Claims by driver and cell, each driver's read when they are first looked up."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __missing__(self, driver: str) -> dict[Coordinates, Claim]:
        return self.setdefault(driver, claims.claims(driver, self._root))


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known.

    `observed` holds observations by cell id, in the order of the tables, without those of cells that no longer exist
    and those that could not be run (`not applicable`), which are in `skipped`.
    """

    root: Path
    results: Path
    drivers: dict[str, DriverFacts]
    examples: dict[tuple[str, str], Example]
    cells: tuple[Coordinates, ...]
    observed: dict[str, Observation]
    skipped: dict[str, str]
    prose: Prose

    @functools.cached_property
    def claimed(self) -> dict[str, Claim]:
        """Claims by cell id; raises MatrixError if a file of claims is malformed or waits for a reason."""
        return {cell.id: claim for name in self.drivers for cell, claim in self._claims[name].items()}

    @functools.cached_property
    def _claims(self) -> _Claims:
        return _Claims(self.root)

    @functools.cached_property
    def launched(self) -> dict[str, LauncherObservation]:
        """Observations of launcher cells by id, without those of cells that are gone or could not be run."""
        read = launcher_results.read(self.results)
        found = ((cell.id, read.get(cell.id)) for cell in launcher_cells(self.root))
        return {key: seen for key, seen in found if seen and seen.applies}

    @functools.cached_property
    def on_servers(self) -> dict[str, ServerResults]:
        """What was seen on other servers than the default ones, by server, without cells that are gone."""
        found = {}
        for name, seen in server_results.read(self.results).items():
            existing = {cell.id for cell in catalogue.cells(self.root, (name,))}
            found[name] = replace_struct(seen, cells={key: seen.cells[key] for key in seen.cells if key in existing})
        return found

    @functools.cached_property
    def reasons(self) -> dict[str, Reason]:
        """Reasons by id."""
        return claims.reasons(self.root)

    @functools.cached_property
    def costs(self) -> Costs:
        """What remedies cost, as far as it was measured."""
        return costs.read(self.results)

    @functools.cached_property
    def cost_sentences(self) -> tuple[RemedyCost, ...]:
        """What is said of remedies with these figures."""
        return read_sentences(self.root)

    def updated(self, observations: Mapping[str, Observation]) -> Facts:
        """Return what is known once these observations are written."""
        newer = {key: seen for key, seen in observations.items() if seen.applies}
        whole = self.observed | newer
        return replace(self, observed={cell.id: whole[cell.id] for cell in self.cells if cell.id in whole})

    def names(self, kind: str | None = None) -> list[str]:
        """Return the names of all hazards, of all remedies, or of all examples, each once."""
        return sorted({name for (_, name), example in self.examples.items() if kind in (None, example.kind)})

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
    ) -> list[Observation]:
        """Return the observations at some coordinates."""
        wanted = {"stack": stack, "example": example, "driver": driver, "transport": transport}
        given = {axis: value for axis, value in wanted.items() if value is not None}
        among = self.observed.values() if example is None else self._at.get((example, driver), ())
        return [seen for seen in among if all(getattr(seen.cell, axis) == value for axis, value in given.items())]

    @functools.cached_property
    def _at(self) -> dict[tuple[str, str | None], list[Observation]]:
        """The observations of each example, all of them under None, and with each driver."""
        found: dict[tuple[str, str | None], list[Observation]] = {}
        for seen in self.observed.values():
            for driver in (None, seen.cell.driver):
                found.setdefault((seen.cell.example, driver), []).append(seen)
        return found

    def matching(self, globs: Iterable[str]) -> list[Observation]:
        """Return the observations whose cell id matches one of the globs."""
        patterns = [_pattern(glob) for glob in globs]
        return [seen for key, seen in self.observed.items() if any(_fits(key, pattern) for pattern in patterns)]

    def title(self, driver: str) -> str:
        """Return the name of a driver's distribution, with how it is built if another driver has the same."""
        its = self.drivers[driver]
        alike = [other for other in self.drivers.values() if other.distributions[0] == its.distributions[0]]
        return its.distributions[0] + (f" ({its.implementation})" if len(alike) > 1 else "")

    def exists(self, glob: str) -> bool:
        """Whether a glob matches a cell, observed or not."""
        pattern = _pattern(glob)
        return any(_fits(cell.id, pattern) for cell in self.cells)

    def reason(self, seen: Observation) -> str | None:
        """Return the id of the reason that people give for what a cell does, None if there is none."""
        claim = self._claims[seen.cell.driver].get(seen.cell)
        return claim.reason if claim and claim.reason in self.reasons else None

    def reasons_of(self, cells: Iterable[Observation]) -> dict[str, list[Observation]]:
        """Return cells by the id of their reason; those without one are left out."""
        found: dict[str, list[Observation]] = {}
        for seen in cells:
            if reason := self.reason(seen):
                found.setdefault(reason, []).append(seen)
        return found

    def evidence(self, seen: Observation) -> Evidence | None:
        """Return what was recorded of a cell's run, None if nothing was; raise MatrixError for an unreadable file."""
        return files.read_evidence(self.results, seen.id)

    def illustrations(self, name: str) -> list[Observation]:
        """Return the cells that an example's page draws: one for each outcome that it has, the worst first.

        It is the one that a finding names, else the first.
        """
        named = {finding.show for finding in self.prose.findings}
        groups = by_outcome(self.of(example=name)).values()
        return [next((seen for seen in some if seen.id in named), some[0]) for some in groups]

    @functools.cached_property
    def crossed(self) -> dict[tuple[str, str], list[Observation]]:
        """Observations of crossed cells by hazard and remedy, without those of cells that are gone or not run."""
        read = crossed_results.read(self.results)
        found: dict[tuple[str, str], list[Observation]] = {}
        for cell in crossed.crossed_cells(self.root):
            if (seen := read.get(cell.id)) and seen.applies:
                found.setdefault(crossed_results.parts(cell), []).append(seen)
        return found

    @functools.cached_property
    def crossed_claims(self) -> dict[str, Claim]:
        """Claims about crossed cells by cell id; raises MatrixError if a file of claims is malformed."""
        return {cell.id: claim for cell, claim in crossed_claims.crossed_claims(self.root).items()}

    def crossings(
        self,
        hazard: str,
        remedy: str,
        *,
        stack: str | None = None,
        driver: str | None = None,
        transport: str | None = None,
    ) -> list[Observation]:
        """Return the observations of a hazard with a remedy in place, at some coordinates."""
        wanted = {"stack": stack, "driver": driver, "transport": transport}
        given = {axis: value for axis, value in wanted.items() if value is not None}
        among = self.crossed.get((hazard, remedy), ())
        return [seen for seen in among if all(getattr(seen.cell, axis) == value for axis, value in given.items())]

    @functools.cached_property
    def protecting(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Which remedies protect from which hazards, by stack and driver; see `crossed_results.protecting`."""
        return crossed_results.protecting(seen for cells in self.crossed.values() for seen in cells)

    def remedies(self, hazard: str, *, stack: str | None = None) -> list[str]:
        """Return the remedies that protect from a hazard with one driver at least."""
        return self._counterparts(stack, lambda pair: pair[1] if pair[0] == hazard else None)

    def hazards(self, remedy: str, *, stack: str | None = None) -> list[str]:
        """Return the hazards that a remedy protects from with one driver at least."""
        return sorted(self._counterparts(stack, lambda pair: pair[0] if pair[1] == remedy else None))

    def _counterparts(self, stack: str | None, other: Callable[[tuple[str, str]], str | None]) -> list[str]:
        places = (pairs for (where, _), pairs in self.protecting.items() if stack in (None, where))
        return list(dict.fromkeys(name for pairs in places for pair in pairs if (name := other(pair))))


def load(results: Path = files.RESULTS, root: Path = ROOT, *, only: str = "") -> Facts:
    """Read all but the claims; raise MatrixError, with the file and what is wrong, if something is malformed.

    With `only`, observations have no steps but those with that result.
    """
    drivers = {name: driver.facts for name, driver in catalogue.drivers(root).items()}
    cells = catalogue.cells(root)
    read = files.read_folder(results, only=only)
    found = {cell.id: read[cell.id] for cell in cells if cell.id in read}
    return Facts(
        root=root,
        results=results,
        drivers=drivers,
        examples=catalogue.examples(root),
        cells=cells,
        observed={key: seen for key, seen in found.items() if seen.applies},
        skipped={key: seen.note or "" for key, seen in found.items() if not seen.applies},
        prose=read_prose(root),
    )


def shown_cells(facts: Facts) -> set[str]:
    """Return the ids of the cells whose timelines the pages draw: of these the repository keeps the evidence."""
    drawn = {seen.id for name in facts.names() for seen in facts.illustrations(name)}
    return drawn | {finding.show for finding in facts.prose.findings}


def by_example(cells: Iterable[Observation]) -> dict[str, list[Observation]]:
    """Return cells by example, those with most cells first."""
    found: dict[str, list[Observation]] = {}
    for seen in cells:
        found.setdefault(seen.cell.example, []).append(seen)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _pattern(glob: str) -> list[str]:
    parts = glob.split("/")
    return parts + ["*"] * (5 - len(parts))


def _fits(key: str, pattern: Sequence[str]) -> bool:
    return all(map(fnmatchcase, key.split("/"), pattern))
