"""What is measured: a program for each question, and the places where it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.records.costs import QUESTIONS, Place, Question
from matrix.records.facts import TRANSPORTS, Transport
from matrix.servers import product_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The remedy whose hooks the program `fork` measures.
AT_FORK = "discarded_at_fork"
#: The programs' folder; `stacks` in it has a module for each stack that can be measured.
PROGRAMS = Path(__file__).parent / "programs"
_PACKAGE = "matrix.costs.programs"
#: How many rounds a program measures unless it takes more or fewer by its nature.
ROUNDS = 20


@dataclass(frozen=True)
class Program:
    """How a question is answered.

    `module` is what `python -m` runs. `share` is the part of the rounds that suffices. `alone` programs measure drivers
    by themselves, and no ORM. Those of a `remedy` are run where its example is. Of some, the `wire` is looked at, and
    not what they measure.
    """

    module: str
    transports: tuple[Transport, ...]
    share: float = 1.0
    alone: bool = False
    remedy: str | None = None
    wire: bool = False


#: What differs by transport is measured over several, the rest over the first. Starting workers takes long.
PROGRAMS_BY_QUESTION: dict[Question, Program] = {
    "connect": Program(f"{_PACKAGE}.connect", TRANSPORTS, alone=True),
    "round_trips": Program(f"{_PACKAGE}.connect", TRANSPORTS[:2], share=0.25, alone=True, wire=True),
    "unit_of_work": Program(f"{_PACKAGE}.unit_of_work", TRANSPORTS[:2], share=0.75),
    "fork": Program(f"{_PACKAGE}.fork", TRANSPORTS[:1], share=0.75, remedy=AT_FORK),
    "start": Program(f"{_PACKAGE}.start", TRANSPORTS[:1], share=0.25),
    "memory": Program(f"{_PACKAGE}.memory", TRANSPORTS[:1]),
}
assert tuple(PROGRAMS_BY_QUESTION) == QUESTIONS


def rounds(question: Question, wanted: int) -> int:
    """Return how many rounds a program measures if so many are wanted: quartiles need a few."""
    return max(5, round(wanted * PROGRAMS_BY_QUESTION[question].share))


def places(servers: Sequence[str] = (), root: Path = catalogue.ROOT) -> list[Place]:
    """Return every place, on the default servers or on those named; raise MatrixError where there is no such server."""
    products = {name: product_of(name) for name in servers}
    found = []
    for question, program in PROGRAMS_BY_QUESTION.items():
        for name, stack in catalogue.stacks(root).items():
            if not (PROGRAMS / "stacks" / f"{name}.py").exists() or (program.alone and stack.facts.distribution):
                continue
            for driver in catalogue.drivers(root).values():
                if not _runs(program, name, driver, root):
                    continue
                own = [each for each in servers if products[each] in driver.facts.servers]
                found += [
                    Place(question, name, driver.name, server, transport)
                    for server in (own if servers else driver.servers)
                    for transport in program.transports
                ]
    return found


def _runs(program: Program, stack: str, driver: catalogue.Driver, root: Path) -> bool:
    """Whether a program can be run with a driver in a stack: it is used there, and its remedy is for it."""
    if program.remedy is None:
        return stack in driver.facts.stacks
    example = catalogue.examples(root).get((stack, program.remedy))
    return example is not None and driver.facts.runs(stack, example.needs)
