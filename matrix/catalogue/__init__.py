"""Finds stacks, drivers, examples and cells on disk: nothing here is listed by hand."""

from __future__ import annotations

import ast
import difflib
import functools
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

from matrix.errors import MatrixError
from matrix.records.facts import TRANSPORTS, DriverFacts, StackFacts, Transport
from matrix.records.observation import Coordinates
from matrix.records.reading import ROOT, read_toml
from matrix.servers import optional, product_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.servers import Server

__all__ = [
    "ROOT",
    "STACKS",
    "TRANSPORTS",
    "Cell",
    "Driver",
    "Example",
    "Stack",
    "cells",
    "drivers",
    "examples",
    "module",
    "preload",
    "select",
    "stacks",
]

#: A cell is known by where it is in the matrix.
Cell = Coordinates
#: The standard library's modules that `example_support` imports, and those that it imports only later.
_STANDARD = (
    "datetime",
    "difflib",
    "email.parser",
    "importlib.metadata",
    "json",
    "multiprocessing.popen_fork",
    "multiprocessing.util",
    "pathlib",
    "pkgutil",
    "select",
    "signal",
    "tomllib",
    "urllib.parse",
)


@dataclass(frozen=True)
class Stack:
    """A stack: a folder of examples with a `stack.toml`."""

    folder: str
    facts: StackFacts

    @property
    def not_examples(self) -> frozenset[str]:
        """The folder's modules that are no examples."""
        return frozenset({"__init__", "helper", *(Path(name).stem for name in self.facts.project)})


@dataclass(frozen=True)
class Driver:
    """A driver: a folder under `drivers/` with a `driver.toml`."""

    name: str
    facts: DriverFacts

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that it is run on unless others are named: of each product the default one, optional ones not."""
        return tuple(name for name in self.facts.servers if not optional(name))

    def url(self, stack: str, transport: Transport, server: Server, database: str) -> str:
        """Return the DATABASE_URL of a database on a running server."""
        values = {
            "user": server.user,
            "password": server.password,
            "host": server.host,
            "port": str(server.port),
            "database": database,
            "socket": server.socket or "",
            "ca": server.ca or "",
        }
        urls = self.facts.urls | self.facts.stacks[stack].urls
        return urls[transport].format_map({name: quote(value, safe="") for name, value in values.items()})


@dataclass(frozen=True)
class Example:
    """An example in one stack: the module and what its docstring says of it.

    `path` is the file, from the repository's root. `kind` is `hazard` or `remedy`; `needs` are the capabilities that a
    driver must have. `problem` says what its docstring lacks.
    """

    stack: str
    name: str
    path: Path
    title: str
    body: str
    kind: str
    needs: tuple[str, ...]
    problem: str | None = None

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return ".".join(self.path.with_suffix("").parts)


@functools.cache
def stacks(root: Path = ROOT) -> dict[str, Stack]:
    """Return every stack by name, in the order of tables; raise MatrixError where a `stack.toml` is malformed."""
    found = [Stack(path.parent.name, read_toml(path, StackFacts)) for path in sorted(root.glob("*/stack.toml"))]
    named: dict[str, Stack] = {}
    for stack in sorted(found, key=lambda stack: stack.facts.order):
        if other := named.get(stack.facts.name):
            raise MatrixError(f"{other.folder} and {stack.folder} both name their stack {stack.facts.name!r}")
        named[stack.facts.name] = stack
    return named


#: The stacks and their folders, in the order in which tables show them.
STACKS = {name: stack.folder for name, stack in stacks().items()}
#: How pages and answers name them.
STACK_TITLES = {name: stack.facts.title for name, stack in stacks().items()}


@functools.cache
def drivers(root: Path = ROOT) -> dict[str, Driver]:
    """Return every driver by name.

    Raises MatrixError where a `driver.toml` is malformed, names a stack that is not there, or claims a scheme that
    another one claims.
    """
    found: dict[str, Driver] = {}
    claimed: dict[str, str] = {}
    for path in sorted((root / "drivers").glob("*/driver.toml")):
        name, facts = path.parent.name, read_toml(path, DriverFacts)
        if not name.isidentifier():
            raise MatrixError(f"drivers/{name}: examples import it, so its name has to be a Python name; put _ for -")
        for stack in facts.stacks.keys() - stacks(root).keys():
            raise MatrixError(f"drivers/{name}/driver.toml: there is no stack {stack!r}{hint(stack, stacks(root))}")
        for scheme in facts.schemes:
            if other := claimed.get(scheme):
                raise MatrixError(
                    f"{other} and {name} both claim the scheme {scheme!r} in their driver.toml; a DATABASE_URL has to"
                    " name one driver"
                )
            claimed[scheme] = name
        found[name] = Driver(name, facts)
    return found


@functools.cache
def examples(root: Path = ROOT) -> dict[tuple[str, str], Example]:
    """Return every example by stack and name; raise MatrixError where one needs what no driver has in its stack."""
    found = {}
    for name, stack in stacks(root).items():
        known = set().union(*(driver.facts.capabilities(name) for driver in drivers(root).values()))
        for path in sorted((root / stack.folder).glob("*.py")):
            if path.stem in stack.not_examples or path.stem.startswith("_"):
                continue
            example = _example(name, path, root)
            for need in example.needs:
                if need not in known:
                    raise MatrixError(f"{example.path}: no driver has {need!r} in {name}{hint(need, known)}")
            found[name, path.stem] = example
    return found


def _example(stack: str, path: Path, root: Path) -> Example:
    where = path.relative_to(root)
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title, _, body = docstring.partition("\n\n")
    kind = re.search(r"^(Hazard|Remedy)\.", body, re.MULTILINE)
    problem = None
    if not title.strip() or kind is None:
        problem = (
            "the docstring must open with one sentence and have a paragraph that begins with `Hazard.` or `Remedy.`"
        )
    prose = re.sub(r"^(Needs|Points):[^\n]*(?:\n(?!\n)[^\n]+)*$", "", body, flags=re.MULTILINE)
    return Example(
        stack=stack,
        name=path.stem,
        path=where,
        title=" ".join(title.split()),
        body=prose.strip(),
        kind=kind[1].lower() if kind else "",
        needs=tuple(_names(body, "Needs")),
        problem=f"{where}: {problem}" if problem else None,
    )


def _names(body: str, field: str) -> list[str]:
    match = re.search(rf"^{field}: *((?:.+\n?)+?)(?=\n|\Z)", body, re.MULTILINE)
    return [name.strip(" .`\n") for name in match[1].split(",") if name.strip(" .`\n")] if match else []


@functools.cache
def cells(root: Path = ROOT, servers: tuple[str, ...] | None = None) -> tuple[Cell, ...]:
    """Return every cell, in the order of tables: by stack, example, driver, server and transport.

    A driver has cells on the servers named, as far as it is run against their products; without `servers`, on the
    default server of each of its products. Raises MatrixError where there is no such server.
    """
    products = {name: product_of(name) for name in servers} if servers is not None else None
    return tuple(
        Cell(stack, name, driver.name, server, transport)
        for (stack, name), example in examples(root).items()
        for driver in drivers(root).values()
        if driver.facts.runs(stack, example.needs)
        for server in (driver.servers if products is None else products)
        if products is None or products[server] in driver.facts.servers
        for transport in TRANSPORTS
    )


def module(cell: Cell, root: Path = ROOT) -> str:
    """Return what `python -m` runs for a cell."""
    return f"{stacks(root)[cell.stack].folder}.{cell.example}"


def preload(stack: str, driver: str, root: Path = ROOT) -> tuple[str, ...]:
    """Return what the examples of a stack import with a driver, in that order, nothing of this repository's."""
    facts = drivers(root)[driver].facts
    return (*_STANDARD, facts.module, *stacks(root)[stack].facts.preload, *facts.stacks[stack].preload)


class Named(Protocol):
    """Something with coordinates: an id of parts, such as a cell."""

    @property
    def id(self) -> str:
        """The parts, with a slash between them."""


#: What the parts of a cell's id are called in messages.
_PARTS = ("<stack>", "<example>", "<driver>", "<server>", "<transport>")
N = TypeVar("N", bound=Named)


def select(globs: Sequence[str], among: Iterable[N], *, parts: Sequence[str] = _PARTS) -> list[N]:
    """Return the cells whose id matches one of the globs, all of them where there are none.

    A glob with fewer parts than an id matches as if the missing parts were `*`. Raises MatrixError for a glob that
    matches no cell, with what comes nearest. `parts` are the names of an id's parts.
    """
    among = list(among)
    if not globs:
        return among
    chosen: set[str] = set()
    for glob in globs:
        given = glob.split("/")
        if len(given) > len(parts):
            raise MatrixError(f"--only {glob!r}: an id here has {len(parts)} parts, {'/'.join(parts)}")
        pattern = given + ["*"] * (len(parts) - len(given))
        matching = {cell.id for cell in among if all(map(fnmatchcase, cell.id.split("/"), pattern))}
        if not matching:
            raise MatrixError(f"--only {glob!r} matches no cell. {_nearest(pattern, among, parts)}")
        chosen |= matching
    return [cell for cell in among if cell.id in chosen]


def _nearest(pattern: Sequence[str], among: Sequence[Named], parts: Sequence[str]) -> str:
    """Say which part of a pattern matches nothing, and what it could have been."""
    for index, part in enumerate(pattern):
        values = list(dict.fromkeys(cell.id.split("/")[index] for cell in among))
        if not any(fnmatchcase(value, part) for value in values):
            return f"No {parts[index].strip('<>')} is called {part!r}{hint(part, values)}"
    return "Each of its parts exists, but not together; --list shows the cells"


def hint(name: str, known: Iterable[str]) -> str:
    """Return what follows an unknown name: the nearest that is known, and all of them."""
    known = list(known)
    meant = "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(name, known, n=1))
    return f"{meant} There are: {', '.join(sorted(known)) or 'none'}"
