"""Reads what a report is made of: folders of results, with the evidence beside them, merged into one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.errors import MatrixError
from matrix.records import old_results as observations

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass
class Material:
    """Observations, and the evidence of those that have any (see `matrix.wire.evidence.timeline`), by cell id."""

    observations: dict[str, dict[str, Any]] = field(default_factory=dict)
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)


def load(folders: Sequence[Path]) -> Material:
    """Return what stands in some folders of results.

    Where two hold the same cell the later named wins, except that `not applicable` never replaces what was
    observed elsewhere. Raises MatrixError for a folder without results and for a file that cannot be read.
    """
    whole = Material()
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        if not files:
            raise MatrixError(f"{folder}: no results there; nox -s matrix -- --output {folder} writes some")
        found: dict[str, dict[str, Any]] = {}
        for path in files:
            found |= observations.read(path)
        for key, seen in found.items():
            if seen["outcome"] != "not applicable" or key not in whole.observations:
                whole.observations[key] = seen
                whole.evidence.pop(key, None)
        newer = {key for key, seen in found.items() if whole.observations[key] is seen}
        whole.evidence |= evidence(folder, newer)
    return whole


def evidence(folder: Path, cells: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the evidence that stands beside a folder's results, of these cells, by cell id; of some there is none."""
    return {key: found for key in sorted(cells) if (found := observations.read_evidence(folder, key))}


def deviations(seen: dict[str, dict[str, Any]]) -> list[str]:
    """Return the cells that did what was not claimed of them when they ran."""
    return [
        key
        for key, value in sorted(seen.items())
        if value["outcome"] != "not applicable" and not set(value["seen"]) <= set(value["expected"])
    ]


def missing(seen: dict[str, dict[str, Any]]) -> list[str]:
    """Return the cells of the drivers in a report of which there is no result."""
    drivers = {value["driver"] for value in seen.values()}
    return [cell.id for cell in catalogue.cells() if cell.driver in drivers and cell.id not in seen]
