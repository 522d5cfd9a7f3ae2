"""The files of results of launcher cells: `<folder>/launchers/<launcher>.json`, a line for each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from matrix.files import locked, remove_leftovers, write_text
from matrix.records.launchers import LauncherObservation
from matrix.records.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from matrix.records.evidence import Evidence

FORMAT = 1


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: int
    versions: dict[str, dict[str, str]]
    cells: list[LauncherObservation]


def read(folder: Path) -> dict[str, LauncherObservation]:
    """Return the observations of every launcher in a folder of results, by cell id; raise MatrixError if one is bad."""
    found: dict[str, LauncherObservation] = {}
    for path in sorted((folder / "launchers").glob("*.json")):
        found |= _read(path)
    return found


def _read(path: Path) -> dict[str, LauncherObservation]:
    if not path.exists():
        return {}
    file = read_json(path, _File, hint="delete it and run again")
    return {
        cell.id: msgspec.structs.replace(cell, versions=file.versions.get(cell.versions.get("set", ""), {}))
        for cell in file.cells
    }


def write(
    folder: Path, launcher: str, observations: Iterable[LauncherObservation], current: Collection[str] | None = None
) -> set[str]:
    """Add a launcher's observations to a folder and return the ids of those that changed.

    What is there of other cells stays, unless they are not among `current`, the ids of the cells that exist.
    """
    path = folder / "launchers" / f"{launcher}.json"
    with locked(path.parent):
        remove_leftovers(path)
        old = _read(path)
        new = {each.id: _keep_if_same(old.get(each.id), each) for each in observations}
        changed = {key for key, each in new.items() if each is not old.get(key)}
        whole = {key: each for key, each in (old | new).items() if current is None or key in {*current, *new}}
        if changed or whole.keys() != old.keys():
            write_text(path, _text(sorted(whole.values(), key=lambda each: each.cell)))
    return changed


def write_evidence(folder: Path, key: str, evidence: Evidence) -> None:
    """Write the evidence of a cell: `<folder>/launchers/evidence/<cell, with dashes>.json`."""
    path = folder / "launchers" / "evidence" / f"{key.replace('/', '-')}.json"
    write_text(path, msgspec.json.format(msgspec.json.encode(evidence), indent=1).decode() + "\n")


def _text(cells: list[LauncherObservation]) -> str:
    """Return the file: versions once, then a line for each cell."""
    sets: dict[str, dict[str, str]] = {}
    lines = []
    for cell in cells:
        name = next((name for name, known in sets.items() if known == cell.versions), f"v{len(sets) + 1}")
        sets[name] = cell.versions
        lines.append(msgspec.json.encode(msgspec.structs.replace(cell, versions={"set": name})).decode())
    versions = ",\n".join(f"  {msgspec.json.encode(name).decode()}: {_json(known)}" for name, known in sets.items())
    return f'{{"format": {FORMAT},\n "versions": {{\n{versions}\n }},\n "cells": [\n' + ",\n".join(lines) + "\n ]}\n"


def _json(versions: dict[str, str]) -> str:
    return msgspec.json.encode(versions).decode()


def _keep_if_same(old: LauncherObservation | None, new: LauncherObservation) -> LauncherObservation:
    """Return an earlier observation if a new one says nothing else: how often each thing happened may differ."""
    return old if old is not None and _facts(old) == _facts(new) else new


def _facts(seen: LauncherObservation) -> tuple[object, ...]:
    return (
        seen.holds,
        seen.outcome if seen.holds else "",
        seen.parent if seen.holds else "",
        seen.versions,
        seen.program,
        seen.note,
    )
