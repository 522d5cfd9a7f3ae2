"""Decides from the examples' observations which remedy protects where, and what it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.pages.costs import costs_of
from matrix.records.outcomes import GOOD

if TYPE_CHECKING:
    from matrix.pages.facts import Facts
    from matrix.records.observation import Observation

_COST = re.compile(r"\b(costs?|pays?|price|opens|loses)\b")


@dataclass(frozen=True)
class Proof:
    """What the cells of a remedy, or of a hazard with it in place, say for one stack, driver and transport.

    `quality` is `works` or `new session` if that is what all of them do, None if one does something else or none was
    observed.
    """

    remedy: str
    cells: list[Observation]
    quality: str | None

    @property
    def guards(self) -> bool:
        """Whether all its cells end with an error in the child and nothing worse: what a guard is for."""
        return bool(self.cells) and {outcome for seen in self.cells for outcome in seen.seen} == {"child error"}


def prove(facts: Facts, remedy: str, stack: str, driver: str, transport: str | None = None) -> Proof:
    """Return whether a remedy protects with a stack and driver, over one transport or all of them."""
    return _proof(remedy, facts.of(example=remedy, stack=stack, driver=driver, transport=transport))


def cross(facts: Facts, hazard: str, remedy: str, stack: str, driver: str, transport: str | None = None) -> Proof:
    """Return whether a remedy protects from a hazard, whose own steps were run with it in place."""
    return _proof(remedy, facts.crossings(hazard, remedy, stack=stack, driver=driver, transport=transport))


def _proof(remedy: str, cells: list[Observation]) -> Proof:
    seen = {outcome for cell in cells for outcome in cell.seen}
    quality = None if not cells or seen - set(GOOD) else GOOD[1] if GOOD[1] in seen else GOOD[0]
    return Proof(remedy, cells, quality)


def remedies_for(facts: Facts, hazard: str, stack: str, driver: str, transport: str | None = None) -> list[Proof]:
    """Return the remedies that protect from a hazard there: first those that keep the parent's session."""
    proofs = [cross(facts, hazard, name, stack, driver, transport) for name in facts.remedies(hazard, stack=stack)]
    return sorted((proof for proof in proofs if proof.quality), key=lambda proof: GOOD.index(proof.quality or ""))


def cost(facts: Facts, proof: Proof) -> list[str]:
    """Return what a remedy costs, as its cells show it and as its docstring says it, in sentences."""
    found = []
    parents = {seen.parent.session for seen in proof.cells}
    if "new" in parents:
        found.append(
            "The parent has a new session afterwards: temporary tables, settings, locks and uncommitted changes are"
            " gone."
        )
    elif parents == {"same"}:
        found.append("The parent keeps its session.")
    children = [child for seen in proof.cells for child in seen.children]
    if children and all(child.session == "own" for child in children):
        found.append("Each child opens a connection of its own.")
    if proof.cells:
        body = facts.examples[proof.cells[0].cell.stack, proof.remedy].body
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z`])", " ".join(body.split()))
        found += [sentence for sentence in sentences if _COST.search(sentence)]
        cell = proof.cells[0].cell
        found += costs_of(
            facts.costs,
            facts.cost_sentences,
            proof.remedy,
            stack=cell.stack,
            driver=cell.driver,
            server=cell.server,
            transport=cell.transport,
        )
    return found
