"""Which servers are known: a folder for each product, in it a file for each of its series."""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import MatrixError
from matrix.records.facts import ProductFacts, VersionFacts
from matrix.records.reading import read_toml, shown

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Product:
    """A product: its facts, and its known series in order, each with how it is fetched."""

    name: str
    facts: ProductFacts
    versions: dict[str, VersionFacts]


@dataclass(frozen=True)
class Known:
    """A server that can be asked for: a product, any series of it (None) or exactly one.

    ``name`` is ``postgresql`` or ``postgresql17``: the product's folder and the series, as the file is named.
    """

    product: Product
    series: str | None

    @property
    def name(self) -> str:
        """What a run calls it."""
        return self.product.name + (self.series or "")

    @property
    def title(self) -> str:
        """Its name as people write it, such as PostgreSQL 17."""
        return f"{self.product.facts.title} {self.series or ''}".strip()

    @property
    def version(self) -> VersionFacts:
        """How it is fetched: the default series if any will do."""
        return self.product.versions[self.series or self.product.facts.default]


@functools.cache
def products(folder: Path = FOLDER) -> dict[str, Product]:
    """Return every product that has a folder, by name; raise ``MatrixError`` if its facts are malformed."""
    found = {}
    for path in sorted(folder.glob("*/product.toml")):
        facts = read_toml(path, ProductFacts)
        files = sorted((path.parent / "versions").glob("*.toml"), key=_numbers)
        product = Product(path.parent.name, facts, {file.stem: read_toml(file, VersionFacts) for file in files})
        if facts.default not in product.versions:
            raise MatrixError(f"{shown(path)}: default: there is no versions/{facts.default}.toml")
        found[product.name] = product
    return found


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.stem)]


@functools.cache
def known(folder: Path = FOLDER) -> dict[str, Known]:
    """Return every known server by name: of each product the default one, then its series."""
    found = [Known(product, series) for product in products(folder).values() for series in (None, *product.versions)]
    return {server.name: server for server in found}


def find(name: str, folder: Path = FOLDER) -> Known:
    """Return a known server; raise ``MatrixError``, with the nearest name, if there is none of this name."""
    servers = known(folder)
    if name in servers:
        return servers[name]
    near = difflib.get_close_matches(name, servers, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise MatrixError(f"there is no server {name!r}{hint} There are {', '.join(servers)}")
