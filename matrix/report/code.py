"""Takes the code to copy out of an example: its pattern, and the imports that the pattern needs."""

from __future__ import annotations

import ast

#: The comments that enclose an example's pattern.
BEGIN, END = "# The pattern.", "# What happens."
#: What a reader replaces by a module of theirs.
_OURS = {"drivers", "django_examples", "sqlalchemy_examples"}


def pattern(source: str) -> str:
    """Return the part of an example to copy: what stands between its two comments, and the imports used there.

    The whole source without its docstring where it has no such comments.
    """
    tree = ast.parse(source)
    lines = source.splitlines()
    marks = {line: number for number, line in enumerate(lines, 1) if line in (BEGIN, END)}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if BEGIN not in marks:
        documented = ast.get_docstring(tree) is not None
        first = (tree.body[0].end_lineno or 0) if documented else 0
        return "\n".join(lines[first:]).strip() + "\n"
    begin, end = marks[BEGIN], marks.get(END, len(lines) + 1)
    body = [node for node in tree.body if begin < node.lineno < end]
    used = {name.id for node in body for name in ast.walk(node) if isinstance(name, ast.Name)}
    head = [statement for node in imports if node.lineno < begin and (statement := _import(node, used))]
    text = "\n".join(lines[begin : end - 1]).strip()
    return ("\n".join(head) + "\n\n\n" if head else "") + text + "\n"


def _import(node: ast.Import | ast.ImportFrom, used: set[str]) -> str:
    """Return an import of only those names that are used, empty where none is."""
    kept = [alias for alias in node.names if (alias.asname or alias.name).partition(".")[0] in used]
    if not kept:
        return ""
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(names=kept))
    statement = ast.unparse(ast.ImportFrom(module=node.module, names=kept, level=node.level))
    ours = (node.module or "").partition(".")[0] in _OURS
    return f"{statement}  # put your own here" if ours else statement
