"""Answers a message or a traceback: what happened, how sure that is, a tested fix, and the cells that show it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import STACKS
from matrix.catalogue.pattern import pasted
from matrix.pages import choice, symptoms, words
from matrix.pages.facts import by_example
from matrix.pages.words import prose
from matrix.records.facts import TRANSPORTS
from matrix.report.table import STACK_TITLES, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.pages.facts import Facts
    from matrix.pages.symptoms import Symptom
    from matrix.records.observation import Observation

#: An exception's last line in a traceback.
_EXCEPTION = re.compile(r"^((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?:: (.*))?$", re.MULTILINE)
#: How many hazards and cells an answer names.
HAZARDS, CELLS = 3, 4


@dataclass(frozen=True)
class Answer:
    """What a message was recognised as, or the nearest where it was not; the words to print."""

    symptom: str | None
    text: str


def explain(facts: Facts, text: str, driver: str | None = None, stack: str | None = None) -> Answer:
    """Return the answer to a message or a traceback, for a driver and a stack if they are known.

    If they are not given, names of modules in the text are taken for them.
    """
    driver = driver or _driver(facts, text)
    stack = stack or next((name for name in reversed(STACKS) if name != "bare" and name in text.lower()), None)
    known = symptoms.collect(facts)
    messages = _messages(text)
    found = _find(known, messages)
    if found is None:
        return Answer(None, _unknown(known, messages[-1]))
    symptom, message = found
    return Answer(symptom.id, "\n".join(_answer(facts, symptom, message, driver, stack)))


def _messages(text: str) -> list[str]:
    """Return the messages to look up: a traceback's exceptions, the one that began it first, then the text itself.

    An exception that another one quotes began it.
    """
    whole = " ".join(text.split())
    lines = [" ".join(filter(None, match.groups())) for match in _EXCEPTION.finditer(text)]
    messages = [*lines, whole[-2000:]]
    parts = [part.strip() for message in messages for part in reversed(symptoms.QUOTES.split(message))]
    return list(dict.fromkeys(part for part in parts if part)) or [""]


def _find(known: Sequence[Symptom], messages: Sequence[str]) -> tuple[Symptom, str] | None:
    for message in messages:
        plain = symptoms.normalise(message)
        for symptom in known:
            if symptom.matches(message) or any(_same(seen, plain) for seen in symptom.messages()):
                return symptom, plain
        for symptom in known:
            if symptom.silent and _near(plain, symptom.title) > 0.6:
                return symptom, plain
    return None


def _same(seen: str, message: str) -> bool:
    return len(seen) > 8 and seen.lower() in message.lower()


def _near(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _unknown(known: Sequence[Symptom], message: str) -> str:
    titles = {title for symptom in known for title in (symptom.title, *symptom.messages())}
    nearest = sorted(titles, key=lambda title: (-_near(message[:200], title), title))[:3]
    lines = prose(f"Unknown: no cell raised it, and no report of it is known here: {message[:200]}")
    lines += ["", "The nearest are:", *(line for title in nearest for line in prose(title, 2))]
    return "\n".join([*lines, "", "docs/symptoms.md lists all that is known."])


def _driver(facts: Facts, text: str) -> str | None:
    """Return the driver whose module a text names."""
    for name, driver in facts.drivers.items():
        if re.search(rf"(?<!\w){re.escape(driver.module)}(?=[./'\"]|\b)(?!\d)", text):
            return name
    return None


def _answer(facts: Facts, symptom: Symptom, message: str, driver: str | None, stack: str | None) -> list[str]:
    described = symptom.described
    lines = [symptom.title, "=" * min(len(symptom.title), 100), *prose(described.meaning)]
    cells = [seen for seen in symptom.cells.values() if facts.example(seen.cell.example).kind != "remedy"]
    here = [s for s in cells if s.cell.driver == (driver or s.cell.driver) and s.cell.stack == (stack or s.cell.stack)]
    exact = _exact(symptom, message, here)
    whose = " under ".join(filter(None, [driver, STACK_TITLES[stack] if stack and stack != "bare" else None]))
    lines += ["", *prose(f"How sure: {_sure(facts, symptom, cells, here, exact, f' with {whose}' if whose else '')}")]
    if described.also:
        lines += prose(f"Other causes: {described.also}")
    likely = exact or here or cells
    if not likely:
        return [*lines, *(f"Reported: {url}" for url in described.reported.values())]
    hazards = by_example(likely)
    lines += ["", "What happened:"]
    for name, some in list(hazards.items())[:HAZARDS]:
        lines += prose(f"{name}: {facts.example(name).title}", 2)
        for reason in list(facts.reasons_of(some))[:1]:
            lines += prose(facts.reasons[reason].sentence, 4)
    if len(hazards) > HAZARDS:
        lines += prose(f"and {len(hazards) - HAZARDS} more: {', '.join(list(hazards)[HAZARDS:])}", 2)
    return lines + _fix(facts, hazards, driver, stack)


def _exact(symptom: Symptom, message: str, cells: list[Observation]) -> list[Observation]:
    """Return the cells, of these, in which this very message was raised."""
    ids = {
        sighting.seen.id
        for title, some in symptom.messages().items()
        if _same(some[0].message or title, message)
        for sighting in some
    }
    return [seen for seen in cells if seen.id in ids]


def _sure(
    facts: Facts,
    symptom: Symptom,
    cells: list[Observation],
    here: list[Observation],
    exact: list[Observation],
    whose: str,
) -> str:
    if not cells:
        return "reported, and no cell produced it. What stands here was reported."
    if exact:
        return f"{len(exact)} cells raised this very message{whose}, after a fork."
    if here:
        did = "show this" if symptom.silent else "raised a message of this kind"
        return f"{len(here)} cells {did}{whose}, after a fork."
    drivers = describe(cells, list(facts.observed.values())) or "every driver"
    return f"no cell raised it{whose}; {len(cells)} did elsewhere ({drivers})."


def _fix(facts: Facts, hazards: dict[str, list[Observation]], driver: str | None, stack: str | None) -> list[str]:
    """Return the code of the remedy that is tested for most of these hazards, and the cells that show it."""
    example = next(iter(hazards.values()))[0].cell
    place = (stack or example.stack, driver or example.driver)
    transports = {seen.cell.transport for cells in hazards.values() for seen in cells}
    only = next(iter(transports)) if len(transports) == 1 else None
    counts: dict[str, list[str]] = {}
    proofs = {}
    for hazard in list(hazards)[:HAZARDS]:
        for proof in choice.remedies_for(facts, hazard, *place, only):
            counts.setdefault(proof.remedy, []).append(hazard)
            proofs[proof.remedy] = proof
    where = f"{place[1]}, {STACK_TITLES[place[0]]}" + (f", {only}" if only else "")
    if not proofs:
        return ["", *prose(f"Fix: no remedy is tested for {where}; docs/choosing.md says what is elsewhere.")]
    order = list(proofs)
    best = min(order, key=lambda n: (proofs[n].quality != "works", -len(counts[n]), order.index(n)))
    one = facts.examples[place[0], best]
    lines = ["", f"Fix ({best}, tested for {where}):", ""]
    lines += [*words.pattern(pasted(facts.root / one.path, place[1], facts.root)), "", f"  {one.path}"]
    lines += [line for sentence in choice.cost(facts, proofs[best])[:3] for line in prose(sentence, 2)]
    shown = [seen for hazard in counts[best] for seen in hazards[hazard]][:CELLS]
    shown += sorted(proofs[best].cells, key=lambda seen: TRANSPORTS.index(seen.cell.transport))[:CELLS]
    return [*lines, "", "Tested in:", *(f"  {seen.id}: {seen.outcome}" for seen in shown)]
