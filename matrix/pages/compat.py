"""Since when: in which versions of a driver, an ORM or Python each cell did what, from results alone.

The pins and each configuration are points on an axis: versions of the driver, of the ORM or of Python, whichever
differs from the pins. Neighbouring points whose cell showed the same are one range. A driver that is built in another
way, such as psycopg's `c` beside `binary`, is an axis of its own.
"""

from __future__ import annotations

import functools
import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from packaging.version import Version

from matrix.records import version_results
from matrix.records.facts import TRANSPORTS
from matrix.records.outcomes import OUTCOMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matrix.pages.facts import Facts
    from matrix.records.observation import Coordinates

FORMAT = 1
PAGE = "docs/data/compat.json"
#: What may differ from the pins, as results call it; the first that does is the axis.
AXES = ("driver", "orm", "python")


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Neighbouring versions in which a cell showed the same: the first, the last, and every outcome that was seen."""

    first: str
    last: str
    outcomes: tuple[Outcome, ...]

    def __str__(self) -> str:
        """Return the range in words."""
        versions = self.first if self.first == self.last else f"{self.first} to {self.last}"
        return f"{' or '.join(self.outcomes)} in {versions}"


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What cells that differ in the transport alone did, over the versions of one axis.

    `of` is what the versions are of: a distribution and, for a driver, how it is built.
    """

    driver: str
    stack: str
    example: str
    server: str
    transports: tuple[str, ...]
    axis: str
    of: str
    ranges: tuple[Range, ...]

    @property
    def changed(self) -> bool:
        """Whether not all versions did the same."""
        return len(self.ranges) > 1


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `missing` says why a driver could not be installed, by `<driver>@<configuration>`."""

    format: int
    missing: dict[str, str]
    findings: tuple[Finding, ...]


class _Point(NamedTuple):
    """One version, and what was seen there."""

    version: Version
    outcomes: frozenset[Outcome]


def compute(pinned: Mapping[Coordinates, tuple[Mapping[str, str], Iterable[Outcome]]], folder: Path) -> Record:
    """Return the record of the pins' results, with the versions that took part, and of those of configurations."""
    points: dict[tuple[Coordinates, str, str], list[_Point]] = {}
    configured = version_results.read_folder(folder)
    axes: dict[tuple[Coordinates, str, str], None] = {}
    for results in configured.values():
        for cell, seen in results.observed().items():
            if cell not in pinned:
                continue
            versions = results.versions_of(cell)
            axis = _axis(versions, pinned[cell][0])
            if axis is None:
                continue
            if (named := _named(versions[axis], axis)) is None:
                continue
            of, version = named
            points.setdefault((cell, axis, of), []).append(_Point(version, frozenset(seen)))
            axes[cell, axis, of] = None
    for cell, (now, outcomes) in pinned.items():
        for axis in AXES:
            if axis in now and (named := _named(now[axis], axis)):
                of, version = named
                if (cell, axis, of) in axes:
                    points[cell, axis, of].append(_Point(version, frozenset(outcomes)))
    findings = [(cell, axis, of, _ranges(some)) for (cell, axis, of), some in points.items()]
    missing = {
        f"{driver}@{name}": why for name, results in configured.items() for driver, why in results.missing.items()
    }
    return Record(FORMAT, missing, tuple(_merged(findings)))


@functools.cache
def record(facts: Facts) -> Record:
    """Return the record of what is committed."""
    pinned = {seen.cell: (seen.versions, tuple(seen.seen)) for seen in facts.observed.values()}
    return compute(pinned, facts.results)


def page(facts: Facts) -> str:
    """Return the text of the file: a line for each finding."""
    found = record(facts)
    lines = ",\n".join(msgspec.json.encode(finding).decode() for finding in found.findings)
    missing = msgspec.json.encode(found.missing).decode()
    return f'{{"format":{found.format},"missing":{missing},"findings":[\n{lines}]}}\n'


class Change(NamedTuple):
    """A line of a driver's page: an example, where it was run, and what it did in which versions."""

    example: str
    where: str
    of: str
    ranges: tuple[Range, ...]


def changes(facts: Facts, driver: str) -> list[Change]:
    """Return what changed from version to version with a driver, by example."""
    found: dict[tuple[str, str, str, tuple[Range, ...]], list[Finding]] = {}
    for one in _of(facts, driver):
        if one.changed:
            found.setdefault((one.axis, one.of, one.example, one.ranges), []).append(one)
    return [
        Change(example, ", ".join(f"{one.stack} over {', '.join(one.transports)}" for one in some), of, ranges)
        for (_, of, example, ranges), some in sorted(found.items(), key=lambda item: item[0][:3])
    ]


def unchanged(facts: Facts, driver: str) -> dict[str, tuple[str, int]]:
    """Return, by what the versions are of, which were run and how many cells did the same in all of them."""
    found: dict[str, tuple[str, int]] = {}
    for of, some in groupby(sorted(_of(facts, driver), key=lambda one: one.of), key=lambda one: one.of):
        group = list(some)
        first = min((one.ranges[0].first for one in group), key=Version)
        last = max((one.ranges[-1].last for one in group), key=Version)
        found[of] = (f"{first} to {last}", sum(len(one.transports) for one in group if not one.changed))
    return found


def missing(facts: Facts, driver: str) -> list[tuple[str, str]]:
    """Return the configurations that a driver could not be installed in, and why."""
    return [
        (name, results.missing[driver])
        for name, results in version_results.read_folder(facts.results).items()
        if driver in results.missing
    ]


def _of(facts: Facts, driver: str) -> list[Finding]:
    return [one for one in record(facts).findings if one.driver == driver]


def _axis(versions: Mapping[str, str], pinned: Mapping[str, str]) -> str | None:
    """Return what differs from the pins, None if nothing does."""
    return next((axis for axis in AXES if axis in versions and versions[axis] != pinned.get(axis)), None)


def _named(text: str, axis: str) -> tuple[str, Version] | None:
    """Return what a version is of, and the version: `psycopg2-binary 2.9.13 (c)` is `psycopg2 (c)`, 2.9.13.

    None if the text is no version; pages show it all the same.
    """
    match = re.fullmatch(r"(?:(?P<name>\S+) )?(?P<version>\d\S*)(?P<built> \(\w+\))?", text)
    if match is None:
        return None
    name = (match["name"] or axis.capitalize()).removesuffix("-binary")
    return name + (match["built"] or ""), Version(match["version"])


def _ranges(points: Iterable[_Point]) -> tuple[Range, ...]:
    """Return ranges of neighbouring versions in which the same was seen; of a race, one run shows one outcome."""
    found: list[tuple[Version, Version, frozenset[Outcome]]] = []
    for version, some in groupby(sorted(points, key=lambda point: point.version), key=lambda point: point.version):
        outcomes = frozenset().union(*(point.outcomes for point in some))
        if found and found[-1][2] & outcomes:
            found[-1] = (found[-1][0], version, found[-1][2] | outcomes)
        else:
            found.append((version, version, outcomes))
    return tuple(
        Range(str(first), str(last), tuple(outcome for outcome in OUTCOMES if outcome in outcomes))
        for first, last, outcomes in found
    )


def _merged(found: Iterable[tuple[Coordinates, str, str, tuple[Range, ...]]]) -> Iterable[Finding]:
    """Return findings, those of cells that differ in the transport alone as one."""
    groups: dict[tuple[str, str, str, str, str, str, tuple[Range, ...]], list[str]] = {}
    for cell, axis, of, ranges in found:
        key = (cell.driver, axis, of, cell.stack, cell.example, cell.server, ranges)
        groups.setdefault(key, []).append(cell.transport)
    for (driver, axis, of, stack, example, server, ranges), transports in sorted(
        groups.items(),
        key=lambda item: (*item[0][:6], min(map(TRANSPORTS.index, item[1]))),
    ):
        ordered = tuple(transport for transport in TRANSPORTS if transport in transports)
        yield Finding(driver, stack, example, server, ordered, axis, of, ranges)
