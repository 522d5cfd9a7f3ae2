"""Every example runs where it is copied to, with its folder's helper, `DATABASE_URL` and nothing else from here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matrix.records.transcript import parse

from matrix import catalogue
from matrix.catalogue import STACKS, Cell, Example, cells, drivers, examples
from matrix.catalogue.claims import claims
from matrix.process.execute import execute
from matrix.process.watchdog import Watchdog
from matrix.records.reading import ROOT
from matrix.records.run import Run
from matrix.run.cell import clean_environ, database_name
from matrix.run.judge import judge
from matrix.servers import Observer, Server, observer, running

#: What an example's folder needs besides the example: the helper, and for Django the project around it.
PROJECT = ("__init__.py", "helper.py", "settings.py", "models.py", "migrations")


def chosen() -> list[Cell]:
    """One cell of each example, the drivers by turns."""
    found = []
    for number, (stack, name) in enumerate(examples()):
        of_example = [c for c in cells() if (c.stack, c.example, c.transport) == (stack, name, "tcp")]
        if of_example:
            found.append(of_example[number % len(of_example)])
    return found


@pytest.fixture(scope="module")
def watchdog() -> Iterator[Watchdog]:
    with Watchdog() as started:
        yield started


@pytest.fixture(scope="module")
def servers(watchdog: Watchdog) -> Iterator[dict[str, tuple[Server, Observer]]]:
    """Every server that can be had here, with a connection to it."""
    with running(sorted({cell.server for cell in cells()}), watchdog=watchdog) as found:
        started = {name: server for name, server in found.items() if isinstance(server, Server)}
        looks = {name: observer(server) for name, server in started.items()}
        yield {name: (server, looks[name]) for name, server in started.items()}
        for look in looks.values():
            look.close()


@pytest.mark.parametrize("cell", chosen(), ids=lambda cell: cell.id)
def test_an_example_runs_where_it_is_copied_to(
    cell: Cell, servers: dict[str, tuple[Server, Observer]], watchdog: Watchdog, tmp_path: Path
) -> None:
    folder = tmp_path / STACKS[cell.stack]
    folder.mkdir()
    source = ROOT / STACKS[cell.stack]
    for name in (*PROJECT, f"{cell.example}.py", *([cell.driver] if cell.stack == "bare" else [])):
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (source / name).exists():
            shutil.copy(source / name, folder / name)
    server, look = servers[cell.server]
    database = database_name(watchdog.token, chosen().index(cell))
    look.create_database(database)
    try:
        execution = execute(
            [sys.executable, "-m", catalogue.module(cell)],
            env={
                **clean_environ(watchdog.environ()),
                "DATABASE_URL": drivers()[cell.driver].url(cell.stack, "tcp", server, database),
            },
            cwd=tmp_path,
            deadline=8,
            groups=watchdog,
            mark=database,
        )
        lines, _ = parse(execution.output)
        written = look.committed(database) if any(line.action == "insert" for line in lines) else None
    finally:
        look.drop_database(database)
    assert lines, execution.errors
    assert execution.returncode in (0, None) or execution.signal, execution.errors
    committed = None if written is None else frozenset(number for number in written if number > 1000)
    verdict = judge(Run(lines, timed_out=execution.timed_out, signal=execution.signal, committed=committed))
    assert verdict.outcome in claims(cell.driver)[cell].outcomes


@pytest.mark.parametrize("example", examples().values(), ids=lambda example: example.module)
def test_a_pattern_uses_nothing_private_to_this_repository(example: Example) -> None:
    """The part between `# The pattern.` and `# What happens.` may use `connect`, which stands for the reader's own."""
    source = (ROOT / example.path).read_text()
    assert source.count("# The pattern.") == 1
    pattern = source.partition("# The pattern.")[2].partition("# What happens.")[0]
    assert pattern.strip()
    for name in ("step(", "look_up(", "insert(", "wait_for(", "prepare(", "say("):
        assert name not in pattern, name
