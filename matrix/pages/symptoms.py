"""Collects what people see: every exception that a cell raised, normalised, and every outcome that raises nothing."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.pages.prose import Symptom as Described
from matrix.pages.words import slug

if TYPE_CHECKING:
    from matrix.pages.facts import Facts
    from matrix.records.observation import Observation
    from matrix.records.steps import Step


@dataclass(frozen=True)
class Sighting:
    """One exception in one cell; `message` is its text, normalised."""

    seen: Observation
    step: Step
    message: str

    @property
    def title(self) -> str:
        """Code and message, as a person would search for them."""
        return " ".join(filter(None, (self.step.code, self.message))) or (self.step.error or "").rpartition(".")[2]


@dataclass(frozen=True)
class Symptom:
    """Messages or outcomes that go by one name.

    `described` is what people wrote of it, or its title alone. `sightings` are the exceptions, `cells` the cells in
    which it was seen, hazards and remedies; both are empty if it is only reported.
    """

    described: Described
    sightings: list[Sighting] = field(default_factory=list)
    cells: dict[str, Observation] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of its page."""
        return self.described.id

    @property
    def title(self) -> str:
        """What people would search for."""
        return self.described.title

    @property
    def message(self) -> str:
        """What its causes are weighed by."""
        return self.described.message or self.title

    @property
    def page(self) -> str:
        """The path of its page from the repository's root."""
        return f"docs/errors/{self.id}.md"

    @property
    def silent(self) -> bool:
        """Whether it is an outcome and no exception."""
        return bool(self.described.outcomes)

    def messages(self) -> dict[str, list[Sighting]]:
        """Return the sightings by message, those of most cells first."""
        found: dict[str, list[Sighting]] = {}
        for sighting in self.sightings:
            found.setdefault(sighting.title, []).append(sighting)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def matches(self, text: str) -> bool:
        """Whether a message is one of this symptom's patterns."""
        return bool(self.described.patterns) and _pattern(self.described.patterns).search(text) is not None


@functools.cache
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


#: What stands before another exception that a message quotes.
QUOTES = re.compile(r"Original exception was:|\(Background on this error")


@functools.cache
def normalise(text: str) -> str:
    """Return a message without what differs from case to case: numbers, and the other exception that it quotes."""
    text = QUOTES.split(text)[0]
    text = " ".join(text.split()).replace("\\n", " ")
    text = re.sub(r"_ssl\.c:\d+", "_ssl.c:N", text)
    return re.sub(r"(?<![\w(])\d+(?:\.\d+)?\b", "N", text).strip(" :")


@functools.lru_cache(maxsize=2)
def collect(facts: Facts) -> list[Symptom]:
    """Return every symptom: those that people described, in their order, then what else was raised, by message."""
    named = [Symptom(described) for described in facts.prose.symptoms]
    other: dict[str, Symptom] = {}
    by_outcome = {outcome: symptom for symptom in named for outcome in symptom.described.outcomes}

    @functools.cache
    def find(error: str, title: str) -> Symptom:
        if symptom := next((one for one in named if one.matches(f"{error} {title}")), None):
            return symptom
        key = slug(f"{error.rpartition('.')[2]} {title}")[:80]
        return other.setdefault(key, Symptom(Described(id=key, title=title)))

    for seen in facts.observed.values():
        for step in (step for step in seen.steps if step.result == "raised"):
            sighting = Sighting(seen, step, normalise(step.text or ""))
            symptom = find(step.error or "", sighting.title)
            symptom.sightings.append(sighting)
            symptom.cells[seen.id] = seen
        for outcome in by_outcome.keys() & seen.seen.keys():
            by_outcome[outcome].cells[seen.id] = seen
    return [*named, *(other[key] for key in sorted(other))]
