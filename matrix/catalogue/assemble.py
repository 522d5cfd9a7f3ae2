"""Assembles what a remedy is for one application under one launcher: the files to paste, complete.

This is the one place where such files are made. What pages and commands print and what launcher cells run are the same
bytes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.catalogue.driver_slots import with_driver
from matrix.catalogue.launchers import applications, launchers
from matrix.catalogue.remedies import Module, Remedy, module, names, remedies
from matrix.errors import MatrixError
from matrix.records.facts import DESCRIPTOR
from matrix.records.reading import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matrix.catalogue.launchers import Application, Launcher
    from matrix.records.launchers import Alternative, Edit

#: The remedy of a cell without one.
NONE = "none"
#: The module of an application that a remedy's code goes into.
FILE = "shop/forks.py"
_MODULE = "shop.forks"


@dataclass(frozen=True)
class Advice:
    """What to paste: `files` are new or changed, complete; `base` are the program's others, which stay as they are."""

    title: str
    cost: str
    files: dict[str, str]
    base: dict[str, str] = field(repr=False)

    @property
    def program(self) -> dict[str, str]:
        """All files of the program with the remedy."""
        return self.base | self.files

    @property
    def digest(self) -> str:
        """What tells this program from others: a digest of its files' names and texts."""
        return hashlib.sha256(json.dumps(self.program, sort_keys=True).encode()).hexdigest()[:16]


def offered(application: str, launcher: str, root: Path = ROOT) -> list[str]:
    """Return the remedies that can be put in place for an application under a launcher, `none` first.

    What needs a pool is not offered to an application without one.
    """
    one, other = applications(root)[application], launchers(root)[launcher]
    points = other.facts.points.keys() | one.facts.points.keys()
    has = {*one.facts.needs, DESCRIPTOR}
    found = [NONE, *other.facts.instead, *one.facts.instead]
    for (stack, name), remedy in remedies(root).items():
        if stack == one.facts.stack and points >= remedy.points.keys() and has.issuperset(remedy.needs):
            found += [name] if name not in found else []
    return found


def assemble(application: str, launcher: str, remedy: str, driver: str, root: Path = ROOT) -> Advice:
    """Return the files of a remedy for an application, a launcher and a driver.

    Raises MatrixError where that is not possible; the message names what is missing.
    """
    one, other = applications(root)[application], launchers(root)[launcher]
    base = with_driver({**one.files, **other.files}, one.facts.stack, driver, root)
    if remedy == NONE:
        return Advice("No remedy.", "", {}, base)
    for alternatives in (other.facts.instead, one.facts.instead):
        if alternative := alternatives.get(remedy):
            return _of_alternative(alternative, base)
    found = remedies(root).get((one.facts.stack, remedy))
    if found is None:
        raise MatrixError(f"there is no remedy {remedy!r} for {application} under {launcher}")
    for point in found.points:
        if not (other.facts.points.get(point) or one.facts.points.get(point)):
            why = other.facts.absent.get(point, f"there is no place for what runs at {point!r}")
            raise MatrixError(f"{remedy} cannot be put in place under {launcher}: {why}")
    return _of_points(found, one, other, module(found, one.facts.names, driver, root), base)


def _of_alternative(alternative: Alternative, base: dict[str, str]) -> Advice:
    files: dict[str, str] = {}
    for edit in alternative.edits:
        files[edit.file] = _edited(edit, base | files, [], [])
    return Advice(alternative.title, alternative.cost, files, base)


def _of_points(
    remedy: Remedy, application: Application, launcher: Launcher, code: Module, base: dict[str, str]
) -> Advice:
    files = {FILE: code.code} if code.code else {}
    for point, statements in remedy.points.items():
        edits = launcher.facts.points.get(point) or application.facts.points[point]
        imports, written = _written(statements, application, code)
        for edit in edits:
            files[edit.file] = _edited(edit, base | files, imports, written)
    return Advice(remedy.title, "", files, base)


def _written(statements: Iterable[str], application: Application, code: Module) -> tuple[list[str], list[str]]:
    """Return the imports that statements need, and the statements in the application's own words."""
    imports: list[str] = []
    lines: list[str] = []
    for statement in statements:
        within, code_line = "", statement
        for name in sorted(names(statement)):
            if name in code.defines:
                imports.append(f"from {_MODULE} import {name}")
            elif known := application.facts.names.get(name):
                imports += known.imports.splitlines()
                if known.expression:
                    code_line = re.sub(rf"\b{name}\b", known.expression, code_line)
                within = known.within or within
            else:
                raise MatrixError(f"the application {application.name} has nothing that is called {name!r}")
        lines += [f"with {within}:", f"    {code_line}"] if within else [code_line]
    return list(dict.fromkeys(imports)), lines


def _edited(edit: Edit, files: dict[str, str], imports: list[str], statements: list[str]) -> str:
    """Return a file with an edit made."""
    text = files.get(edit.file, "")
    itself = edit.file.removesuffix(".py").replace("/", ".")
    imports = [statement for statement in imports if not statement.startswith(f"from {itself} ")]
    slot = re.search(r"^( *)\{code\}$", edit.code, re.MULTILINE)
    code = edit.code
    if slot:
        inside = bool(slot[1]) and not edit.top
        lines = [*imports, "", *statements] if inside and imports else statements
        code = code.replace(slot[0], textwrap.indent("\n".join(lines), slot[1]))
        if not inside:
            text = _with_imports(text, imports)
    if edit.replace is None:
        code = code.strip("\n")
        blocks = code.startswith(("def ", "class ", "@")) or text.rstrip("\n").rpartition("\n")[2].startswith(" ")
        gap = "\n\n\n" if blocks else "\n\n"
        return (text.rstrip("\n") + gap if text else "") + code + "\n"
    if text.count(edit.replace) != 1:
        raise MatrixError(f"{edit.file} has the text {edit.replace!r} {text.count(edit.replace)} times, not once")
    return text.replace(edit.replace, code)


def _with_imports(text: str, imports: Iterable[str]) -> str:
    """Return a module with imports added after those that it has."""
    new = [statement for statement in imports if statement not in text.splitlines()]
    if not new:
        return text
    lines = text.splitlines()
    body = ast.parse(text).body
    last = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom) and node.col_offset == 0]
    if last:
        first = after = last[-1].end_lineno or 0
        while first and lines[first - 1].startswith(("import ", "from ")):
            first -= 1
        group = lines[first:after]
        if all(_package(one) in map(_package, group) for one in new):
            group = sorted([*group, *new], key=lambda line: (line.startswith("from "), line.split()[1]))
        else:
            group += ["", *new]
    else:
        first = after = (body[0].end_lineno or 0) if body and ast.get_docstring(ast.parse(text)) else 0
        group = ["", *new] if after else [*new, ""]
    return "\n".join([*lines[:first], *group, *lines[after:]]) + "\n"


def _package(statement: str) -> str:
    """Return the top-level package that an import statement imports from."""
    return statement.split()[1].split(".", maxsplit=1)[0]
