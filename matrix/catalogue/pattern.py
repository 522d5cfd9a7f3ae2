"""Takes out of an example's file what a reader pastes: its pattern, with the imports and names that it needs."""

from __future__ import annotations

import ast
import functools
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from matrix.catalogue import ROOT, STACKS, drivers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BEGIN, END = "# The pattern.", "# What happens."
#: Statements that define a function, and those that define what a decorator can stand above.
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)


@dataclass(frozen=True)
class Pattern:
    """An example's pattern.

    `code` stands by itself but for the names in `yours` and `from_driver`, which the example gets from its folder's
    helper. Those in `yours` a program has already: a function that opens a connection, a URL. Those in `from_driver`
    differ from driver to driver, such as `descriptor`: `driver_code` is what to paste for them, and `pasted` is a
    pattern that has it. `line` is where the pattern begins in the file.
    """

    code: str
    yours: tuple[str, ...]
    from_driver: tuple[str, ...]
    line: int


@dataclass
class _Parts:
    """Code in the order in which it is pasted: import statements, and definitions that the rest needs."""

    imports: set[str]
    definitions: list[str]

    def text(self, rest: str = "") -> str:
        own = [line for line in self.imports if line.split()[1].split(".")[0] in sys.stdlib_module_names]
        foreign = sorted(self.imports.difference(own), key=_import_key)
        blocks = ["\n".join(sorted(own, key=_import_key)), "\n".join(foreign), *self.definitions, rest]
        text = ""
        for block in filter(None, blocks):
            last = text.rpartition("\n")[2]
            is_definition = block.startswith(("def ", "async def ", "class ", "@")) or last.startswith("    ")
            are_plain = "\n" not in block and not last.startswith(("import ", "from ")) and block in self.definitions
            text += ("\n\n\n" if is_definition else "\n" if are_plain else "\n\n") * bool(text) + block
        return text


def pattern(path: Path, root: Path = ROOT) -> Pattern:
    """Return the pattern of an example's file, without what differs from driver to driver.

    It is what stands from `# The pattern.` to `# What happens.`, and what that uses. An example without these comments
    is its own pattern, whole. `root` is the repository whose drivers it is for.
    """
    found, _, _ = _pattern(path, root)
    return found


def pasted(path: Path, driver: str, root: Path = ROOT) -> Pattern:
    """Return the pattern of an example's file as one pastes it with a driver: nothing is left in `from_driver`."""
    found, parts, body = _pattern(path, root)
    own = _driver_parts(driver, found.from_driver, root)
    parts = _Parts(parts.imports | own.imports, [*own.definitions, *parts.definitions])
    return Pattern(parts.text(body) if found.from_driver else found.code, found.yours, (), found.line)


def driver_code(driver: str, names: Iterable[str], root: Path = ROOT) -> str:
    """Return what a driver has for some names: functions of its `connection.py`, and facts about its protocol."""
    return _driver_parts(driver, names, root).text()


class Code(NamedTuple):
    """Code, and the import statements that it needs."""

    imports: tuple[str, ...] = ()
    text: str = ""


def connection_code(driver: str, name: str, root: Path = ROOT) -> Code:
    """Return a function of a driver's `connection.py`, nothing if it has none of that name."""
    if name not in _definitions(driver, root):
        return Code()
    parts = _driver_parts(driver, [name], root)
    return Code(tuple(parts.imports), re.sub(r"  # noqa: [^\n]*", "", "\n\n\n".join(parts.definitions)))


def arranged(text: str, imports: Iterable[str]) -> str:
    """Return a module with more imports, all of them at its top, merged and in order: Python's own come first."""
    tree = ast.parse(text)
    lines = text.splitlines()
    old = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = min((node.lineno for node in old), default=(tree.body[0].end_lineno or 0) + 2) - 1
    last = max((node.end_lineno or 0 for node in old), default=first)
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (*old, *ast.parse("\n".join(imports)).body):
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(node)}
        elif isinstance(node, ast.ImportFrom):
            names.setdefault(node.module or "", set()).update(ast.unparse(alias) for alias in node.names)
    merged = plain | {f"from {module} import {', '.join(sorted(some))}" for module, some in names.items()}
    block = _Parts(merged, []).text()
    return "\n".join([*lines[:first], block, *lines[last:]]).rstrip("\n") + "\n"


def extract(path: Path, names: Iterable[str], driver: str, root: Path = ROOT) -> Pattern:
    """Return the definitions of some names in an example's file, and what they need, as pasted with a driver."""
    text = path.read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if not _is_docstring(node)]
    parts, helpers = _needed(nodes, text.splitlines(), _reachable(nodes, names))
    own = helpers & _offered(driver, root).keys()
    drivers_parts = _driver_parts(driver, sorted(own), root)
    whole = _Parts(parts.imports | drivers_parts.imports, [*drivers_parts.definitions, *parts.definitions])
    return Pattern(re.sub(r"  # type: ignore\[[\w-]+\][^\n]*", "", whole.text()), tuple(sorted(helpers - own)), (), 1)


def _reachable(nodes: list[ast.stmt], names: Iterable[str]) -> set[str]:
    """Return some names, and those that their definitions use, whichever comes first in the file."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        waiting = set().union(*(_names(node) for node in nodes if _defines_at_top(node) & waiting)) - found
    return found


def _defines_at_top(node: ast.stmt) -> set[str]:
    return set() if isinstance(node, ast.If | ast.For | ast.With) else _defines(node)


def _pattern(path: Path, root: Path) -> tuple[Pattern, _Parts, str]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith(BEGIN)), None)
    end = next((number for number, line in enumerate(lines) if line.startswith(END)), None)
    if begin is None or end is None:
        return Pattern(text.rstrip(), (), (), 1), _Parts(set(), []), text.rstrip()
    first, last = begin + 1, end
    tree = ast.parse(text)
    body = "\n".join(lines[first:last]).strip()
    above = [node for node in tree.body if node.lineno <= first and not _is_docstring(node)]
    parts, helpers = _needed(above, lines, _names(ast.parse(body)))
    offered = set().union(*(_offered(driver, root) for driver in drivers(root)))
    return (
        Pattern(parts.text(body), tuple(sorted(helpers.difference(offered))), tuple(sorted(helpers & offered)), first),
        parts,
        body,
    )


def _needed(nodes: Iterable[ast.stmt], lines: list[str], wanted: set[str]) -> tuple[_Parts, set[str]]:
    """Return what some code needs of the statements above it, and the names that it gets from an example's helper."""
    wanted = set(wanted)
    parts, helpers = _Parts(set(), []), set()
    for node in reversed(list(nodes)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) in wanted:
                    parts.imports.add(ast.unparse(ast.Import([alias])))
        elif isinstance(node, ast.ImportFrom):
            bound = [alias for alias in node.names if (alias.asname or alias.name) in wanted]
            if bound and (node.module or "").partition(".")[0] in STACKS.values():
                helpers |= {alias.asname or alias.name for alias in bound}
            elif bound:
                parts.imports.add(ast.unparse(ast.ImportFrom(node.module, bound, node.level)))
        elif _defines(node) & wanted:
            wanted |= _names(node)
            parts.definitions.insert(0, _source(node, lines))
    return parts, helpers


class _Offer(NamedTuple):
    """A statement that defines a name, and the file that it is in: its statements and its lines."""

    node: ast.stmt
    nodes: list[ast.stmt]
    lines: list[str]


@functools.cache
def _offered(driver: str, root: Path) -> dict[str, _Offer]:
    """Return what a driver and its protocol offer to patterns: by name, the statement, and the file that it is in.

    `connect` is left out: a program has its own.
    """
    return {name: offer for name, offer in _definitions(driver, root).items() if name != "connect"}


@functools.cache
def _definitions(driver: str, root: Path) -> dict[str, _Offer]:
    """Return the statements of a driver's module and of its protocol's by the names that they define."""
    found = {}
    facts = root / "example_support" / "protocols" / f"{drivers(root)[driver].facts.protocol}.py"
    for path in (facts, root / "drivers" / driver / "connection.py"):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        tree = ast.parse(text)
        for node in tree.body:
            for name in _defines(node) if isinstance(node, (*_FUNCTIONS, ast.Assign)) else ():
                found[name] = _Offer(node, tree.body, text.splitlines())
    return found


def _driver_parts(driver: str, names: Iterable[str], root: Path) -> _Parts:
    parts, offered = _Parts(set(), []), _definitions(driver, root)
    for name in names:
        node, nodes, lines = offered[name]
        above, _ = _needed((other for other in nodes if other is not node), lines, _names(node))
        code = re.sub(r"  # type: ignore\[[\w-]+\]", "", _source(node, lines))
        # Of `import a` and `import a.b`, both of which bind `a`, what is used.
        parts.imports |= {line for line in above.imports if re.search(rf"\b{re.escape(line.split()[-1])}\b", code)}
        parts.definitions += [*above.definitions, code]
    return parts


def _import_key(line: str) -> tuple[bool, str]:
    return line.startswith("from "), line


def _source(node: ast.stmt, lines: list[str]) -> str:
    decorators = node.decorator_list if isinstance(node, _DEFINITIONS) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _defines(node: ast.stmt) -> set[str]:
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
