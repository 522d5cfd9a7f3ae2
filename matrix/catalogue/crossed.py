"""Finds crossed cells: a hazard's own steps, run with a remedy in place.

A crossed cell is `<stack>/<hazard>+<remedy>/<driver>/<server>/<transport>`. There is one for each remedy that says at
which points it runs (`Points:`), with each hazard of its stack. A remedy that is for a pool is crossed with the hazards
of that pool alone. Cells are on the first server of each driver, over TCP and TLS.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from matrix import servers
from matrix.catalogue import drivers, examples, module, stacks
from matrix.catalogue.remedies import module as remedy_module
from matrix.catalogue.remedies import remedies
from matrix.records.crossed_results import PLUS, parts
from matrix.records.facts import DESCRIPTOR, TRANSPORTS
from matrix.records.observation import Coordinates
from matrix.records.reading import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.catalogue import Example
    from matrix.catalogue.remedies import Remedy
    from matrix.records.facts import Program

#: The program that runs an example with a remedy in place, and the variable that tells it which.
MODULE, VARIABLE = "example_support.with_remedy", "WITH_REMEDY"


@functools.cache
def crossed_cells(root: Path = ROOT, only: tuple[str, ...] | None = None) -> tuple[Coordinates, ...]:
    """Return every crossed cell, in the order of tables; on the servers named, if there are any.

    Raises MatrixError where there is no such server.
    """
    products = {name: servers.product_of(name) for name in only} if only is not None else None
    known = examples(root)
    return tuple(
        Coordinates(stack, f"{hazard}{PLUS}{remedy.name}", driver.name, server, transport)
        for (stack, hazard), example in known.items()
        for remedy in remedies(root).values()
        if remedy.stack == stack and example.kind == "hazard" and _has_a_meaning(example, remedy, root)
        for driver in drivers(root).values()
        if driver.facts.runs(stack, (*example.needs, *remedy.needs))
        for server in (driver.facts.servers[:1] if products is None else products)
        if products is None or products[server] in driver.facts.servers
        for transport in TRANSPORTS[:2]
    )


def _has_a_meaning(hazard: Example, remedy: Remedy, root: Path) -> bool:
    """Whether a remedy is for programs like a hazard's: what one for a pool needs, its hazards need too.

    A program that keeps a pool beside the stack's own connections needs a remedy for that pool.
    """
    pools = stacks(root)[hazard.stack].facts.program.pools.keys()
    return set(remedy.needs) - {DESCRIPTOR} <= set(hazard.needs) and pools & set(hazard.needs) <= set(remedy.needs)


def _program(cell: Coordinates, root: Path) -> Program:
    """Return how a crossed cell's program connects."""
    program, needs = stacks(root)[cell.stack].facts.program, examples(root)[cell.stack, parts(cell)[0]].needs
    return next((program.pools[need] for need in needs if need in program.pools), program)


def is_crossed(cell: Coordinates) -> bool:
    """Whether a cell is a crossed one."""
    return PLUS in cell.example


def command(cell: Coordinates, root: Path = ROOT) -> tuple[str, dict[str, str]]:
    """Return what `python -m` runs for a cell, crossed or not, and the variables that it needs."""
    if not is_crossed(cell):
        return module(cell, root), {}
    hazard, name = parts(cell)
    program, remedy = _program(cell, root), remedies(root)[cell.stack, name]
    asked = {
        "module": module(Coordinates(cell.stack, hazard, cell.driver, cell.server, cell.transport), root),
        "code": code(cell, root),
        "points": remedy.points,
        "names": program.names,
        "opens": program.opens,
        "opened": program.opened,
        "holder": program.holder,
    }
    return MODULE, {VARIABLE: json.dumps(asked)}


def code(cell: Coordinates, root: Path = ROOT) -> str:
    """Return the code of a crossed cell's remedy, as it is pasted; empty if its statements are all there is."""
    program, remedy = _program(cell, root), remedies(root)[cell.stack, parts(cell)[1]]
    theirs = {"DATABASE_URL", program.opened, program.holder, *program.names}
    if program.opens:
        theirs.add(program.opens.rpartition(":")[2])
    return remedy_module(remedy, theirs, cell.driver, root).code


def as_text(cell: Coordinates, root: Path = ROOT) -> str:
    """Return a crossed cell's remedy for people: what runs at which point, and the code that this needs."""
    remedy = remedies(root)[cell.stack, parts(cell)[1]]
    lines = [f"{point}: {'; '.join(statements)}" for point, statements in remedy.points.items()]
    return "\n".join(lines) + (f"\n\n{found}" if (found := code(cell, root)) else "\n")
