"""Writes the report to look at: one HTML file that needs nothing but a browser.

The grid is plain HTML and can be read without the script. What a cell holds is packed (`data.py`) and unpacked by
script.js when a cell is first opened. The page's own policy allows no network and no script but that one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jinja2
from markupsafe import Markup, escape

from matrix.catalogue import STACKS, cells, examples
from matrix.catalogue.pattern import pasted, pattern
from matrix.files import write_text
from matrix.records import crossed_results, results
from matrix.records.facts import TRANSPORTS
from matrix.records.outcomes import OUTCOMES, PLAIN_WORDS, SIGNS, by_outcome
from matrix.records.reading import ROOT
from matrix.records.summary import is_race
from matrix.report.data import Card, pack
from matrix.report.show import named_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.records.claim import Reason
    from matrix.records.outcomes import Outcome
    from matrix.records.summary import Summary

#: A report is smaller than this, in bytes.
LIMIT = 2_000_000
#: Rows of a drawing or lines of a transcript that are shown: at most, and at least if a report would be too large.
MOST, LEAST = 400, 10
#: The sign of a cell that could not be judged.
BROKEN_SIGN = "?"
_HERE = Path(__file__).parent
_KINDS = {"hazard": "Hazards: what goes wrong", "remedy": "Remedies: tested fixes", "": "Other"}


class Square(NamedTuple):
    """A cell as the grid shows it."""

    id: str
    outcome: str
    sign: str
    race: bool
    odd: bool


class Column(NamedTuple):
    """A column of the grid; `first` of its driver and server."""

    driver: str
    server: str
    transport: str
    first: bool = False


class Group(NamedTuple):
    """An example's rows in the grid: a square a column for each stack, None where there is no such cell."""

    name: str
    title: str
    rows: dict[str, list[Square | None]]


def write_report(summary: Summary, reasons: Mapping[str, Reason], path: Path) -> None:
    """Write the report on some observations; of a cell without evidence the steps are drawn.

    What the examples do, and their code, is read from this checkout. Raises MatrixError if the file cannot be written.
    """
    cards = {}
    protecting = crossed_results.protecting(crossed_results.read(results.RESULTS).values())
    for (stack, name), example in examples().items():
        copied = pattern(ROOT / example.path)
        whose = [cell.driver for cell in cells() if (cell.stack, cell.example) == (stack, name)]
        cards[f"{stack}/{name}"] = Card(
            title=example.title,
            body=example.body,
            kind=example.kind,
            counterparts=_counterparts(stack, name, protecting),
            path=example.path.as_posix(),
            code=copied.code,
            yours=copied.yours,
            line=copied.line,
            by_driver={d: pasted(ROOT / example.path, d).code for d in dict.fromkeys(whose) if copied.from_driver},
        )
    write_text(path, render(summary, reasons, cards))


def _counterparts(
    stack: str, name: str, protecting: Mapping[tuple[str, str], list[tuple[str, str]]]
) -> dict[str, tuple[str, ...]]:
    """Return the remedies that protect from a hazard in a stack, by driver."""
    found = {
        driver: tuple(remedy for hazard, remedy in pairs if hazard == name)
        for (where, driver), pairs in protecting.items()
        if where == stack
    }
    return {driver: names for driver, names in found.items() if names}


def render(summary: Summary, reasons: Mapping[str, Reason], cards: Mapping[str, Card]) -> str:
    """Return the whole page, of fewer than LIMIT bytes: of very long drawings the middle is left out to get there."""
    limit = MOST
    while True:
        page = _assemble(summary, cards, pack(summary, reasons, cards, limit=limit))
        size = len(page.encode())
        if size < LIMIT or limit == LEAST:
            return page
        limit = max(LEAST, int(0.9 * limit * LIMIT / size))


def _assemble(summary: Summary, cards: Mapping[str, Card], data: str) -> str:
    style, script = (_HERE / "style.css").read_text("utf-8"), (_HERE / "script.js").read_text("utf-8")
    squares = _squares(summary)
    columns = _columns(key.split("/") for key in squares)
    heads: dict[tuple[str, str], int] = {}
    for column in columns:
        heads[column[:2]] = heads.get(column[:2], 0) + 1
    present = [set(part) for part in zip(*(key.split("/") for key in squares), strict=True)] or [set[str]()] * 5
    counts = dict.fromkeys([*OUTCOMES, "not judged"], 0)
    for square in squares.values():
        counts[square.outcome] += 1
    return _template().render(
        style_hash=_hash(style),
        script_hash=_hash(script),
        style=Markup(style),
        script=Markup(script),
        data=data,
        summary=summary,
        deviations=len(summary.deviations),
        unclaimed=len(summary.unclaimed),
        versions=_versions(summary),
        filters={
            "stack": [name for name in STACKS if name in present[0]],
            "driver": sorted(present[2]),
            "transport": [name for name in TRANSPORTS if name in present[4]],
        },
        outcomes=OUTCOMES,
        plain_words=PLAIN_WORDS,
        signs=SIGNS | {"not judged": BROKEN_SIGN},
        counts={name: count for name, count in counts.items() if count},
        found=_found(summary, cards),
        columns=columns,
        heads=heads,
        kinds={title: groups for kind, title in _KINDS.items() if (groups := _groups(squares, columns, cards, kind))},
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters["inline"] = _inline
    return environment.get_template("template.html.j2")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _versions(summary: Summary) -> list[str]:
    """Return what the cells ran with: each version once, in the order in which observations name their kinds."""
    found: dict[str, set[str]] = {}
    for _, seen in sorted(summary.observations.items()):
        for name, version in seen.versions.items():
            found.setdefault(name, set()).add(named_version(name, version))
    return [version for versions in found.values() for version in sorted(versions)]


def _squares(summary: Summary) -> dict[str, Square]:
    odd = set(summary.deviations)
    found = {key: Square(key, "not judged", BROKEN_SIGN, race=False, odd=False) for key in summary.broken}
    for key, seen in summary.observations.items():
        race = is_race(seen, summary.claims.get(key)) and key not in odd
        found[key] = Square(key, seen.outcome, SIGNS[seen.outcome], race, key in odd)
    return dict(sorted(found.items()))


def _columns(parts: Iterable[list[str]]) -> list[Column]:
    found = sorted({(part[2], part[3], part[4]) for part in parts}, key=lambda c: (c[:2], TRANSPORTS.index(c[2])))
    return [Column(*one, first=not i or found[i - 1][:2] != one[:2]) for i, one in enumerate(found)]


def _groups(squares: Mapping[str, Square], columns: list[Column], cards: Mapping[str, Card], kind: str) -> list[Group]:
    """Return the groups of rows of one kind of example."""
    stacks: dict[str, set[str]] = {}
    for key in squares:
        stack, name, *_ = key.split("/")
        card = cards.get(f"{stack}/{name}")
        if kind == (card.kind if card else ""):
            stacks.setdefault(name, set()).add(stack)
    groups = []
    rank = {name: min(_rank(squares[key]) for key in squares if key.split("/")[1] == name) for name in stacks}
    for name, some in sorted(stacks.items(), key=lambda item: (rank[item[0]] if kind == "hazard" else 0, item[0])):
        ordered = [stack for stack in STACKS if stack in some]
        title = next((cards[key].title for stack in ordered if (key := f"{stack}/{name}") in cards), "")
        rows = {stack: [squares.get(f"{stack}/{name}/{'/'.join(c[:3])}") for c in columns] for stack in ordered}
        groups.append(Group(name, title, rows))
    return groups


def _rank(square: Square) -> int:
    """Return how bad a square's outcome is, 0 for the worst."""
    known = list(OUTCOMES)
    return known.index(square.outcome) if square.outcome in known else len(known)


def _found(summary: Summary, cards: Mapping[str, Card]) -> list[tuple[Outcome, int, int]]:
    """Return how many cells of hazards had each outcome, the worst first, and of how many."""
    hazards = [
        seen
        for seen in summary.observations.values()
        if seen.applies and (card := cards.get(f"{seen.cell.stack}/{seen.cell.example}")) and card.kind == "hazard"
    ]
    return [(outcome, len(some), len(hazards)) for outcome, some in by_outcome(hazards).items()]


def _inline(text: str) -> Markup:
    """Return a sentence as HTML, what stands between backticks as code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in parts)
