"""What was observed in a configuration: `<folder>/versions/<configuration>.json`, an outcome for each cell.

Steps are not kept: run the configuration with `--output` to get them. A line holds the transports that showed
the same: `"bare/closed_in_child/psycopg2/postgresql/tcp,unix":{"parent error":1}`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, cast

import msgspec

from matrix.files import locked, remove_leftovers, write_text
from matrix.records.facts import TRANSPORTS, Transport
from matrix.records.observation import Coordinates
from matrix.records.outcomes import Outcome
from matrix.records.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matrix.records.observation import Observation

FORMAT = 1
FOLDER = "versions"
Seen = dict[Outcome, Annotated[int, msgspec.Meta(ge=1)]]


class Configured(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was observed in one configuration.

    `cells` says how often each outcome was the worst, `versions` what took part, by `<stack>/<driver>/<server>`.
    `missing` says why a driver could not be installed or run, by its name.
    """

    format: int
    configuration: str
    versions: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    cells: dict[str, Seen] = {}

    def observed(self) -> dict[Coordinates, Seen]:
        """Return what was seen of each cell."""
        return {cell: seen for key, seen in self.cells.items() for cell in _cells(key)}

    def versions_of(self, cell: Coordinates) -> dict[str, str]:
        """Return the versions that took part in a cell."""
        return self.versions[f"{cell.stack}/{cell.driver}/{cell.server}"]


def read(folder: Path, configuration: str) -> Configured:
    """Return what was observed in a configuration, nothing if there is no file; raise MatrixError if it is bad."""
    path = _path(folder, configuration)
    if not path.exists():
        return Configured(format=FORMAT, configuration=configuration)
    return read_json(path, Configured, hint="delete it and run again")


def read_folder(folder: Path) -> dict[str, Configured]:
    """Return what was observed in every configuration, by its name."""
    return {path.stem: read(folder, path.stem) for path in sorted((folder / FOLDER).glob("*.json"))}


def write(
    folder: Path,
    configuration: str,
    observations: Iterable[Observation],
    *,
    drivers: Iterable[str],
    missing: Mapping[str, str],
) -> None:
    """Add what was observed in a configuration to its file.

    What is there of other cells stays, unless it was seen with other versions. Counts of a cell stay as they are if it
    showed nothing else. `drivers` are those that were run, or could not be.
    """
    path = _path(folder, configuration)
    with locked(path.parent):
        remove_leftovers(path)
        old = read(folder, configuration)
        versions = dict(old.versions)
        cells = old.observed()
        for each in observations:
            if not each.applies:
                continue
            place = f"{each.cell.stack}/{each.cell.driver}/{each.cell.server}"
            if versions.get(place) != each.versions:
                versions[place] = each.versions
                cells = {cell: seen for cell, seen in cells.items() if _place(cell) != place}
            if cells.get(each.cell, {}).keys() != each.seen.keys() or each.count > sum(cells[each.cell].values()):
                cells[each.cell] = dict(each.seen)
        ran = set(drivers)
        new = Configured(
            format=FORMAT,
            configuration=configuration,
            versions={place: versions[place] for place in sorted({_place(cell) for cell in cells})},
            missing=dict(
                sorted(({name: why for name, why in old.missing.items() if name not in ran} | dict(missing)).items())
            ),
            cells=_lines(cells),
        )
        text = _text(new)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)


def _path(folder: Path, configuration: str) -> Path:
    return folder / FOLDER / f"{configuration}.json"


def _place(cell: Coordinates) -> str:
    return f"{cell.stack}/{cell.driver}/{cell.server}"


def _cells(key: str) -> list[Coordinates]:
    stack, example, driver, server, transports = key.split("/")
    return [Coordinates(stack, example, driver, server, cast("Transport", one)) for one in transports.split(",")]


def _lines(cells: Mapping[Coordinates, Seen]) -> dict[str, Seen]:
    """Return cells by line: those that differ in the transport alone are one."""

    def place(cell: Coordinates) -> tuple[str, ...]:
        return (cell.driver, cell.stack, cell.example, cell.server)

    lines: dict[str, Seen] = {}
    for (driver, stack, example, server), group in groupby(sorted(cells, key=place), key=place):
        same: list[tuple[Seen, list[str]]] = []
        for cell in sorted(group, key=lambda cell: TRANSPORTS.index(cell.transport)):
            seen = dict(sorted(cells[cell].items()))
            for other, transports in same:
                if other == seen:
                    transports.append(cell.transport)
                    break
            else:
                same.append((seen, [cell.transport]))
        lines |= {f"{stack}/{example}/{driver}/{server}/{','.join(transports)}": seen for seen, transports in same}
    return lines


def _text(what: Configured) -> str:
    """Return the file: a line for each entry."""
    parts = [f'{{"format":{FORMAT},"configuration":{_json(what.configuration)}']
    for name in ("versions", "missing", "cells"):
        entries = getattr(what, name)
        if entries:
            lines = ",\n".join(f"{_json(key)}:{_json(value)}" for key, value in entries.items())
            parts.append(f'"{name}":{{\n{lines}}}')
    return ",\n".join(parts) + "}\n"


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()
