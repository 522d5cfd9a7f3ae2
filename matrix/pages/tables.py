"""Draws tables for the pages, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.catalogue import TRANSPORTS
from matrix.pages.facts import STACK_TITLES, describe, is_race, outcomes
from matrix.records.outcomes import OUTCOMES
from matrix.report.table import SIGNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matrix.pages.facts import Facts


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


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def marked(outcome: str, *, race: bool = False) -> str:
    """Return an outcome with its sign, and a star where it is a race."""
    return f"{SIGNS[outcome]} {outcome}" + ("\\*" if race else "")


def cell(found: Sequence[dict[str, Any]]) -> str:
    """Return what a few cells came to: the outcome of most of them first, others with what sets them apart."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for outcome, observations in outcomes(found).items():
        for observation in observations:
            groups.setdefault(marked(outcome, race=is_race(observation)), []).append(observation)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return "<br>".join(
        text + (f" *({describe(some, found)})*" if number else "") for number, (text, some) in enumerate(ordered)
    )


def summary(facts: Facts, names: Iterable[str], link: Callable[[str], str]) -> str:
    """Return a table of examples by drivers, one line for all stacks and transports that came to the same.

    `link` returns the address of an example's or a driver's page.
    """
    head = ["", *(f"[{name}]({link(name)})" for name in facts.drivers)]
    rows = []
    for name in names:
        found = (cell(facts.of(example=name, driver=d)) or _missing(facts, name, d) for d in facts.drivers)
        rows.append([f"[`{name}`]({link(name)})", *found])
    return table(head, rows)


def by_transport(
    facts: Facts, name: str, link: Callable[[str], str], *, driver: str | None = None, anchors: bool = False
) -> str:
    """Return an example's cells: a line for each stack, driver and server, a column for each transport.

    With `anchors` each line can be linked to, by `anchor` of its cells.
    """
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in facts.cells:
        if one.example != name or (driver and one.driver != driver):
            continue
        text = lines.setdefault((one.stack, one.driver, one.server), {})
        observation = facts.observed.get(one.id)
        if observation:
            text[one.transport] = marked(observation["outcome"], race=is_race(observation))
            reason = facts.reason(observation)
            if reason and reason not in text.get("reasons", ""):
                text["reasons"] = ", ".join(
                    filter(None, [text.get("reasons"), f"[{reason}]({link('reasons')}#{reason})"])
                )
        else:
            text[one.transport] = marked("not applicable") if one.id in facts.skipped else "not run yet"
    several = len({server for _, _, server in lines}) > len({name for _, name, _ in lines})
    rows = []
    for (stack, owner, server), text in lines.items():
        mark = f'<a id="{anchor(stack, owner, server)}"></a>' if anchors else ""
        whose = f"[{owner}]({link(owner)})" + (f" ({server})" if several else "")
        rows.append(
            [
                mark + STACK_TITLES[stack],
                *([] if driver else [whose]),
                *(text.get(transport, "") for transport in TRANSPORTS),
                text.get("reasons", ""),
            ]
        )
    return table(["stack", *([] if driver else ["driver"]), *TRANSPORTS, "why"], rows)


def anchor(stack: str, driver: str, server: str) -> str:
    """Return the anchor of a line of cells on an example's page."""
    return f"{stack}-{driver}-{server}"


def legend(seen: Iterable[str]) -> list[tuple[str, str]]:
    """Return the outcomes to explain, with their signs and meanings, from the worst down."""
    wanted = set(seen)
    return [(marked(outcome), meaning) for outcome, meaning in OUTCOMES.items() if outcome in wanted]


def _missing(facts: Facts, name: str, driver: str) -> str:
    """Say why there is no observation: no such cell, not run here, or not yet."""
    cells = [one.id for one in facts.cells if one.example == name and one.driver == driver]
    if not cells:
        return ""
    return marked("not applicable") if all(key in facts.skipped for key in cells) else "not run yet"
