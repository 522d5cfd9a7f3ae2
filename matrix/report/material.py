"""Reads what a report is made of: folders of results, with the evidence beside them, merged into one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix import catalogue, observations
from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

#: The format of evidence files that this version reads.
FORMAT = 1


@dataclass
class Material:
    """Observations, and the evidence of those that have any, by cell id."""

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
    by_file: dict[Path, list[str]] = {}
    for key in sorted(cells):
        stack, example, driver, _, _ = key.split("/")
        by_file.setdefault(folder / driver / stack / f"{example}.json", []).append(key)
    found: dict[str, dict[str, Any]] = {}
    for path, keys in by_file.items():
        stored = _read(path)
        found |= {key: stored[key] for key in keys if key in stored}
    return found


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MatrixError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise MatrixError(f"{path}: not JSON: {error}; delete it and run again") from None
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT or not isinstance(data.get("cells"), dict):
        raise MatrixError(
            f"{path}: format {version!r}, and this version reads format {FORMAT}; delete it and run again"
        )
    cells: dict[str, dict[str, Any]] = data["cells"]
    return cells


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
