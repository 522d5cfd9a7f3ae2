"""Draws what hazards do with remedies in place: tables, and what a process sees where a remedy does not protect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matrix.catalogue.crossed_claims import because
from matrix.pages.tables import examples
from matrix.records.crossed_results import parts
from matrix.records.facts import DESCRIPTOR
from matrix.records.outcomes import GOOD, OUTCOMES
from matrix.report.table import cell, code, describe, markdown_table, marked

if TYPE_CHECKING:
    from matrix.pages.facts import Facts
    from matrix.pages.tables import Link
    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome


def table(facts: Facts, link: Link, name: str, stack: str) -> str:
    """Return a table for a hazard, of remedies by drivers, or for a remedy, of hazards; empty if nothing was run."""
    rows = _rows(facts, name, stack)
    drivers = [one for one in facts.drivers if any(seen.cell.driver == one for some in rows.values() for seen in some)]
    return (
        markdown_table(
            ["", *(f"[{driver}]({link(driver)})" for driver in drivers)],
            [
                [
                    examples(link, [other]),
                    *(cell([s for s in some if s.cell.driver == driver], facts.crossed_claims) for driver in drivers),
                ]
                for other, some in rows.items()
            ],
        )
        if rows
        else ""
    )


#: Outcomes that harm more than a child that is refused.
HARM = frozenset(list(OUTCOMES)[: list(OUTCOMES).index("child error")])


class Note(NamedTuple):
    """Why some cells of a table are as they are: their outcome, which they are, and what processes saw there."""

    outcome: str
    where: str
    sentence: str
    errors: tuple[str, ...]


def notes(facts: Facts, name: str, stack: str) -> list[Note]:
    """Return why a remedy does not protect, for each reason that a table of `table` has, the worst first."""
    rows = _rows(facts, name, stack)
    groups: dict[tuple[Outcome, str], dict[str, list[Observation]]] = {}
    for other, some in rows.items():
        for seen in some:
            claim = facts.crossed_claims.get(seen.id)
            if seen.outcome not in GOOD and claim:
                groups.setdefault((seen.outcome, claim.reason), {}).setdefault(other, []).append(seen)
    order = list(OUTCOMES)
    return [
        Note(
            marked(outcome),
            ", ".join(
                f"`{other}`" + (f" ({which})" if (which := describe(some, rows[other])) else "")
                for other, some in by_other.items()
            ),
            because(facts.root).get(reason, ""),
            tuple(_errors([seen for some in by_other.values() for seen in some], "parent" not in outcome)),
        )
        for (outcome, reason), by_other in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def _rows(facts: Facts, name: str, stack: str) -> dict[str, list[Observation]]:
    """Return the crossed cells of a hazard by remedy, or those of a remedy by hazard."""
    found: dict[str, list[Observation]] = {}
    for pair, cells in facts.crossed.items():
        if name in pair:
            (other,) = (one for one in pair if one != name)
            if some := [seen for seen in cells if seen.cell.stack == stack]:
                found[other] = some
    return dict(
        sorted(found.items(), key=lambda item: (-sum(s.outcome in GOOD for s in item[1]) / len(item[1]), item[0]))
    )


def _errors(cells: list[Observation], children: bool) -> list[str]:
    """Return one exception for each driver of those that a child, or the parent, got in some cells."""
    found: dict[str, str] = {}
    for seen in cells:
        raised = [step for step in seen.steps if step.result == "raised" and (step.who != "parent") == children]
        if raised:
            text = f"{raised[0].exception}: {raised[0].text or ''}"
            found.setdefault(seen.cell.driver, text)
    alike: dict[str, list[str]] = {}
    for driver, text in found.items():
        alike.setdefault(text, []).append(driver)
    return [f"{code(text)} ({', '.join(drivers)})" for text, drivers in alike.items()]


def unproven(facts: Facts) -> list[str]:
    """Say which hazards harm the parent with every remedy in place, in a stack and with a driver.

    Left out are drivers whose descriptor cannot be reached: most remedies need it, and their pages say so.
    """
    best: dict[tuple[str, str, str], bool] = {}
    for (hazard, _), cells in facts.crossed.items():
        places: dict[tuple[str, str, str], set[str]] = {}
        for seen in cells:
            places.setdefault((hazard, seen.cell.stack, seen.cell.driver), set()).update(seen.seen)
        for place, outcomes in places.items():
            best[place] = best.get(place, False) or not outcomes & HARM
    return [
        f"{hazard}: no remedy keeps the parent working in {stack} with {driver}"
        for (hazard, stack, driver), good in best.items()
        if not good and DESCRIPTOR in facts.drivers[driver].capabilities(stack)
    ]


def unseen(facts: Facts) -> list[str]:
    """Say which crossed cells were observed and are not expected to do what they did."""
    return [
        f"{seen.id}: {seen.outcome} was observed with {parts(seen.cell)[1]} in place, and is not what is expected"
        for cells in facts.crossed.values()
        for seen in cells
        if (claim := facts.crossed_claims.get(seen.id)) and not set(seen.seen) <= set(claim.outcomes)
    ]
