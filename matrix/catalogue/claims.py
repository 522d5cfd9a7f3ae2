"""Reads what people claim about each cell, and why: `drivers/<driver>/expected.toml` and `matrix/reasons.toml`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.catalogue import ROOT, TRANSPORTS, Cell, cells
from matrix.catalogue.schema import read_toml
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records.outcomes import OUTCOMES
from matrix.records.reading import line_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What `--update` writes where a person has to name the reason; as no such reason exists, the file fails until then.
UNREVIEWED = "to-be-reviewed"
MOVERS = ("you", "driver", "orm", "server", "nobody")

_CLAIM = {
    "type": "object",
    "required": ["outcome", "reason"],
    "additionalProperties": False,
    "properties": {
        "outcome": {
            "oneOf": [
                {"enum": list(OUTCOMES)},
                {"type": "array", "items": {"enum": list(OUTCOMES)}, "minItems": 2, "uniqueItems": True},
            ]
        },
        "reason": {"type": "string"},
        "note": {"type": "string"},
    },
}
_CLAIMS = {"type": "object", "additionalProperties": _CLAIM}
_SOURCE = {
    "type": "object",
    "required": ["package", "version", "file", "line", "url"],
    "additionalProperties": False,
    "properties": {
        "package": {"type": "string"},
        "version": {"type": "string"},
        "file": {"type": "string"},
        "line": {"type": "integer", "minimum": 1},
        "url": {"type": "string", "pattern": "^https://"},
        "object": {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"},
        "contains": {"type": "string"},
    },
    "dependentRequired": {"object": ["contains"], "contains": ["object"]},
}
_REASONS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["sentence", "mover"],
        "additionalProperties": False,
        "properties": {
            "sentence": {"type": "string"},
            "mover": {"enum": list(MOVERS)},
            "link": {"type": "string", "pattern": "^https://"},
            "sources": {"type": "array", "items": _SOURCE},
        },
        "anyOf": [{"required": ["link"]}, {"required": ["sources"]}],
    },
}


@dataclass(frozen=True)
class Claim:
    """What a cell is claimed to do: every outcome it may have, and the id of the reason."""

    outcomes: tuple[str, ...]
    reason: str
    note: str = ""

    @property
    def is_race(self) -> bool:
        """Whether more than one outcome is allowed, so that one run proves little."""
        return len(self.outcomes) > 1


@functools.cache
def reasons(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """Return every reason by id; raise MatrixError where the file is malformed."""
    return read_toml(root / "matrix" / "reasons.toml", _REASONS)


def claims(driver: str, root: Path = ROOT, *, reviewed: bool = True) -> dict[Cell, Claim]:
    """Return the claim of each of a driver's cells; a cell without one is not in it.

    Raises MatrixError, with file and line, for a table that names no cell, an unknown outcome or an unknown reason.
    With `reviewed` false, claims that wait for their reason are taken as they stand, and those of cells that are no
    more are left out: what `--update` starts from.
    """
    path = root / "drivers" / driver / "expected.toml"
    if not path.exists():
        return {}
    data = read_toml(path, _CLAIMS)
    text = path.read_text(encoding="utf-8")
    by_key: dict[str, list[Cell]] = {}
    for cell in cells(root):
        if cell.driver == driver:
            key = _key(cell)
            by_key.setdefault(key, []).append(cell)
            by_key.setdefault(f"{key}/{cell.transport}", []).append(cell)
    found: dict[Cell, Claim] = {}
    for key in sorted(data, key=lambda key: key.count("/")):
        where = f"{path.relative_to(root)}, line {line_of(text, key)}"
        if key not in by_key:
            if not reviewed:
                continue
            raise MatrixError(
                f'{where}: no cell of {driver} is called "{key}"; a claim is named <stack>/<example>/<server>'
                " or <stack>/<example>/<server>/<transport>"
            )
        table = data[key]
        if reviewed and table["reason"] not in reasons(root):
            known = (
                "write the reason that a person found"
                if table["reason"] == UNREVIEWED
                else "matrix/reasons.toml has them all"
            )
            raise MatrixError(f"{where}: unknown reason {table['reason']!r}; {known}")
        outcome = table["outcome"]
        claim = Claim(tuple([outcome] if isinstance(outcome, str) else outcome), table["reason"], table.get("note", ""))
        found.update(dict.fromkeys(by_key[key], claim))
    return found


def update(driver: str, observed: Mapping[Cell, tuple[str, ...]], root: Path = ROOT) -> Path:
    """Write claims that say what was observed, for a person to review, and return the file.

    Cells that were not observed keep their claims. A reason stays with a cell whose outcomes stay; another cell's is
    left to be reviewed, which fails until a person has named it. Raises MatrixError where the file cannot be written.
    """
    path = root / "drivers" / driver / "expected.toml"
    old = claims(driver, root, reviewed=False)
    new: dict[Cell, Claim] = {}
    for cell in (cell for cell in cells(root) if cell.driver == driver):
        claim = old.get(cell)
        outcomes = observed.get(cell)
        if outcomes is None:
            if claim:
                new[cell] = claim
        elif claim and set(outcomes) == set(claim.outcomes):
            new[cell] = claim
        else:
            new[cell] = Claim(tuple(outcomes), UNREVIEWED, "")
    tables: list[str] = [_HEADER]
    groups: dict[str, dict[str, Claim]] = {}
    for cell, claim in new.items():
        groups.setdefault(_key(cell), {})[cell.transport] = claim
    for key, by_transport in groups.items():
        if len(by_transport) == len(TRANSPORTS) and len(set(by_transport.values())) == 1:
            tables.append(_table(key, next(iter(by_transport.values()))))
        else:
            tables += [_table(f"{key}/{transport}", claim) for transport, claim in by_transport.items()]
    write_text(path, "\n".join(tables))
    return path


_HEADER = """\
# What we claim this driver does, cell by cell: <stack>/<example>/<server>, with /<transport> where transports differ.
# A list of outcomes is a race: any of them may be seen. Reasons are explained in matrix/reasons.toml.
# `nox -s matrix -- --update` rewrites outcomes from a run for review; reasons are written by people.
"""


def _key(cell: Cell) -> str:
    return f"{cell.stack}/{cell.example}/{cell.server}"


def _table(key: str, claim: Claim) -> str:
    outcome = (
        _string(claim.outcomes[0])
        if len(claim.outcomes) == 1
        else "[" + ", ".join(_string(outcome) for outcome in claim.outcomes) + "]"
    )
    note = f"note = {_string(claim.note)}\n" if claim.note else ""
    return f'["{key}"]\noutcome = {outcome}\nreason = {_string(claim.reason)}\n{note}'


def _string(text: str) -> str:
    """Return a text as a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
