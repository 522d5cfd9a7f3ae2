"""Collects what people see: every exception that a cell raised, normalised, and every outcome that raises nothing."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.pages.links import slug

if TYPE_CHECKING:
    from matrix.pages.facts import Facts

_LINE = re.compile(
    r"(?P<who>parent|child \d+)(?:/\S+)? +(?P<step>[a-z][a-z -]*?)(?: \d+)?: "
    r"raised (?P<kind>[\w.<>]+)(?: (?P<code>\w+))?: ?(?P<text>.*)"
)


@dataclass(frozen=True)
class Sighting:
    """One exception in one cell: who met it, at which step."""

    observation: dict[str, Any]
    who: str
    step: str
    kind: str
    code: str
    message: str

    @property
    def title(self) -> str:
        """Code and message, as a person would search for them."""
        return " ".join(filter(None, (self.code, self.message))) or self.kind.rpartition(".")[2]


@dataclass(frozen=True)
class Symptom:
    """Messages or outcomes that go by one name.

    `sightings` are the exceptions, `cells` the cells in which it was seen, hazards and remedies; both are empty
    where it is only reported. `facts` is its table in docs/prose/symptoms.toml, empty where it has none.
    """

    id: str
    title: str
    facts: dict[str, Any]
    sightings: list[Sighting] = field(default_factory=list)
    cells: list[dict[str, Any]] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether it is an outcome and no exception."""
        return "outcomes" in self.facts

    def messages(self) -> dict[str, list[Sighting]]:
        """Return the sightings by message, those of most cells first."""
        found: dict[str, list[Sighting]] = {}
        for sighting in self.sightings:
            found.setdefault(sighting.title, []).append(sighting)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def matches(self, text: str) -> bool:
        """Whether a message is one of this symptom's patterns."""
        return any(re.search(pattern, text, re.IGNORECASE) for pattern in self.facts.get("patterns", []))


#: What stands before another exception that a message quotes.
QUOTES = re.compile(r"Original exception was:|\(Background on this error")


def normalise(text: str) -> str:
    """Return a message without what differs from case to case: numbers, and the other exception that it quotes."""
    text = QUOTES.split(text)[0]
    text = " ".join(text.split()).replace("\\n", " ")
    text = re.sub(r"_ssl\.c:\d+", "_ssl.c:N", text)
    return re.sub(r"(?<![\w(])\d+(?:\.\d+)?\b", "N", text).strip(" :")


def sightings(observation: dict[str, Any]) -> list[Sighting]:
    """Return the exceptions in an observation's transcript."""
    found = []
    for line in observation["transcript"]:
        if match := _LINE.fullmatch(line):
            who = match["who"].partition(" ")[0]
            message = normalise(match["text"])
            found.append(Sighting(observation, who, match["step"], match["kind"], match["code"] or "", message))
    return found


@functools.lru_cache(maxsize=2)
def collect(facts: Facts) -> list[Symptom]:
    """Return every symptom: those that people described, in their order, then what else was raised, by message."""
    named = [Symptom(table["id"], table["title"], table) for table in facts.prose["symptoms"]]
    other: dict[str, Symptom] = {}
    for observation in facts.observed.values():
        touched: set[str] = set()
        for sighting in sightings(observation):
            whole = f"{sighting.kind} {sighting.title}"
            symptom = next((symptom for symptom in named if symptom.matches(whole)), None)
            if symptom is None:
                key = slug(f"{sighting.kind.rpartition('.')[2]} {sighting.title}")[:80]
                symptom = other.setdefault(key, Symptom(key, sighting.title, {}))
            symptom.sightings.append(sighting)
            if symptom.id not in touched:
                symptom.cells.append(observation)
                touched.add(symptom.id)
        for symptom in named:
            if set(symptom.facts.get("outcomes", [])) & set(observation["seen"]):
                symptom.cells.append(observation)
    return [*named, *(other[key] for key in sorted(other))]


def by_example(cells: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return cells by example, those with most cells first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        found.setdefault(cell["example"], []).append(cell)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))
