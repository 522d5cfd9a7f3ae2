"""Reads what people claim about crossed cells: `matrix/crossed/<remedy>.toml`.

A claim is one line: `"<hazard>" = {outcome = ..., because = "<id>"}`; `matrix/crossed/because.toml` has the sentence of
each id, and what protects needs none. It holds for every stack, driver and transport, unless a more specific key
overrides it. A key may name a stack, a driver and a transport after the hazard, in this
order and each or not: `<hazard>/django`, `<hazard>/pymysql/tls`, `<hazard>/bare/psycopg`. Of several keys that fit a
cell the one with most names counts, and of those the first in the file.
"""

from __future__ import annotations

import difflib
import functools
from collections import Counter
from itertools import combinations, product
from typing import TYPE_CHECKING

import msgspec

from matrix.catalogue.crossed import crossed_cells
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records.claim import UNREVIEWED, Claim
from matrix.records.crossed_results import parts
from matrix.records.outcomes import GOOD, OUTCOMES, Outcome
from matrix.records.reading import ROOT, line_of, read_entries, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from matrix.records.observation import Coordinates

FOLDER = "matrix/crossed"
_BECAUSE = "because.toml"
_HEADER = """\
# What hazards are expected to do with this remedy in place. A key is <hazard>; one with a stack, a driver or a
# transport after it overrides it. Reasons are explained in because.toml. After `nox -s remedies -- --update`, name the
# reason of what changed, unless it is good.
"""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: Outcome | tuple[Outcome, ...]
    because: str = ""

    def __post_init__(self) -> None:
        if not self.because and not set(self.claim.outcomes) <= set(GOOD):
            raise ValueError("`because` has to say why it is not `works`")

    @property
    def claim(self) -> Claim:
        outcomes = self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)
        return Claim(outcomes, self.because)


@functools.cache
def because(root: Path = ROOT) -> dict[str, str]:
    """Return the sentence of each reason by its id; raise MatrixError, with file and line, if the file is malformed."""
    path = root / FOLDER / _BECAUSE
    return read_entries(path, str) if path.exists() else {}


def crossed_claims(root: Path = ROOT, *, reviewed: bool = True) -> dict[Coordinates, Claim]:
    """Return the claim of each crossed cell; a cell without one is not in it. Its `reason` may be empty.

    Raises MatrixError, with file and line, for a file or key that fits no cell and for a claim that is not reviewed
    yet; without `reviewed` these are accepted.
    """
    groups = _by_remedy(crossed_cells(root))
    found: dict[Coordinates, Claim] = {}
    for path in sorted((root / FOLDER).glob("*.toml")):
        if path.name == _BECAUSE:
            continue
        claims = _read(path)
        cells = groups.get(path.stem, [])
        if reviewed:
            _check(path, claims, cells, because(root))
        found |= {cell: claim for cell in cells if (claim := _resolve(claims, cell))}
    return found


def update(observed: Mapping[Coordinates, Iterable[Outcome]], root: Path = ROOT) -> list[Path]:
    """Write what was observed into the claims, for a person to review, and return the files that changed.

    A claim that holds stays as it is. What stacks, drivers and transports have in common is one line.
    """
    claimed = crossed_claims(root, reviewed=False)
    changed = []
    for remedy, cells in _by_remedy(crossed_cells(root)).items():
        path = root / FOLDER / f"{remedy}.toml"
        wanted = {cell: claim for cell in cells if (claim := _wanted(claimed.get(cell), observed.get(cell)))}
        if all(claimed.get(cell) == claim for cell, claim in wanted.items()):
            continue
        groups: dict[str, dict[Coordinates, Claim]] = {}
        for cell, claim in wanted.items():
            groups.setdefault(parts(cell)[0], {})[cell] = claim
        lines = [_line(*line) for _, group in sorted(groups.items()) for line in _lines(group).items()]
        path.parent.mkdir(exist_ok=True)
        write_text(path, _HEADER + "\n" + "\n".join(lines) + "\n")
        changed.append(path)
    return changed


def _by_remedy(cells: Iterable[Coordinates]) -> dict[str, list[Coordinates]]:
    found: dict[str, list[Coordinates]] = {}
    for cell in cells:
        found.setdefault(parts(cell)[1], []).append(cell)
    return found


def _read(path: Path) -> dict[str, Claim]:
    return {key: entry.claim for key, entry in read_entries(path, _Entry).items()}


def _check(path: Path, claims: Mapping[str, Claim], cells: list[Coordinates], reasons: Collection[str]) -> None:
    known = {key for cell in cells for key in _keys(cell)}
    for key, claim in claims.items():
        where = f"{shown(path)}, line {line_of(path, key)}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f'; did you mean "{near[0]}"?' if near else ""
            raise MatrixError(f'{where}: no cell with {path.stem} is called "{key}"{meant}')
        if claim.reason == UNREVIEWED:
            raise MatrixError(f'{where}: "{key}" is {UNREVIEWED}: name its reason, one of {FOLDER}/{_BECAUSE}')
        if claim.reason and claim.reason not in reasons:
            raise MatrixError(f"{where}: unknown reason {claim.reason!r}; {FOLDER}/{_BECAUSE} has them all")


def _axes(cell: Coordinates) -> tuple[str, str, str]:
    return cell.stack, cell.driver, cell.transport


def _keys(cell: Coordinates) -> list[str]:
    """Return the keys that a claim about a cell may have, those with most names first."""
    hazard, _ = parts(cell)
    axes = _axes(cell)
    return ["/".join([hazard, *names]) for length in (3, 2, 1, 0) for names in combinations(axes, length)]


def _resolve(claims: Mapping[str, Claim], cell: Coordinates) -> Claim | None:
    fitting = [key for key in _keys(cell) if key in claims]
    if not fitting:
        return None
    length = fitting[0].count("/")
    return next(claims[key] for key in claims if key in fitting and key.count("/") == length)


def _wanted(claim: Claim | None, outcomes: Iterable[Outcome] | None) -> Claim | None:
    """Return what is to be claimed of a cell: what is claimed already if it allows what was observed, if anything."""
    if outcomes is None:
        return claim
    seen = set(outcomes)
    if claim is not None and seen <= set(claim.outcomes):
        return claim
    return Claim(tuple(sorted(seen, key=list(OUTCOMES).index)), "" if seen <= set(GOOD) else UNREVIEWED)


def _lines(group: Mapping[Coordinates, Claim]) -> dict[str, Claim]:
    """Return the claims of one hazard with a remedy: as few lines as say it, found one after the other."""
    hazard = parts(next(iter(group)))[0]
    (general, _), *_ = Counter(group.values()).most_common()
    lines = {hazard: general}
    values = [list(dict.fromkeys(column)) for column in zip(*map(_axes, group), strict=True)]
    for length in (1, 2, 3):
        for which in combinations(range(3), length):
            for names in product(*(values[axis] for axis in which)):
                own = {cell: claim for cell, claim in group.items() if names == tuple(_axes(cell)[i] for i in which)}
                wrong = [claim for cell, claim in own.items() if _resolve(lines, cell) != claim]
                if own and wrong and (len(set(own.values())) == 1 or length == 3):
                    lines["/".join([hazard, *names])] = wrong[0]
    return lines


def _line(key: str, claim: Claim) -> str:
    outcomes = [f'"{outcome}"' for outcome in claim.outcomes]
    text = outcomes[0] if len(outcomes) == 1 else f"[{', '.join(outcomes)}]"
    because = claim.reason.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{key}" = {{outcome = {text}{f", because = {chr(34)}{because}{chr(34)}" if because else ""}}}'
