"""Decides from observations what to write: which remedy is proven where, what it costs, and what does not protect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.pages.facts import GOOD, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.pages.facts import Facts

_COST = re.compile(r"\b(costs?|pays?|price|opens|loses)\b")


@dataclass(frozen=True)
class Proof:
    """What the cells of a remedy say for one stack, driver and transport.

    `quality` is `works` or `new session` where it is proven, None where it is not: a cell came to something else, or
    none was observed.
    """

    remedy: str
    cells: list[dict[str, Any]]
    quality: str | None

    @property
    def guards(self) -> bool:
        """Whether all its cells end with an error in the child and nothing worse: what a guard is for."""
        return bool(self.cells) and {outcome for cell in self.cells for outcome in cell["seen"]} == {"child error"}


@dataclass(frozen=True)
class Advice:
    """What to write for one stack, driver, transport and launcher.

    `best` is None where no remedy is proven. `others` are proven too, the better first; `unproven` exist there and are
    not. `bites` are the cells of the launcher's hazards that bite there; `covered` are those that the remedy is for.
    `folklore` is what is often recommended and does not protect there, with what was observed.
    """

    best: Proof | None
    others: list[Proof]
    unproven: list[Proof]
    bites: dict[str, list[dict[str, Any]]]
    covered: list[str]
    folklore: list[tuple[dict[str, Any], list[dict[str, Any]]]]
    cost: list[str]


def prove(facts: Facts, remedy: str, stack: str, driver: str, transport: str | None = None) -> Proof:
    """Return whether a remedy is proven for a stack and driver, over one transport or all of them."""
    cells = facts.of(example=remedy, stack=stack, driver=driver, transport=transport)
    seen = {outcome for cell in cells for outcome in cell["seen"]}
    quality = None if not cells or seen - set(GOOD) else GOOD[1] if GOOD[1] in seen else GOOD[0]
    return Proof(remedy, cells, quality)


def remedies_for(facts: Facts, hazard: str, stack: str, driver: str, transport: str | None = None) -> list[Proof]:
    """Return the proven remedies of a hazard: first those that keep the parent's session, then as it names them."""
    proofs = [prove(facts, name, stack, driver, transport) for name in facts.remedies(hazard)]
    return sorted((proof for proof in proofs if proof.quality), key=lambda proof: GOOD.index(proof.quality or ""))


def bites(facts: Facts, hazard: str, stack: str, driver: str, transport: str | None = None) -> list[dict[str, Any]]:
    """Return the cells in which a hazard does harm."""
    return [
        cell
        for cell in facts.of(example=hazard, stack=stack, driver=driver, transport=transport)
        if set(cell["seen"]) - set(GOOD)
    ]


def advise(facts: Facts, launcher: dict[str, Any], stack: str, driver: str, transport: str) -> Advice:
    """Return what to write under a launcher.

    Of the remedies that are proven there and can be written down under the launcher, the best keeps the parent's
    session, then is for most of the hazards that bite there, then is what the launcher's `prefer` names first.
    """
    biting = {name: cells for name in launcher["hazards"] if (cells := bites(facts, name, stack, driver, transport))}
    prefer: Sequence[str] = launcher.get("prefer", [])

    def rank(proof: Proof) -> tuple[int, int, int, str]:
        covered = len(set(facts.hazards(proof.remedy)) & set(biting))
        place = prefer.index(proof.remedy) if proof.remedy in prefer else len(prefer)
        return GOOD.index(proof.quality or GOOD[1]), -covered, place, proof.remedy

    proofs = [
        prove(facts, name, stack, driver, transport)
        for name in facts.names("remedy")
        if (stack, name) in facts.examples and name not in launcher.get("not_here", {})
    ]
    proven = sorted((proof for proof in proofs if proof.quality), key=rank)
    best = proven[0] if proven else None
    folklore = [
        (advice, cells)
        for advice in facts.prose["advice"]
        if stack in advice.get("stacks", [stack])
        and advice["example"] not in launcher.get("not_here", {})
        and (cells := bites(facts, advice["example"], stack, driver, transport))
    ]
    return Advice(
        best=best,
        others=proven[1:],
        unproven=[proof for proof in proofs if not proof.quality and proof.cells],
        bites=biting,
        covered=[name for name in biting if best and name in facts.hazards(best.remedy)],
        folklore=folklore,
        cost=cost(facts, best) if best else [],
    )


def cost(facts: Facts, proof: Proof) -> list[str]:
    """Return what a remedy costs, as its cells show it and as its docstring says it, in sentences."""
    found = []
    parents = {cell["parent"]["session"] for cell in proof.cells}
    if "new" in parents:
        found.append(
            "The parent is on a new session afterwards: temporary tables, settings, locks and what was not committed"
            " are gone."
        )
    elif parents == {"same"}:
        found.append("The parent keeps its session.")
    children = [child for cell in proof.cells for child in cell["children"]]
    if children and all(child["session"] == "own" for child in children):
        found.append("Each child opens a connection of its own.")
    if proof.cells:
        body = facts.examples[proof.cells[0]["stack"], proof.remedy].body
        found += [sentence for sentence in sentences(body) if _COST.search(sentence)]
    return found


def sentences(text: str) -> list[str]:
    """Return a text's sentences, lines joined."""
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", " ".join(text.split()))


def summary(cells: Sequence[dict[str, Any]]) -> str:
    """Return the outcomes of some cells in words, the worst first."""
    return ", ".join(outcomes(cells))
