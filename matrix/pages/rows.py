"""The rows of the pages' tables, as Markdown cells. `link` returns an address as seen from the page that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.catalogue import STACKS
from matrix.pages import content, tables
from matrix.pages.facts import STACK_TITLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.pages.facts import Facts

    Link = Callable[[str], str]


def claim_rows(facts: Facts, link: Link) -> list[list[str]]:
    """Return the article's claims: the claim, whether it holds, the examples that test it."""
    return [
        [
            tables.escape(claim["claim"]),
            f"**{claim['result'].verdict or 'not observed yet'}**",
            _examples(claim["examples"], link),
        ]
        for claim in content.article(facts)
    ]


def symptom_rows(_: Facts, link: Link, found: list[dict[str, Any]]) -> list[list[str]]:
    """Return the symptoms: name, in how many cells, which hazards."""
    return [
        [
            f"[{tables.escape(entry['symptom'].title)}](#{entry['symptom'].id})",
            str(len(entry["symptom"].cells) or "none"),
            _examples([cause["example"].name for cause in entry["hazards"]], link),
        ]
        for entry in found
    ]


def message_rows(_: Facts, __: Link, messages: list[dict[str, Any]]) -> list[list[str]]:
    """Return a symptom's messages: text, classes, drivers, processes, in how many cells."""
    return [
        [
            tables.code(message["text"]),
            "<br>".join(map(tables.code, message["kinds"])),
            ", ".join(message["drivers"]),
            ", ".join(message["who"]),
            str(message["cells"]),
        ]
        for message in messages
    ]


def choice_rows(facts: Facts, link: Link, launcher: dict[str, Any]) -> list[list[str]]:
    """Return the recommended remedy of each stack and driver under a launcher."""
    rows = []
    for stack in STACKS:
        row = [STACK_TITLES[stack]]
        for driver in facts.drivers:
            chosen = content.recommended(facts, launcher, stack, driver)
            parts = []
            for remedy, transports in chosen:
                name, _, quality = remedy.partition(" ")
                text = f"[`{name}`]({link(name)})" if name else "nothing is proven"
                where = f" *({', '.join(transports)})*" if len(chosen) > 1 else ""
                parts.append(text + (" ~ new session" if quality == "new session" else "") + where)
            row.append("<br>".join(parts))
        rows.append(row)
    return rows


def cell_rows(facts: Facts, link: Link, driver: str, kind: str) -> list[list[str]]:
    """Return a driver's hazards or remedies with what they came to."""
    rows = []
    for name in facts.names(kind):
        if any(cell.example == name and cell.driver == driver for cell in facts.cells):
            what = tables.cell(facts.of(example=name, driver=driver)) or "not run yet"
            rows.append([f"[`{name}`]({link(name)})", what])
    return rows


def tls_rows(_: Facts, link: Link, differing: list[tuple[str, str, str]]) -> list[list[str]]:
    """Return the hazards that TLS changes: without, with."""
    return [[f"[`{name}`]({link(name)})", without, with_] for name, without, with_ in differing]


def _examples(names: list[str], link: Link) -> str:
    return ", ".join(f"[`{name}`]({link(name)})" for name in names)
