"""Takes out of an example's file what a reader copies: its pattern, with the imports and names that it needs."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import STACKS

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "# The pattern.", "# What happens."


@dataclass(frozen=True)
class Pattern:
    """An example's pattern.

    `code` stands by itself but for the names in `yours`, which the example gets from its folder's helper and which a
    program has already: a function that opens a connection, a URL. `line` is where the pattern begins in the file.
    """

    code: str
    yours: tuple[str, ...]
    line: int


def pattern(path: Path) -> Pattern:
    """Return the pattern of an example's file: the lines from `# The pattern.` to `# What happens.`, and what they use.

    An example without these comments is its own pattern, whole.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith(BEGIN)), None)
    end = next((number for number, line in enumerate(lines) if line.startswith(END)), None)
    if begin is None or end is None:
        return Pattern(text.rstrip(), (), 1)
    first, last = begin + 1, end
    body = lines[first:last]
    tree = ast.parse(text)
    wanted = _names(ast.parse("\n".join(body)))
    above = [node for node in tree.body if node.lineno <= first and not _is_docstring(node)]
    kept: list[tuple[int, str]] = []
    yours: list[str] = []
    for node in reversed(above):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound = [alias for alias in node.names if (alias.asname or alias.name).split(".")[0] in wanted]
            if not bound:
                continue
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in STACKS.values():
                yours += [alias.asname or alias.name for alias in bound]
                continue
            if isinstance(node, ast.ImportFrom):
                kept.append((node.lineno, ast.unparse(ast.ImportFrom(node.module, bound, node.level))))
            else:
                kept.append((node.lineno, ast.unparse(ast.Import(bound))))
        elif _defines(node) & wanted:
            wanted |= _names(node)
            kept.append((node.lineno, "\n".join(lines[node.lineno - 1 : node.end_lineno])))
    imports = [text for _, text in sorted(kept) if text.startswith(("import ", "from "))]
    standard = "\n".join(text for text in imports if text.split()[1].split(".")[0] in sys.stdlib_module_names)
    foreign = "\n".join(text for text in imports if text.split()[1].split(".")[0] not in sys.stdlib_module_names)
    rest = "\n".join(text for _, text in sorted(kept) if not text.startswith(("import ", "from ")))
    code = "\n".join(body).strip()
    above_code = "\n\n".join(part for part in (standard, foreign, rest) if part)
    gap = "\n\n\n" if code.startswith(("def ", "class ", "@")) else "\n\n"
    return Pattern(gap.join(part for part in (above_code, code) if part), tuple(sorted(yours)), first)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _defines(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
