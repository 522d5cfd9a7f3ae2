"""The files of results on other servers than the default ones: `<folder>/servers/<server>.json`, a line for each cell.

They say what happened and no more: how often each outcome was seen. `nox -s servers -- --output DIR` writes the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from matrix.errors import MatrixError
from matrix.files import locked, remove_leftovers, write_text
from matrix.records.facts import TRANSPORTS, Transport
from matrix.records.observation import Coordinates
from matrix.records.outcomes import Outcome, worst
from matrix.records.reading import read_json, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from matrix.records.observation import Observation

FORMAT = 1
FOLDER = "servers"


class OnServer(msgspec.Struct, frozen=True):
    """What was seen of a cell: how often each outcome."""

    cell: Coordinates
    seen: dict[Outcome, int]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome that was seen."""
        return worst(self.seen)


class ServerResults(msgspec.Struct, frozen=True):
    """What was seen on a server: versions by driver, and the cells by id."""

    versions: dict[str, dict[str, str]]
    cells: dict[str, OnServer]


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: int
    versions: dict[str, dict[str, str]]
    # By `<stack>/<example>/<driver>`, then by the transports that did the same, such as `tcp unix`.
    cells: dict[str, dict[str, dict[Outcome, int]]]


def read(folder: Path) -> dict[str, ServerResults]:
    """Return what was seen on each server that a folder of results has; raise MatrixError if a file is bad."""
    return {path.stem: _read(path) for path in sorted((folder / FOLDER).glob("*.json"))}


def write(
    folder: Path, server: str, observations: Iterable[Observation], current: Collection[str] | None = None
) -> None:
    """Add what was seen on a server to a folder, without what could not be run.

    What is there of other cells stays, unless they are not among `current`, the ids of the cells that exist. A cell
    that showed the same outcomes again stays as it is.
    """
    path = folder / FOLDER / f"{server}.json"
    ran = [seen for seen in observations if seen.applies]
    with locked(path.parent):
        remove_leftovers(path)
        old = _read(path) if path.exists() else ServerResults({}, {})
        cells = {key: each for key, each in old.cells.items() if current is None or key in current}
        for seen in ran:
            if seen.id not in cells or cells[seen.id].seen.keys() != seen.seen.keys():
                cells[seen.id] = OnServer(seen.cell, seen.seen)
        versions = old.versions | {seen.cell.driver: _shared(ran, seen.cell.driver) for seen in ran}
        text = _text(versions, cells.values())
        if cells and (not path.exists() or path.read_text(encoding="utf-8") != text):
            write_text(path, text)


def _shared(observations: Iterable[Observation], driver: str) -> dict[str, str]:
    """Return the versions that all cells of a driver share: not those of ORMs."""
    first = next(seen.versions for seen in observations if seen.cell.driver == driver)
    return {what: version for what, version in first.items() if what != "orm"}


def _read(path: Path) -> ServerResults:
    hint = "delete it and run again"
    file = read_json(path, _File, hint=hint)
    if file.format != FORMAT:
        raise MatrixError(f"{shown(path)}: format {file.format}, this version reads {FORMAT}; {hint}")
    cells = {}
    for place, groups in file.cells.items():
        for transport, seen in ((name, seen) for names, seen in groups.items() for name in names.split()):
            parts = dict(zip(("stack", "example", "driver"), place.split("/"), strict=False))
            try:
                cell = msgspec.convert({**parts, "server": path.stem, "transport": transport}, Coordinates)
            except msgspec.ValidationError as error:
                problem = f"{place!r}, {transport!r}: {error}; a key is <stack>/<example>/<driver>"
                raise MatrixError(f"{shown(path)}: {problem}; {hint}") from None
            cells[cell.id] = OnServer(cell, seen)
    return ServerResults(file.versions, cells)


def _text(versions: dict[str, dict[str, str]], cells: Iterable[OnServer]) -> str:
    places: dict[str, dict[Transport, dict[Outcome, int]]] = {}
    for each in cells:
        place = f"{each.cell.stack}/{each.cell.example}/{each.cell.driver}"
        places.setdefault(place, {})[each.cell.transport] = dict(sorted(each.seen.items()))
    lines = []
    for place, by_transport in sorted(places.items()):
        groups: dict[str, list[Transport]] = {}
        for transport in TRANSPORTS:
            if transport in by_transport:
                groups.setdefault(_json(by_transport[transport]), []).append(transport)
        did = ",".join(f"{_json(' '.join(transports))}:{seen}" for seen, transports in groups.items())
        lines.append(f"{_json(place)}:{{{did}}}")
    named = ",\n".join(f"{_json(driver)}:{_json(its)}" for driver, its in sorted(versions.items()))
    return f'{{"format":{FORMAT},\n"versions":{{\n{named}\n}},\n"cells":{{\n' + ",\n".join(lines) + "\n}}\n"


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()
