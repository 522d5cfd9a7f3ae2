"""Draws the pages' tables in Markdown. `link` returns an address as seen from the page that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.catalogue import STACK_TITLES
from matrix.records.facts import TRANSPORTS
from matrix.records.outcomes import GOOD, counted
from matrix.records.summary import is_race
from matrix.report.table import Grid, markdown_grid, markdown_table, marked, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.pages.facts import Facts

    Link = Callable[[str], str]


def escape(text: str) -> str:
    """Return a text as one cell of a table: one line, and no sign of Markdown's own."""
    text = " ".join(text.split())
    for sign in "\\|*<>_[]":
        text = text.replace(sign, f"\\{sign}")
    return text


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


def fix(facts: Facts, name: str, driver: str) -> str:
    """Return what a remedy did with a driver as a cell of a table; of cells in which it fails, that it is no fix."""
    parts = []
    for outcome, race, where in results(facts.of(example=name, driver=driver), facts.claimed):
        sign = marked(outcome, race=race)
        parts.append((sign if outcome in GOOD else f"not a fix: {sign}") + (f" *({where})*" if where else ""))
    return "<br>".join(parts)


def fixes(facts: Facts, link: Link, names: Iterable[str]) -> str:
    """Return a table of remedies by drivers; if a remedy fails, the table says that it is not a fix there."""
    head = ["", *(f"[{driver}]({link(driver)})" for driver in facts.drivers)]
    rows = [[examples(link, [name]), *(fix(facts, name, driver) for driver in facts.drivers)] for name in names]
    return markdown_table(head, rows)


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
        sign = marked(seen.outcome, race=is_race(seen, facts.claimed.get(key)))
        return f"{sign} ({counted(seen.seen)})" if seen.count > 1 else sign
    return marked("not applicable") if key in facts.skipped else "not run yet"


def anchor(stack: str, driver: str, server: str) -> str:
    """Return the anchor of a line of cells on an example's page."""
    return f"{stack}-{driver}-{server}"
