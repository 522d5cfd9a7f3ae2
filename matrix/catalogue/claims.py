"""Reads what people claim about each cell, and why: `drivers/<driver>/expected.toml` and `matrix/reasons.toml`.

A claim is one line: `"<stack>/<example>/<product>" = {outcome = ..., reason = ..., note = ...}`. It holds for every
version of the product and every transport, unless a more specific key overrides it: one with the version,
`bare/closed_in_child/postgresql17`, with the transport, `bare/closed_in_child/postgresql/tls`, or with both. A version
wins over a transport, and holds for its series: `mariadb11` for `mariadb11.4`. A product that is `like` another one is
expected to do what that does, unless a key with its own name says otherwise.
"""

from __future__ import annotations

import difflib
import functools
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec

from matrix import servers
from matrix.catalogue import cells
from matrix.errors import MatrixError
from matrix.files import locked, remove_leftovers, write_text
from matrix.records.claim import UNREVIEWED, Claim, Reason
from matrix.records.outcomes import OUTCOMES, Outcome
from matrix.records.reading import ROOT, line_of, read_entries, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matrix.records.facts import Transport
    from matrix.records.observation import Coordinates

_HEADER = """\
# What this driver is expected to do. A key is <stack>/<example>/<product>; one with a version (postgresql17), with a
# transport (postgresql/tls) or with both (postgresql17/tls) overrides it. Several outcomes are a race: a run shows one.
# Reasons are explained in matrix/reasons.toml. After `nox -s matrix -- --update`, name the reason of what changed.
"""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: Outcome | Annotated[tuple[Outcome, ...], msgspec.Meta(min_length=2)]
    reason: str
    note: str = ""

    def __post_init__(self) -> None:
        if len(set(self.claim.outcomes)) < len(self.claim.outcomes):
            raise ValueError("an outcome is there twice")

    @property
    def claim(self) -> Claim:
        outcomes = self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)
        return Claim(outcomes, self.reason, self.note)


@functools.cache
def reasons(root: Path = ROOT) -> dict[str, Reason]:
    """Return every reason by id; raise MatrixError, with file and line, if the file is malformed."""
    return read_entries(root / "matrix" / "reasons.toml", Reason)


def claims(driver: str, root: Path = ROOT, *, reviewed: bool = True) -> dict[Coordinates, Claim]:
    """Return the claim of each cell of a driver, on every known server; a cell without one is not in it.

    Raises MatrixError, with file and line, for a key that fits no cell, an unknown outcome or an unknown reason. With
    `reviewed` false, unknown reasons and keys of cells that do not exist any more are accepted: what `--update` starts
    from.
    """
    path = _path(driver, root)
    found = _read(path)
    known = _cells(driver, root)
    if reviewed:
        used = {key for cell in known for key in _keys(cell)}
        for key, claim in found.items():
            if problem := _problem(driver, key, claim, used, reasons(root)):
                raise MatrixError(f"{shown(path)}, line {line_of(path, key)}: {problem}")
    resolved = {cell: _resolve(found, cell) for cell in known}
    return {cell: claim for cell, claim in resolved.items() if claim is not None}


def update(driver: str, observed: Mapping[Coordinates, Iterable[Outcome]], root: Path = ROOT) -> Path:
    """Write what was observed into a driver's claims, for a person to review, and return the file.

    Only the lines of cells that did what is not claimed change; everything else stays as it is, to the byte. What
    changes loses its reason and its note, and fails until a person has named the new reason. Raises MatrixError if the
    file cannot be read or written.
    """
    from matrix.catalogue.claims_file import edited  # noqa: PLC0415 - what only reads claims does not wait for it

    path = _path(driver, root)
    with locked(path.parent):
        remove_leftovers(path)
        found = _read(path)
        known = _cells(driver, root)
        wanted = {cell: _wanted(_resolve(found, cell), outcomes) for cell, outcomes in observed.items()}
        changes: dict[str, Claim] = {}
        for (stack, example, server), transports in _groups(known).items():
            mine = {cell.transport: wanted[cell] for cell in transports if cell in wanted}
            current = found | changes
            changed = {
                cell.transport: mine[cell.transport]
                for cell in transports
                if cell.transport in mine and _resolve(current, cell) != mine[cell.transport]
            }
            names = [cell.transport for cell in transports]
            changes |= _changes(f"{stack}/{example}/{server}", names, changed, current)
        if changes:
            text = path.read_text(encoding="utf-8") if path.exists() else _HEADER
            write_text(path, edited(text, changes))
    return path


def _problem(driver: str, key: str, claim: Claim, used: set[str], known: Mapping[str, Reason]) -> str | None:
    """Return what is wrong with a claim, None if it is in order."""
    if key not in used:
        near = difflib.get_close_matches(key, used, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        return f'no cell of {driver} is called "{key}"{meant}; a key is <stack>/<example>/<server>[/<transport>]'
    if claim.reason == UNREVIEWED:
        return f'"{key}" is {UNREVIEWED}: name its reason, one of matrix/reasons.toml'
    if claim.reason not in known:
        near = difflib.get_close_matches(claim.reason, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown reason {claim.reason!r}{meant}; matrix/reasons.toml has them all"
    return None


def _path(driver: str, root: Path) -> Path:
    return root / "drivers" / driver / "expected.toml"


def _read(path: Path) -> dict[str, Claim]:
    """Return the claims of a file by key, none if there is no file."""
    if not path.exists():
        return {}
    found = {key: entry.claim for key, entry in read_entries(path, _Entry).items()}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("["):
            raise MatrixError(
                f'{shown(path)}, line {number}: a claim is one line, "<key>" = {{outcome = ..., reason = ...}}'
            )
    return found


def _cells(driver: str, root: Path) -> list[Coordinates]:
    """Return a driver's cells on every known server."""
    return [cell for cell in cells(root, servers.names()) if cell.driver == driver]


def _keys(cell: Coordinates) -> list[str]:
    """Return the keys that hold for a cell, the most specific first."""
    return [
        f"{cell.stack}/{cell.example}/{name}{transport}"
        for name in servers.expected_as(cell.server)
        for transport in (f"/{cell.transport}", "")
    ]


def _resolve(found: Mapping[str, Claim], cell: Coordinates) -> Claim | None:
    return next((found[key] for key in _keys(cell) if key in found), None)


def _wanted(claim: Claim | None, outcomes: Iterable[Outcome]) -> Claim:
    """Return what is to be claimed of a cell that was observed: what is claimed already, if it allows that."""
    seen = set(outcomes)
    if claim is not None and seen <= set(claim.outcomes):
        return claim
    return Claim(tuple(sorted(seen, key=list(OUTCOMES).index)), UNREVIEWED)


def _groups(known: Iterable[Coordinates]) -> dict[tuple[str, str, str], list[Coordinates]]:
    """Return cells by stack, example and server: in the order of a file, a product's default server first."""
    groups: dict[tuple[str, str, str], list[Coordinates]] = {}
    for cell in sorted(known, key=lambda cell: cell.example):
        groups.setdefault((cell.stack, cell.example, cell.server), []).append(cell)
    return groups


def _changes(
    key: str, transports: Sequence[Transport], changed: Mapping[Transport, Claim], current: Mapping[str, Claim]
) -> dict[str, Claim]:
    """Return the lines to write for one server's transports of which something else is to be claimed."""
    changes = {f"{key}/{name}": claim for name, claim in changed.items() if f"{key}/{name}" in current}
    rest = {name: claim for name, claim in changed.items() if f"{key}/{name}" not in current}
    general = [name for name in transports if f"{key}/{name}" not in current]
    if rest and len(rest) == len(general):
        changes[key], _ = Counter(rest.values()).most_common(1)[0]
    return changes | {f"{key}/{name}": claim for name, claim in rest.items() if claim != changes.get(key)}
