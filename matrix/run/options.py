"""What a run is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.records.reading import ROOT
from matrix.records.results import RESULTS
from matrix.run.environment import interpreter

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.catalogue.configurations import Configuration

#: Seconds of silence after which a program counts as hanging.
DEADLINE = 5.0
#: How often a cell is run whose claim allows several outcomes, and how often any other.
REPEAT_RACE, REPEAT = 5, 1


@dataclass(frozen=True)
class Options:
    """What was asked for; see the command line for each.

    `pythons` names the interpreter that runs a driver's examples; for others see `interpreter`.
    `remedies` asks for the crossed cells. `root` is the repository that holds drivers and examples; `configuration` is
    what differs from the pins.
    """

    drivers: tuple[str, ...]
    only: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    repeat: int | None = None
    output: Path = RESULTS
    update: bool = False
    jobs: int = 0
    deadline: float = DEADLINE
    direct: bool = False
    fresh: bool = False
    quick: bool = False
    remedies: bool = False
    pythons: dict[str, Path] = field(default_factory=dict)
    root: Path = ROOT
    configuration: Configuration | None = None

    def python(self, driver: str) -> Path:
        """Return the interpreter that runs a driver's examples."""
        return self.pythons.get(driver) or interpreter(driver)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs() -> int:
    """Return how many cells are run at once: two a core, because a cell and its server wait for each other."""
    return 2 * cores()
