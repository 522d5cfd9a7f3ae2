"""Reads what people claim about launcher cells: `launchers/<launcher>/expected.toml`.

A claim is one line: `"<application>/<remedy>" = {outcome = ..., because = "..."}`. It holds for every driver, server
and transport, unless a more specific key overrides it: `<application>/<remedy>/<driver>`, and one with the transport at
its end, `<application>/<remedy>/<driver>/tls`.
"""

from __future__ import annotations

import difflib
import functools
from typing import TYPE_CHECKING

from matrix.catalogue import drivers
from matrix.catalogue.assemble import offered
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.catalogue.remedies import remedies
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records.claim import UNREVIEWED
from matrix.records.facts import TRANSPORTS
from matrix.records.launchers import LauncherCell, LauncherClaim
from matrix.records.outcomes import GOOD, OUTCOMES
from matrix.records.reading import ROOT, line_of, read_entries, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matrix.catalogue import Driver
    from matrix.catalogue.launchers import Application
    from matrix.records.launchers import LauncherObservation

_HEADER = """\
# What is expected under this launcher. A key is <application>/<remedy>; one with a driver, or a driver and a transport,
# overrides it. `fails` is every outcome but `works` and `new session`. After `--update`, say why of what changed.
"""


@functools.cache
def launcher_cells(root: Path = ROOT) -> tuple[LauncherCell, ...]:
    """Return every launcher cell: by launcher, application, remedy, driver, server and transport."""
    return tuple(
        LauncherCell(application.name, launcher.name, remedy, driver.name, server, transport)
        for launcher in launchers(root).values()
        for application in map(applications(root).__getitem__, launcher.facts.applications)
        for remedy in offered(application.name, launcher.name, root)
        for driver in drivers(root).values()
        if works_with(application, driver) and _needs(application, remedy, root) <= _has(application, driver)
        for server in driver.servers
        for transport in TRANSPORTS[:2]
    )


def _needs(application: Application, remedy: str, root: Path) -> set[str]:
    known = remedies(root).get((application.facts.stack, remedy))
    return set(known.needs) if known else set()


def _has(application: Application, driver: Driver) -> set[str]:
    return driver.facts.capabilities(application.facts.stack)


def launcher_claims(launcher: str, root: Path = ROOT, *, reviewed: bool = True) -> dict[LauncherCell, LauncherClaim]:
    """Return the claim of each cell of a launcher; a cell without one is not in it.

    Raises MatrixError, with file and line, for a key that fits no cell and for a claim that is not reviewed yet;
    without `reviewed` these are accepted.
    """
    path = _path(launcher, root)
    found = read_entries(path, LauncherClaim) if path.exists() else {}
    cells = [cell for cell in launcher_cells(root) if cell.launcher == launcher]
    used = {key for cell in cells for key in _keys(cell)}
    for key, claim in found.items() if reviewed else ():
        where = f"{shown(path)}, line {line_of(path, key)}"
        if key not in used:
            near = difflib.get_close_matches(key, used, n=1)
            meant = f'; did you mean "{near[0]}"?' if near else ""
            raise MatrixError(f'{where}: no cell of {launcher} is called "{key}"{meant}')
        if claim.because == UNREVIEWED:
            raise MatrixError(f'{where}: "{key}" does not say yet why')
    resolved = {cell: next((found[key] for key in _keys(cell) if key in found), None) for cell in cells}
    return {cell: claim for cell, claim in resolved.items() if claim is not None}


def update(launcher: str, observed: Iterable[LauncherObservation], root: Path = ROOT) -> Path:
    """Write what was observed into a launcher's claims, for a person to review, and return the file.

    A claim that holds stays as it is. What drivers and transports have in common is one line.
    """
    claimed = launcher_claims(launcher, root, reviewed=False)
    wanted: dict[LauncherCell, LauncherClaim] = dict(claimed)
    for seen in observed:
        if seen.applies:
            claim = claimed.get(seen.cell)
            if claim is None or not set(seen.seen) <= set(claim.outcomes):
                wanted[seen.cell] = _new(seen)
    groups: dict[tuple[str, str], dict[LauncherCell, LauncherClaim]] = {}
    for cell in launcher_cells(root):
        if cell in wanted:
            groups.setdefault((cell.application, cell.remedy), {})[cell] = wanted[cell]
    lines = [line for group in groups.values() for line in _lines(group)]
    path = _path(launcher, root)
    write_text(path, _HEADER + "\n" + "\n".join(lines) + "\n")
    return path


def _new(seen: LauncherObservation) -> LauncherClaim:
    outcomes = tuple(outcome for outcome in OUTCOMES if outcome in seen.seen)
    good = all(outcome in GOOD for outcome in outcomes)
    return LauncherClaim(
        outcome=(outcomes if len(outcomes) > 1 else outcomes[0]) if good else "fails", because=UNREVIEWED
    )


def _lines(group: Mapping[LauncherCell, LauncherClaim]) -> list[str]:
    """Return the lines of one application and remedy: as few as say it."""
    first = next(iter(group))
    most: dict[LauncherClaim, int] = {}
    for claim in group.values():
        most[claim] = most.get(claim, 0) + 1
    general = max(most, key=lambda claim: most[claim])
    lines = [_line(f"{first.application}/{first.remedy}", general)]
    for driver in dict.fromkeys(cell.driver for cell in group):
        mine = {cell: claim for cell, claim in group.items() if cell.driver == driver}
        if set(mine.values()) == {general}:
            continue
        if len(set(mine.values())) == 1:
            lines.append(_line(f"{first.application}/{first.remedy}/{driver}", next(iter(mine.values()))))
            continue
        lines += [
            _line(f"{first.application}/{first.remedy}/{driver}/{cell.transport}", claim)
            for cell, claim in mine.items()
            if claim != general
        ]
    return lines


def _line(key: str, claim: LauncherClaim) -> str:
    outcome = claim.outcome
    text = f'"{outcome}"' if isinstance(outcome, str) else "[" + ", ".join(f'"{one}"' for one in outcome) + "]"
    because = claim.because.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{key}" = {{outcome = {text}, because = "{because}"}}'


def _path(launcher: str, root: Path) -> Path:
    return root / "launchers" / launcher / "expected.toml"


def _keys(cell: LauncherCell) -> tuple[str, ...]:
    """Return the keys that a claim about a cell may have, the most specific first."""
    base = f"{cell.application}/{cell.remedy}"
    return f"{base}/{cell.driver}/{cell.transport}", f"{base}/{cell.driver}", base
