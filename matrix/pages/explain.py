"""Answers a message or a traceback: what happened, how sure that is, what to write, and which cells prove it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.catalogue import TRANSPORTS
from matrix.pages import choice, symptoms, words
from matrix.pages.facts import STACK_TITLES, describe
from matrix.pages.source import pattern
from matrix.pages.words import prose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.pages.facts import Facts
    from matrix.pages.symptoms import Symptom

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
    """Return the answer to a message or a traceback, for a driver and a stack where they are known.

    Where they are not given, names of modules in the text are taken for them.
    """
    driver = driver or _driver(facts, text)
    stack = stack or next((name for name in ("sqlalchemy", "django") if name in text.lower()), None)
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
    lines = prose(f"Unknown: no cell raised it, and nobody reported it here: {message[:200]}")
    lines += ["", "The nearest are:", *(line for title in nearest for line in prose(title, 2))]
    return "\n".join([*lines, "", "docs/symptoms.md lists all that is known."])


def _driver(facts: Facts, text: str) -> str | None:
    """Return the driver whose module a text names."""
    for name, driver in facts.drivers.items():
        if re.search(rf"(?<!\w){re.escape(driver.facts.module)}(?=[./'\"]|\b)(?!\d)", text):
            return name
    return None


def _answer(facts: Facts, symptom: Symptom, message: str, driver: str | None, stack: str | None) -> list[str]:
    lines = [symptom.title, "=" * min(len(symptom.title), 100), *prose(symptom.facts.get("meaning", ""))]
    cells = [c for c in symptom.cells if facts.example(c["example"]).kind != "remedy"]
    here = [c for c in cells if c["driver"] == (driver or c["driver"]) and c["stack"] == (stack or c["stack"])]
    exact = _exact(symptom, message, here)
    lines += ["", *prose(f"How sure: {_sure(facts, symptom, cells, here, exact, driver, stack)}")]
    if also := symptom.facts.get("also"):
        lines += prose(f"Other causes: {also}")
    likely = exact or here or cells
    if not likely:
        return [*lines, *(f"Reported: {url}" for url in symptom.facts.get("reported", {}).values())]
    hazards = symptoms.by_example(likely)
    lines += ["", "What happened:"]
    for name, some in list(hazards.items())[:HAZARDS]:
        reason = next(filter(None, map(facts.reason, some)), None)
        lines += prose(f"{name}: {facts.example(name).title}", 2)
        lines += prose(facts.reasons[reason]["sentence"], 4) if reason else []
    if len(hazards) > HAZARDS:
        lines += prose(f"and {len(hazards) - HAZARDS} more: {', '.join(list(hazards)[HAZARDS:])}", 2)
    return lines + _what_to_write(facts, hazards, driver, stack)


def _exact(symptom: Symptom, message: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells, of these, in which this very message was raised."""
    ids = {
        sighting.observation["id"]
        for title, some in symptom.messages().items()
        if _same(some[0].message or title, message)
        for sighting in some
    }
    return [cell for cell in cells if cell["id"] in ids]


def _sure(
    facts: Facts,
    symptom: Symptom,
    cells: list[dict[str, Any]],
    here: list[dict[str, Any]],
    exact: list[dict[str, Any]],
    driver: str | None,
    stack: str | None,
) -> str:
    whose = " under ".join(filter(None, [driver, STACK_TITLES[stack] if stack and stack != "bare" else None]))
    with_ = f" with {whose}" if whose else ""
    if not cells:
        return "reported, and no cell produced it. What is said here is what is reported."
    if exact:
        return f"{len(exact)} cells raised this very message{with_}, after a fork."
    if here:
        kind = "came to this" if symptom.silent else "raised a message of this kind"
        return f"{len(here)} cells {kind}{with_}, after a fork."
    drivers = describe(cells, list(facts.observed.values())) or "all drivers"
    return f"no cell raised it{with_}; {len(cells)} did elsewhere ({drivers})."


def _what_to_write(
    facts: Facts, hazards: dict[str, list[dict[str, Any]]], driver: str | None, stack: str | None
) -> list[str]:
    """Return the code of the remedy that is proven for most of these hazards, and the cells that prove it."""
    example = next(iter(hazards.values()))[0]
    place = (stack or example["stack"], driver or example["driver"])
    transports = {cell["transport"] for cells in hazards.values() for cell in cells}
    only = next(iter(transports)) if len(transports) == 1 else None
    counts: dict[str, list[str]] = {}
    proofs = {}
    for hazard in list(hazards)[:HAZARDS]:
        for proof in choice.remedies_for(facts, hazard, *place, only):
            counts.setdefault(proof.remedy, []).append(hazard)
            proofs[proof.remedy] = proof
    where = f"{place[1]}, {STACK_TITLES[place[0]]}" + (f", {only}" if only else "")
    if not proofs:
        return ["", *prose(f"What to write: no remedy is proven for {where}; docs/choosing.md says what is elsewhere.")]
    order = list(proofs)
    best = min(order, key=lambda n: (proofs[n].quality != "works", -len(counts[n]), order.index(n)))
    one = facts.examples[place[0], best]
    lines = ["", f"What to write ({best}, proven for {where}):", ""]
    lines += [*words.pattern(pattern(facts.root / one.path)), "", f"  {one.path}"]
    lines += [line for sentence in choice.cost(facts, proofs[best])[:3] for line in prose(sentence, 2)]
    shown = [cell["id"] for hazard in counts[best] for cell in hazards[hazard]][:CELLS]
    proving = sorted(proofs[best].cells, key=lambda cell: TRANSPORTS.index(cell["transport"]))
    lines += ["", "Proof:", *(f"  {key}: {facts.observed[key]['outcome']}" for key in shown)]
    return [*lines, *(f"  {cell['id']}: {cell['outcome']}" for cell in proving[:CELLS])]
