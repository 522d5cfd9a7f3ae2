"""Measures what the harness and the relay add: `python -m matrix.run.bench`, or `nox -s bench`.

Every figure is a ratio of two times from one call, for machines are noisy and differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.arguments import Parser
from matrix.errors import MatrixError
from matrix.process.ending import InterruptedBySignal, interruptible
from matrix.process.watchdog import Watchdog
from matrix.run.cell import clean_environ, database_name, obstacle
from matrix.run.command import add_python, drivers_of, pythons
from matrix.run.environment import environment
from matrix.run.options import DEADLINE, Options, cores
from matrix.run.runner import run
from matrix.servers import Server, observer, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.records.observation import Coordinates


def main() -> int:
    """Print the ratios and return 0; return 2 if cells could not be run."""
    parser = Parser(prog="matrix.run.bench", description=main.__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only these cells")
    add_python(parser)
    parser.set_defaults(driver=None)
    options = parser.parse_args()
    try:
        with interruptible():
            return bench(Options(drivers_of(options), tuple(options.only), repeat=1, pythons=pythons(options)))
    except MatrixError as error:
        print(f"matrix.run.bench: {error}", file=sys.stderr)
        return 2
    except InterruptedBySignal as signal:
        return signal.status


def bench(options: Options) -> int:
    """Measure the chosen cells of the installed drivers, in five passes."""
    cells = [cell for cell in catalogue.select(options.only, catalogue.cells()) if cell.driver in options.drivers]
    alone = _alone(cells, options)
    through = _matrix(options)
    direct = _matrix(replace(options, direct=True))
    fresh = _matrix(replace(options, fresh=True))
    again = _alone(cells, options)
    print(f"{len(cells)} cells on {cores()} cores")
    print(f"each example alone, one after the other: {alone:.1f} s before, {again:.1f} s after the runs below")
    bare = (alone + again) / 2
    ways = {"matrix": through, "matrix without the relay": direct, "matrix with an interpreter for every cell": fresh}
    for what, seconds in ways.items():
        print(f"{what}: {seconds:.1f} s; time x cores is {seconds * cores() / bare:.2f} of the examples' own")
    print(f"with the relay against without: {through / direct:.2f}")
    return 0


def _matrix(options: Options) -> float:
    """Return the seconds that a run of the matrix takes, servers included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        summary = run(replace(options, output=Path(folder)))
        seconds = time.monotonic() - began
    if summary.broken:
        raise MatrixError(f"{len(summary.broken)} cells could not be judged: {next(iter(summary.broken.items()))}")
    return seconds


def _alone(cells: Sequence[Coordinates], options: Options) -> float:
    """Return the seconds that the cells' examples take, started one after the other as a shell loop would."""
    total = 0.0
    names = list(dict.fromkeys(cell.server for cell in cells))
    with Watchdog() as watchdog, running(names, watchdog=watchdog) as servers:
        observers = {name: observer(server) for name, server in servers.items() if isinstance(server, Server)}
        environ = clean_environ(watchdog.environ())
        for number, cell in enumerate(cells):
            server = servers[cell.server]
            if not isinstance(server, Server) or obstacle(cell.transport, server):
                continue
            database = database_name(watchdog.token, number)
            observers[cell.server].create_database(database)
            driver, python = catalogue.drivers()[cell.driver], options.python(cell.driver)
            url = driver.url(cell.stack, cell.transport, server, database)
            began = time.monotonic()
            with subprocess.Popen(
                [python, "-m", catalogue.module(cell)],
                cwd=options.root,
                env={**environ, **environment(python).environ(driver), "DATABASE_URL": url},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as process:
                try:
                    process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, 9)
            total += time.monotonic() - began
            observers[cell.server].drop_database(database)
        for each in observers.values():
            each.close()
    return total


if __name__ == "__main__":
    raise SystemExit(main())
