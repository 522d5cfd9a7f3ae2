"""Chooses the code to paste against a fork, of what was run: for a stack, a driver and a launcher."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from matrix.catalogue import STACKS
from matrix.catalogue.assemble import offered
from matrix.catalogue.launchers import applications, launchers
from matrix.catalogue.pattern import driver_code, pasted, pattern
from matrix.errors import MatrixError
from matrix.pages import choice
from matrix.pages.launched import files_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matrix.pages.facts import Facts
    from matrix.records.observation import Observation

#: How many hazards a remedy is chosen for, and how many cells are named for it.
HAZARDS, CELLS = 3, 4
#: What the fix is where a program works without any.
NOTHING_NEEDED = "Nothing is needed: the program works as it is. Yours differs from it if it fails."


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """A remedy, its code, and the cells that test it.

    `driver` is None for code that is the same for every driver. With a `launcher`, `files` are those of a program that
    was run under it, complete, by name, and `program` says where that stands; else it is one text without a name, and
    `yours` are names that it uses and the program has, `by_driver` what it needs besides from each driver. `others` are
    remedies that held in the same cells.
    """

    remedy: str
    title: str
    stack: str
    driver: str | None
    launcher: str | None
    quality: str
    files: dict[str, str]
    cost: tuple[str, ...]
    source: str
    cells: dict[str, str]
    yours: tuple[str, ...] = ()
    by_driver: dict[str, str] = {}
    program: str = ""
    others: tuple[str, ...] = ()


def fixes(
    facts: Facts,
    hazards: Mapping[str, Iterable[Observation]],
    stack: str | None,
    driver: str | None,
    launcher: str | None,
    application: str | None = None,
    *,
    pool: bool = False,
    inside: bool = True,
) -> tuple[Fix, ...]:
    """Return the best remedy of a stack, or the shortest of each if the stack is not known.

    It is the smallest that held under the launcher, as it was run there. If nothing was, it is one that is tested for
    these hazards; if none is, for any, and the launcher has a place for it. Without a driver its code is the same for
    all of them. `application` is the kind of program, if it is not the stack's usual one, `pool` whether it
    keeps a pool of its own, `inside` whether the code can stand where the launcher forks.
    """
    stacks = [stack] if stack else [name for name in STACKS if driver is None or name in facts.drivers[driver].stacks]
    by_stack: dict[str, Fix] = {}
    if launcher and driver:
        run = (_launched(facts, one, driver, launcher, application, pool=pool, inside=inside) for one in stacks)
        by_stack = {fix.stack: fix for fix in run if fix}
    found = (
        _best(facts, names, name, [driver] if driver else None, launcher, short=stack is None)
        for name in stacks
        if name not in by_stack
        for names in (list(hazards)[:HAZARDS], facts.names("hazard"))
    )
    for fix in filter(None, found):
        by_stack.setdefault(fix.stack, fix)
    return tuple(by_stack.values())


def plainly(name: str) -> str:
    """Return a launcher's name as pages of prose and folders both have it."""
    return "".join(filter(str.isalnum, name.lower())).removesuffix("pool")


def _launched(
    facts: Facts, stack: str, driver: str, launcher: str, application: str | None, *, pool: bool, inside: bool
) -> Fix | None:
    """Return the smallest remedy that held in every cell of a launcher, with the files that those cells ran."""
    try:
        found = files_for(facts, driver, application or stack, launcher, pool=pool)
    except MatrixError:  # there is no such launcher or application, or none with a pool
        return None
    offers = [one for one in found.offers if inside or not one.advice.files.keys() & found.launcher.files.keys()]
    if found.without and found.nothing_needed:
        offers.insert(0, found.without)
    if not offers:
        return None
    offer, *others = offers
    return Fix(
        remedy=offer.remedy,
        title=NOTHING_NEEDED if found.nothing_needed else offer.advice.title,
        stack=stack,
        driver=driver,
        launcher=found.launcher.name,
        quality="new session" if any(seen.outcome == "new session" for seen in offer.cells) else "works",
        files=offer.advice.files,
        cost=tuple(offer.cost),
        source=f"docs/launchers/{found.launcher.name}.md",
        cells={seen.id: f"{seen.outcome}, {seen.count} right" for seen in offer.cells[:CELLS]},
        program=f"launchers/applications/{found.application.name}",
        others=tuple(other.remedy for other in others),
    )


def fixes_by_stack(facts: Facts, hazards: Mapping[str, Iterable[Observation]]) -> tuple[Fix, ...]:
    """Return the best remedy of each stack in which hazards were seen, tested with all drivers with which they were.

    What differs from driver to driver is in `by_driver`. Without hazards it is the best of every stack and driver.
    """
    drivers: dict[str, list[str]] = {}
    for seen in (seen for cells in hazards.values() for seen in cells):
        drivers.setdefault(seen.cell.stack, []).append(seen.cell.driver)
    if not drivers:
        drivers = {name: [n for n, one in facts.drivers.items() if name in one.stacks] for name in STACKS}
    found = []
    for stack in (name for name in STACKS if name in drivers):
        with_all = [name for name in facts.drivers if name in drivers[stack]]
        for names in (list(hazards)[:HAZARDS], facts.names("hazard")):
            if fix := _best(facts, names, stack, with_all, None, short=False):
                found.append(fix)
                break
    return tuple(found)


def _best(
    facts: Facts,
    hazards: list[str],
    stack: str,
    drivers: list[str] | None,
    launcher: str | None,
    *,
    short: bool,
) -> Fix | None:
    """Return the best remedy: it keeps the parent's session, and is for most hazards or, if asked for, the shortest.

    It has a place under the launcher, and held there with other drivers; if the launcher is not known, those that few
    launchers have a place for come last.
    """
    counts: dict[str, int] = {}
    for hazard in hazards:
        for remedy in facts.names("remedy"):
            if (stack, remedy) in facts.examples and all(
                _protects(facts, hazard, remedy, stack, name) for name in _run_with(facts, remedy, stack, drivers)
            ):
                counts[remedy] = counts.get(remedy, 0) + 1
    places = {name: _placed(facts.root, stack, name) for name in launchers(facts.root)}
    names = [name for name in counts if name in places.get(launcher or "", counts)]
    tested = [found for name in names if (found := _tested(facts, name, stack, drivers))]

    def rank(found: tuple[Fix, choice.Proof]) -> tuple[bool, bool, int, int, int]:
        fix, _ = found
        lines = sum(text.count("\n") for text in fix.files.values())
        held = _held(facts, stack, fix.remedy, launcher) if launcher else 0
        few = 2 * sum(fix.remedy in placed for placed in places.values()) <= len(places)
        worse = held <= 0 if launcher else few
        return worse, fix.quality != "works", -held, *((lines, 0) if short else (-counts[fix.remedy], lines))

    if not tested:
        return None
    best, proof = min(tested, key=rank)
    return replace(best, cost=tuple(choice.cost(facts, proof)[:3]))


def _run_with(facts: Facts, remedy: str, stack: str, drivers: list[str] | None) -> list[str]:
    """Return the drivers of which an answer is asked for, else all that a remedy can be run with."""
    needs = facts.examples[stack, remedy].needs
    return drivers or [name for name, one in facts.drivers.items() if one.runs(stack, needs)]


def _protects(facts: Facts, hazard: str, remedy: str, stack: str, driver: str) -> bool:
    """Whether a remedy protects from a hazard; if none of a stack was crossed with a driver, whether it works."""
    if (stack, driver) in facts.protecting:
        return choice.cross(facts, hazard, remedy, stack, driver).quality is not None
    return choice.prove(facts, remedy, stack, driver).quality is not None


def _held(facts: Facts, stack: str, remedy: str, launcher: str) -> int:
    """Return in how many cells more a remedy held under a launcher, with any driver, than it failed in."""
    ran = (seen for seen in facts.launched.values() if (seen.cell.remedy, seen.cell.launcher) == (remedy, launcher))
    known = applications(facts.root)
    return sum(1 if seen.holds else -1 for seen in ran if known[seen.cell.application].facts.stack == stack)


@functools.lru_cache
def _placed(root: Path, stack: str, launcher: str) -> frozenset[str]:
    """Return the remedies of a stack that a launcher has a place for."""
    of_stack = (one.name for one in applications(root).values() if one.facts.stack == stack)
    return frozenset(name for application in of_stack for name in offered(application, launcher, root))


def _tested(facts: Facts, remedy: str, stack: str, drivers: list[str] | None) -> tuple[Fix, choice.Proof] | None:
    """Return a remedy, without its cost, and the proof if it is tested with each of some drivers.

    Without drivers it has to be tested with all, and to be the same for all.
    """
    example = facts.examples.get((stack, remedy))
    if example is None:
        return None
    which = _run_with(facts, remedy, stack, drivers)
    proofs = [choice.prove(facts, remedy, stack, name) for name in which]
    if not proofs or not all(proof.quality for proof in proofs):
        return None
    worst = max(proofs, key=lambda proof: proof.quality == "new session")
    path = facts.root / example.path
    code = pasted(path, which[0], facts.root) if drivers and len(drivers) == 1 else pattern(path, facts.root)
    if code.from_driver and not drivers:
        return None
    fix = Fix(
        remedy=remedy,
        title=example.title,
        stack=stack,
        driver=drivers[0] if drivers and len(drivers) == 1 else None,
        launcher=None,
        quality=worst.quality or "",
        files={"": code.code},
        yours=code.yours,
        by_driver={name: driver_code(name, code.from_driver, facts.root) for name in which if code.from_driver},
        cost=(),
        source=str(example.path),
        cells={seen.id: seen.outcome for seen in worst.cells[:CELLS]},
    )
    return fix, worst
