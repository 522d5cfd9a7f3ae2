"""Draws the pages' tables in Markdown. `link` returns an address as seen from the page that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.catalogue import STACKS
from matrix.pages import content
from matrix.records.facts import TRANSPORTS
from matrix.records.summary import is_race
from matrix.report.table import STACK_TITLES, Grid, cell, markdown_grid, markdown_table, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.pages.content import Cause, Message
    from matrix.pages.facts import Facts
    from matrix.pages.prose import Launcher

    Link = Callable[[str], str]


def escape(text: str) -> str:
    """Return a text as one cell of a table: one line, and no sign of Markdown's own."""
    text = " ".join(text.split())
    for sign in "\\|*<>_[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def code(text: str) -> str:
    """Return a text as code that may stand in a table."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{' '.join(text.split())}{ticks}".replace("|", "\\|")


def examples(link: Link, names: Iterable[str]) -> str:
    """Return examples' names with links to their pages."""
    return ", ".join(f"[`{name}`]({link(name)})" for name in names)


def summary(facts: Facts, link: Link, names: Iterable[str]) -> str:
    """Return a table of examples by drivers."""

    def missing(name: str, driver: str) -> str:
        """Say why there is no observation: no such cell, not run here, or not yet."""
        cells = [one.id for one in facts.cells if one.example == name and one.driver == driver]
        if not cells:
            return ""
        return marked("not applicable") if all(key in facts.skipped for key in cells) else "not run yet"

    grid = Grid(facts.observed.values())
    return markdown_grid(grid, facts.claimed, names, facts.drivers, link=link, missing=missing)


def by_transport(facts: Facts, link: Link, name: str, *, anchors: bool = False) -> str:
    """Return an example's cells: a line for each stack, driver and server, a column for each transport.

    With `anchors` each line can be linked to, by `anchor` of its cells.
    """
    lines: dict[tuple[str, str, str], list[str]] = {}
    for one in facts.cells:
        if one.example == name:
            lines.setdefault((one.stack, one.driver, one.server), []).append(one.id)
    several = len({server for _, _, server in lines}) > len({driver for _, driver, _ in lines})
    rows = []
    for (stack, driver, server), keys in lines.items():
        words = {key.rpartition("/")[2]: _word(facts, key) for key in keys}
        reasons = facts.reasons_of(facts.observed[key] for key in keys if key in facts.observed)
        mark = f'<a id="{anchor(stack, driver, server)}"></a>' if anchors else ""
        rows.append(
            [
                mark + STACK_TITLES[stack],
                f"[{driver}]({link(driver)})" + (f" ({server})" if several else ""),
                *(words.get(transport, "") for transport in TRANSPORTS),
                ", ".join(f"[{reason}]({link('reasons')}#{reason})" for reason in reasons),
            ]
        )
    return markdown_table(["stack", "driver", *TRANSPORTS, "why"], rows)


def _word(facts: Facts, key: str) -> str:
    if seen := facts.observed.get(key):
        return marked(seen.outcome, race=is_race(seen, facts.claimed.get(key)))
    return marked("not applicable") if key in facts.skipped else "not run yet"


def anchor(stack: str, driver: str, server: str) -> str:
    """Return the anchor of a line of cells on an example's page."""
    return f"{stack}-{driver}-{server}"


def claims(facts: Facts, link: Link) -> str:
    """Return the article's claims: the claim, whether it holds, the examples that test it."""
    rows = [
        [escape(one.claim.claim), f"**{one.result.verdict or 'not observed yet'}**", examples(link, one.examples)]
        for one in content.article(facts)
    ]
    return markdown_table(["claim", "", "cells"], rows)


def symptoms(_: Facts, link: Link, found: list[Cause]) -> str:
    """Return the symptoms: name, in how many cells, which hazards."""
    rows = [
        [
            f"[{escape(one.symptom.title)}](#{one.symptom.id})",
            str(len(one.symptom.cells) or "none"),
            examples(link, [hazard.example.name for hazard in one.hazards]),
        ]
        for one in found
    ]
    return markdown_table(["symptom", "cells", "hazards that produce it"], rows)


def messages(_: Facts, __: Link, found: list[Message]) -> str:
    """Return a symptom's messages: text, classes, drivers, processes, in how many cells."""
    rows = [
        [
            code(one.text),
            "<br>".join(map(code, one.kinds)),
            ", ".join(one.drivers),
            ", ".join(one.who),
            str(one.cells),
        ]
        for one in found
    ]
    return markdown_table(["message", "raised as", "with", "in", "cells"], rows)


def choices(facts: Facts, link: Link, launcher: Launcher) -> str:
    """Return the recommended remedy of each stack and driver under a launcher."""
    rows = []
    for stack in STACKS:
        row = [STACK_TITLES[stack]]
        for driver in facts.drivers:
            chosen = content.recommended(facts, launcher, stack, driver)
            parts = []
            for (name, quality), transports in chosen.items():
                text = f"[`{name}`]({link(name)})" if name else "no remedy is tested"
                where = f" *({', '.join(transports)})*" if len(chosen) > 1 else ""
                parts.append(text + (" ~ new session" if quality == "new session" else "") + where)
            row.append("<br>".join(parts))
        rows.append(row)
    return markdown_table(["", *facts.drivers], rows)


def driver_cells(facts: Facts, link: Link, driver: str, kind: str) -> str:
    """Return a driver's hazards or remedies with what they did."""
    there = {one.example for one in facts.cells if one.driver == driver}
    rows = [
        [examples(link, [name]), cell(facts.of(example=name, driver=driver), facts.claimed) or "not run yet"]
        for name in facts.names(kind)
        if name in there
    ]
    return markdown_table([kind, "outcome"], rows)


def tls(facts: Facts, link: Link, driver: str) -> str:
    """Return the hazards of a driver that TLS changes, without and with it; empty if there is none."""

    def results(name: str, transport: str) -> list[tuple[str, str, str]]:
        cells = facts.of(example=name, driver=driver, transport=transport)
        return [(seen.cell.stack, seen.cell.server, seen.outcome) for seen in cells]

    rows = [
        [
            examples(link, [name]),
            *(cell(facts.of(example=name, driver=driver, transport=t), facts.claimed) for t in ("tcp", "tls")),
        ]
        for name in facts.names("hazard")
        if results(name, "tls") != results(name, "tcp")
    ]
    return markdown_table(["hazard", "without TLS (TCP)", "with TLS"], rows) if rows else ""
