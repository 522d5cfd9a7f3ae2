"""Reads remedies out of examples: what runs at which point, and the code that has to be there for it.

An example that is a remedy says in its docstring what runs at which point of a program's life:

    Points:
        start: track_connections()
        child: discard_inherited()

Several statements are separated by semicolons. What they name is either defined in the example's file, or the
application's: `engine`, `connections`.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import examples, stacks
from matrix.catalogue.pattern import extract
from matrix.errors import MatrixError
from matrix.records.launchers import POINTS, Point
from matrix.records.reading import ROOT, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_POINTS = re.compile(r"^Points:\n((?:[ ]+\w+: .+\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Remedy:
    """A remedy of one stack: `points` holds the statements that run at each point, `path` the example's file.

    `needs` are the capabilities that a driver must have for it.
    """

    stack: str
    name: str
    title: str
    path: Path
    points: Mapping[Point, tuple[str, ...]]
    needs: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """What the statements name."""
        return set().union(*(names(statement) for statements in self.points.values() for statement in statements))


@functools.cache
def remedies(root: Path = ROOT) -> dict[tuple[str, str], Remedy]:
    """Return every remedy that has points, by stack and name; raise MatrixError where points are malformed."""
    found = {}
    for stack in stacks(root).values():
        for path in sorted((root / stack.folder).glob("*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if match := _POINTS.search(docstring):
                title = " ".join(docstring.partition("\n\n")[0].split())
                points = _points(match[1], path)
                key = stack.facts.name, path.stem
                found[key] = Remedy(*key, title, path, points, examples(root)[key].needs)
    return found


def _points(text: str, path: Path) -> dict[Point, tuple[str, ...]]:
    found: dict[Point, tuple[str, ...]] = {}
    for line in text.strip().splitlines():
        name, _, code = line.strip().partition(": ")
        point = next((known for known in POINTS if known == name), None)
        if point is None:
            raise MatrixError(f"{shown(path)}: there is no point {name!r}; there are {', '.join(POINTS)}")
        try:
            tree = ast.parse(code)
        except SyntaxError as error:
            raise MatrixError(f"{shown(path)}: {name}: {error.msg}: {code}") from None
        found[point] = tuple(ast.get_source_segment(code, statement) or "" for statement in tree.body)
    return found


def names(code: str) -> set[str]:
    """Return the names that code uses and that are not Python's own."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)} - vars(builtins).keys()


@dataclass(frozen=True)
class Module:
    """The code that a remedy needs, as a module of its own; `defines` are the names that others import from it."""

    code: str
    defines: frozenset[str]


def module(remedy: Remedy, theirs: Collection[str], driver: str, root: Path = ROOT) -> Module:
    """Return what a remedy's statements need of its example, with imports, and nothing else of it.

    `theirs` are the names that the application has. Raises MatrixError where the example's helper would be needed.
    """
    own = remedy.names - set(theirs)
    found = extract(remedy.path, own, driver, root)
    if found.yours:
        raise MatrixError(
            f"{shown(remedy.path)}: what is pasted uses {found.yours[0]!r}, which is the example's helper's and not the"
            " application's"
        )
    if not found.code:
        return Module("", frozenset())
    known = symtable.symtable(found.code, remedy.path.name, "exec").get_symbols()
    defines = frozenset(own & {symbol.get_name() for symbol in known if symbol.is_assigned()})
    return Module(f'"""{remedy.title}"""\n\n{found.code}\n', defines)
