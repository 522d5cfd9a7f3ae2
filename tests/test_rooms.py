"""The rooms of the harness: imports go one way, and a run without the wire imports nothing of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.records.reading import ROOT

#: From top to bottom; each may import itself and what is below.
ROOMS = [
    ["completion"],
    ["__main__"],
    ["costs"],
    ["run"],
    ["pages"],
    ["report"],
    ["catalogue"],
    ["servers"],
    ["provision"],
    ["process"],
    ["wire"],
    ["records"],
    ["files"],
    ["arguments"],
    ["errors"],
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted((ROOT / "matrix").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "matrix").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the rooms that a module imports, wherever in it that is written."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("matrix.")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "matrix":
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return {name.split(".")[1] for name in found} & LEVEL.keys()


def test_every_module_is_in_a_room() -> None:
    assert {room(path) for path in MODULES} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    if room(path) == "__init__":
        return
    here = LEVEL[room(path)]
    upward = {name for name in imported(path) if name != room(path) and LEVEL[name] <= here}
    assert not upward


def test_a_run_without_the_wire_imports_nothing_of_it() -> None:
    program = "import sys, matrix.run.command\nprint([name for name in sys.modules if name.startswith('matrix.wire')])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
