"""What the pages about messages say: one page for each symptom, and their index."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matrix.pages import symptoms
from matrix.pages.answers import FORKS, Answer, of_symptom
from matrix.pages.content import remedies_everywhere
from matrix.pages.facts import by_example
from matrix.pages.remedy_files import Fix, fixes_by_stack
from matrix.report.table import describe

if TYPE_CHECKING:
    from matrix.catalogue import Example
    from matrix.pages.facts import Facts
    from matrix.pages.symptoms import Symptom


class Message(NamedTuple):
    """A text that exceptions had: as which classes, with which drivers, in which processes, in how many cells."""

    text: str
    kinds: list[str]
    drivers: list[str]
    who: list[str]
    cells: int


class Hazard(NamedTuple):
    """An example that shows a symptom: in which cells, why, and what fixes it in all of them."""

    example: Example
    where: str
    reasons: list[str]
    remedies: list[str]


class Page(NamedTuple):
    """A symptom with its messages, the hazards that produce it, and the remedies in which it is seen too.

    `answer` has the verdict and the causes, `fixes` the code to paste for each stack.
    """

    symptom: Symptom
    answer: Answer
    fixes: tuple[Fix, ...]
    messages: list[Message]
    hazards: list[Hazard]
    remedies: list[Hazard]


def every_page(facts: Facts) -> list[Page]:
    """Return what each page says, in the order of the index."""
    return [_page(facts, symptom) for symptom in symptoms.collect(facts)]


def _page(facts: Facts, symptom: Symptom) -> Page:
    shown = [
        Hazard(
            example=facts.example(name),
            where=describe(cells, facts.of(example=name)) or "everywhere",
            reasons=list(facts.reasons_of(cells)),
            remedies=remedies_everywhere(facts, name, cells),
        )
        for name, cells in by_example(symptom.cells.values()).items()
    ]
    hazards = [one for one in shown if one.example.kind != "remedy"]
    answer = of_symptom(facts, symptom)
    names = {one.example.name for one in hazards}
    cells = by_example(seen for seen in symptom.cells.values() if seen.cell.example in names)
    forks = any(cause.id in FORKS for cause in answer.causes)
    return Page(
        symptom=symptom,
        answer=answer,
        fixes=fixes_by_stack(facts, cells) if forks else (),
        messages=_messages(symptom),
        hazards=hazards,
        remedies=[one for one in shown if one not in hazards],
    )


def _messages(symptom: Symptom) -> list[Message]:
    return [
        Message(
            text=text,
            kinds=sorted({sighting.step.error or "" for sighting in some}),
            drivers=sorted({sighting.seen.cell.driver for sighting in some}),
            who=sorted({sighting.step.who.partition(" ")[0] for sighting in some}, reverse=True),
            cells=len({sighting.seen.id for sighting in some}),
        )
        for text, some in symptom.messages().items()
    ]


def drivers_code(fixes: tuple[Fix, ...]) -> dict[str, str]:
    """Return what some code needs from each driver, each once."""
    return {driver: code for fix in fixes for driver, code in fix.by_driver.items()}


def symptoms_of(facts: Facts, name: str) -> list[Symptom]:
    """Return the symptoms that an example shows."""
    return [s for s in symptoms.collect(facts) if any(seen.cell.example == name for seen in s.cells.values())]
