"""What is pasted is what was run: each pattern, as pages print it, runs in its example where it is copied to."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.catalogue import ROOT, Cell, Example, cells, drivers, examples, stacks
from matrix.catalogue.claims import claims
from matrix.catalogue.pattern import BEGIN, END, driver_code, pasted, pattern
from matrix.process.execute import start
from matrix.process.watchdog import Watchdog
from matrix.run.cell import Subject, Surroundings, clean_environ, database_name, run_cell
from matrix.run.environment import environment, interpreter
from matrix.run.judge import judge
from matrix.servers import Observer, Server, observer, running


def chosen() -> list[Cell]:
    """One cell of each example, the drivers by turns; with every driver if its pattern has code of the driver's."""
    found: list[Cell] = []
    for number, ((stack, name), example) in enumerate(examples().items()):
        of_example = [cell for cell in cells() if (cell.stack, cell.example, cell.transport) == (stack, name, "tcp")]
        every = pattern(ROOT / example.path).from_driver or not of_example
        found += of_example if every else [of_example[number % len(of_example)]]
    return found


CHOSEN = chosen()


@pytest.fixture(scope="module")
def watchdog() -> Iterator[Watchdog]:
    with Watchdog() as started:
        yield started


@pytest.fixture(scope="module")
def servers(watchdog: Watchdog) -> Iterator[dict[str, tuple[Server, Observer]]]:
    """Every server that is available here, with a connection to it."""
    with running(sorted({cell.server for cell in cells()}), watchdog=watchdog) as found:
        started = {name: server for name, server in found.items() if isinstance(server, Server)}
        looks = {name: observer(server) for name, server in started.items()}
        yield {name: (server, looks[name]) for name, server in started.items()}
        for look in looks.values():
            look.close()


def copy(cell: Cell, root: Path) -> None:
    """Copy what an example needs, with its pattern as it is pasted."""
    stack = stacks()[cell.stack]
    names = ["__init__.py", "helper.py", "stack.toml", f"{cell.example}.py", *stack.facts.project]
    paths = [Path("example_support"), Path("drivers", cell.driver), *(Path(stack.folder, name) for name in names)]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, root / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, root / path)
    example = root / examples()[cell.stack, cell.example].path
    example.write_text(with_pasted(example.read_text(), pasted(ROOT / example.relative_to(root), cell.driver).code))


def with_pasted(source: str, code: str) -> str:
    """Return an example's source with some code in place of its pattern and of what the pattern needs above it."""
    above, _, rest = source.partition(BEGIN)
    _, _, below = rest.partition(END)
    assert below
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    defined = {node.name for node in ast.parse(code).body if isinstance(node, kinds)}
    folders = {stack.folder for stack in stacks().values()}
    imports = []
    for node in ast.parse(above).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in folders:
            # What is in the code must not come from the helper.
            kept = [alias for alias in node.names if alias.name not in defined]
            imports.append(ast.unparse(ast.ImportFrom(node.module, kept, node.level)))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(ast.unparse(node))
    return "\n".join([*imports, code, END + below])


@pytest.mark.parametrize("cell", CHOSEN, ids=lambda cell: cell.id)
def test_a_pasted_pattern_has_the_outcome_of_its_example(
    cell: Cell, servers: dict[str, tuple[Server, Observer]], watchdog: Watchdog, tmp_path: Path
) -> None:
    root, folder = tmp_path / "copy", tmp_path / "pipes"
    folder.mkdir()
    copy(cell, root)
    server, look = servers[cell.server]
    place = environment(interpreter(cell.driver))
    subject = Subject(cell, drivers()[cell.driver], stacks()[cell.stack], place, server)
    around = Surroundings(8, watchdog, clean_environ(watchdog.environ()), folder, root, None)
    number = CHOSEN.index(cell)
    database, mark = database_name(watchdog.token, number), watchdog.mark(number)
    result = run_cell(subject, around, look, database=database, mark=mark, start=start)
    assert judge(result.run).outcome in claims(cell.driver)[cell].outcomes


@pytest.mark.parametrize("example", examples().values(), ids=lambda example: example.module)
def test_a_pattern_uses_nothing_private(example: Example) -> None:
    """A pattern may use `connect`, which stands for the reader's own, and documented functions of the driver's."""
    source = (ROOT / example.path).read_text()
    assert source.count(BEGIN) == source.count(END) == 1
    code = source.partition(BEGIN)[2].partition(END)[0]
    assert code.strip()
    for name in ("step(", "look_up(", "insert(", "wait_for(", "prepare("):
        assert name not in code, name
    # Attributes that a class of the pattern's own sets may have a name of that kind.
    private = set(re.findall(r"\.(_[a-z]\w*)", code)) - set(re.findall(r"\b(?:def )?(_[a-z]\w*)(?:=|\()", code))
    assert private == set()


@pytest.mark.parametrize("driver", drivers())
def test_what_is_pasted_of_a_driver_is_short_and_documented(driver: str) -> None:
    names = {
        name
        for example in examples().values()
        if drivers()[driver].facts.runs(example.stack, example.needs)
        for name in pattern(ROOT / example.path).from_driver
    }
    for name in names:
        code = driver_code(driver, [name])
        assert "type: ignore" not in code
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert ast.get_docstring(node)
                assert len(ast.unparse(node).splitlines()) <= 8
