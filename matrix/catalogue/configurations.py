"""Configurations: drivers' environments with something else in them than the pins, from `versions/<name>.toml`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from matrix import catalogue
from matrix.errors import MatrixError
from matrix.records.facts import ConfigurationFacts
from matrix.records.reading import ROOT, read_toml, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matrix.catalogue import Cell, Driver


@dataclass(frozen=True)
class Configuration:
    """What differs from the pins, by a name."""

    name: str
    facts: ConfigurationFacts
    root: Path = ROOT

    @property
    def drivers(self) -> dict[str, Driver]:
        """The drivers that it is run with, each as the configuration has it."""
        return {
            name: self.driver(driver)
            for name, driver in catalogue.drivers(self.root).items()
            if name in (self.facts.drivers or (name,)) and self.stacks & driver.facts.stacks.keys()
        }

    @property
    def stacks(self) -> set[str]:
        """The stacks that it is run with."""
        return set(self.facts.stacks or catalogue.stacks(self.root))

    def driver(self, driver: Driver) -> Driver:
        """Return a driver as it is in this configuration."""
        facts = driver.facts
        own = replace(
            facts,
            implementation=self.facts.implementation or facts.implementation,
            environ=facts.environ | self.facts.environ,
        )
        return type(driver)(driver.name, own)

    def cells(self, servers: tuple[str, ...] | None = None) -> list[Cell]:
        """Return the cells that there are in this configuration."""
        examples, without = catalogue.examples(self.root), self.facts.without
        return [
            cell
            for cell in catalogue.cells(self.root, servers=servers)
            if cell.driver in self.drivers
            and cell.stack in self.stacks
            and not {cell.example, *examples[cell.stack, cell.example].needs} & without.keys()
        ]


@functools.cache
def configurations(root: Path = ROOT) -> dict[str, Configuration]:
    """Return every configuration by name.

    Raises MatrixError, with the file, where one is malformed, names what is not there, or is another one again.
    """
    found: dict[str, Configuration] = {}
    for path in sorted((root / "versions").glob("*.toml")):
        facts = read_toml(path, ConfigurationFacts)
        _check(path, facts.drivers, catalogue.drivers(root), "driver")
        _check(path, facts.stacks, catalogue.stacks(root), "stack")
        examples = catalogue.examples(root)
        needs = {need for example in examples.values() for need in example.needs}
        _check(path, facts.without, {*needs, *(name for _, name in examples)}, "capability or example")
        for name, other in found.items():
            if replace(other.facts, about="") == replace(facts, about=""):
                raise MatrixError(f"{shown(path)}: it says the same as {name}; remove one of them")
        found[path.stem] = Configuration(path.stem, facts, root)
    return found


def _check(path: Path, names: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise MatrixError(f"{shown(path)}: there is no {what} {name!r}{catalogue.hint(name, known)}")
