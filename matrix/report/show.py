"""Shows one cell: what the example does, what happened in which order, outcome, claim, reason and remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from matrix import catalogue
from matrix.catalogue import crossed, crossed_claims
from matrix.catalogue.claims import claims, reasons
from matrix.errors import MatrixError
from matrix.records import crossed_results, results
from matrix.records.claim import Claim, Reason
from matrix.records.evidence import Evidence
from matrix.records.lanes import drawing
from matrix.records.observation import Observation
from matrix.records.outcomes import OUTCOMES, SIGNS, counted
from matrix.report import timeline
from matrix.report.table import COLOURS
from matrix.servers import names as server_names

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from matrix.records.observation import Coordinates, ServerView, View

WIDTH = 100


class About(msgspec.Struct, frozen=True):
    """An example: its sentence, its kind, its file, and the files of its remedies or of the hazards that it is for."""

    title: str
    kind: str
    file: str
    counterparts: dict[str, str]


class Shown(msgspec.Struct, frozen=True):
    """Everything that is known of one cell; None is what is not known.

    `remedy` is the code of a crossed cell's remedy, and what ran at which point.
    """

    cell: Observation
    evidence: Evidence | None
    example: About
    claim: Claim | None
    reason: Reason | None
    remedy: str = ""


def find(folder: Path, key: str) -> Shown:
    """Return everything that is known of one cell; raise MatrixError if nothing was observed of it."""
    known = crossed.crossed_cells() if crossed_results.PLUS in key else catalogue.cells(servers=server_names())
    cells = {cell.id: cell for cell in known}
    if key not in cells:
        usual = crossed.crossed_cells() if crossed_results.PLUS in key else catalogue.cells()
        matching = catalogue.select([key], cells.values() if key.count("/") == 4 else usual)
        if len(matching) > 1:
            names = ", ".join(cell.id for cell in matching[:4])
            raise MatrixError(f"{key!r} names {len(matching)} cells, and one can be shown: {names}, ...")
        key = matching[0].id
    cell = cells[key]
    if crossed.is_crossed(cell):
        return _find_crossed(folder, cell)
    observed = results.read(folder / f"{cell.driver}.json").get(key)
    if observed is None:
        raise MatrixError(f'{key}: nothing was observed yet; nox -s "matrix({cell.driver})" -- --only {key}')
    examples = catalogue.examples()
    example = examples[cell.stack, cell.example]
    claim = claims(cell.driver).get(cell)
    return Shown(
        cell=observed,
        evidence=results.read_evidence(folder, key),
        example=About(
            title=example.title,
            kind=example.kind,
            file=str(example.path),
            counterparts={name: str(examples[cell.stack, name].path) for name in _counterparts(cell)},
        ),
        claim=claim,
        reason=reasons().get(claim.reason) if claim else None,
    )


def _counterparts(cell: Coordinates) -> list[str]:
    """Return the remedies that protect from a cell's hazard there, or the hazards that its remedy protects from."""
    pairs = crossed_results.protecting(crossed_results.read(results.RESULTS).values()).get(
        (cell.stack, cell.driver), []
    )
    return [other for pair in pairs if cell.example in pair for other in pair if other != cell.example]


def _find_crossed(folder: Path, cell: Coordinates) -> Shown:
    """Return what is known of a crossed cell: the hazard's example, and the code of the remedy that was in place."""
    observed = crossed_results.read(folder).get(cell.id)
    if observed is None:
        raise MatrixError(f'{cell.id}: nothing was observed yet; nox -s "remedies({cell.driver})" -- --only {cell.id}')
    hazard, remedy = (catalogue.examples()[cell.stack, name] for name in crossed_results.parts(cell))
    return Shown(
        cell=observed,
        evidence=None,
        example=About(hazard.title, hazard.kind, str(hazard.path), {remedy.name: str(remedy.path)}),
        claim=crossed_claims.crossed_claims().get(cell),
        reason=None,
        remedy=crossed.as_text(cell),
    )


def as_json(shown: Shown) -> str:
    """Return what is known of a cell for a machine, as JSON in ASCII, which every terminal and pipe takes."""
    return json.dumps(msgspec.to_builtins(shown), indent=1)


def as_text(shown: Shown, *, colour: bool, width: int | None = None) -> str:
    """Return what is known of a cell for a person, at most `width` columns wide."""
    width = width or WIDTH
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False)
    with console.capture() as capture:
        console.print(_page(shown, width))
        if shown.claim and shown.reason:
            console.print(Text("sources", style="bold"))
            links = filter(None, [shown.reason.link, *(source.url for source in shown.reason.sources)])
            for link in dict.fromkeys(links):
                console.print(
                    Text(f"  {link}", style="dim"), soft_wrap=True
                )  # in one piece, so that it can be followed
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _page(shown: Shown, width: int) -> RenderableType:
    cell, example, claim, reason = shown.cell, shown.example, shown.claim, shown.reason
    sign = SIGNS[cell.outcome]
    found = drawing(cell, shown.evidence)
    head = [
        Text(cell.id, style="bold"),
        Text(example.title),
        Text(f"{example.file} ({example.kind})", style="dim"),
        Text(),
    ]
    facts = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    facts.add_row("outcome", Text(f"{sign} {cell.outcome}: {OUTCOMES[cell.outcome]}", style=COLOURS[sign]))
    facts.add_row("seen", counted(cell.seen))
    for view in (cell.parent, *cell.children):
        facts.add_row(view.name, _view(view))
    facts.add_row("server", _server(cell.server))
    facts.add_row("claimed", " or ".join(claim.outcomes) if claim else "nothing yet")
    if claim and claim.note:
        facts.add_row("", claim.note)
    if claim and shown.remedy:
        facts.add_row("because", claim.reason)
    if claim and reason:
        facts.add_row("reason", f"{reason.sentence} ({claim.reason})")
    word = "remedy" if example.kind == "hazard" else "remedy for"
    for file in example.counterparts.values():
        facts.add_row(word, file)
        word = ""
    facts.add_row("versions", ", ".join(named_version(*item) for item in cell.versions.items()))
    legend = Padding(Text(timeline.LEGEND, style="dim"), (1, 0, 0, 0))
    drawn: list[RenderableType] = [timeline.table(found, times=True, width=width), legend] if found.rows else []
    code = [Text(), Text(shown.remedy)] if shown.remedy else []
    return Group(*head, *drawn, Text(), facts, *code)


def named_version(name: str, version: str) -> str:
    """Return a version with what it is the version of, if it does not say so by itself: `Python 3.11`."""
    names = {"python": "Python", "openssl": "OpenSSL"}
    return version if " " in version else f"{names.get(name, name)} {version}"


def _view(view: View) -> str:
    parts = [f"{view.right} right rows"]
    if view.wrong:
        parts.append(f"{view.wrong} wrong")
    parts += view.errors
    parts += [f"no end of {step}" for step in view.unanswered]
    if view.signal:
        parts.append(f"died by {view.signal}")
    return ", ".join(parts) + f"; session: {view.session}"


def _server(server: ServerView) -> str:
    used = ", ".join(server.sessions_used) or "none"
    text = f"sessions that replied: {used}; still open at the end: {server.sessions_after}"
    if server.committed is not None:
        text += f"; written orders that are there: {', '.join(map(str, server.committed)) or 'none'}"
    for what, orders in (("lost", server.lost), ("unwanted", server.unwanted)):
        if orders:
            text += f"; {what}: {', '.join(map(str, orders))}"
    return text
