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
        return any(re.search(pattern, text, re.IGNORECASE) for pattern in self.described.patterns)


#: What stands before another exception that a message quotes.
QUOTES = re.compile(r"Original exception was:|\(Background on this error")


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
    for seen in facts.observed.values():
        for step in (step for step in seen.steps if step.result == "raised"):
            sighting = Sighting(seen, step, normalise(step.text or ""))
            symptom = next((one for one in named if one.matches(f"{step.error} {sighting.title}")), None)
            if symptom is None:
                key = slug(f"{(step.error or '').rpartition('.')[2]} {sighting.title}")[:80]
                symptom = other.setdefault(key, Symptom(Described(id=key, title=sighting.title)))
            symptom.sightings.append(sighting)
            symptom.cells[seen.id] = seen
        for symptom in named:
            if set(symptom.described.outcomes) & set(seen.seen):
                symptom.cells[seen.id] = seen
    return [*named, *(other[key] for key in sorted(other))]
