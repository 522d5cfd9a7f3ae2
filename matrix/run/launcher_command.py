"""The command line's part of launcher cells: `launchers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from matrix.arguments import nearest
from matrix.catalogue import drivers
from matrix.catalogue.assemble import NONE, assemble
from matrix.catalogue.launchers import launchers
from matrix.errors import MatrixError
from matrix.records import launcher_results
from matrix.records.outcomes import SIGNS
from matrix.records.results import RESULTS
from matrix.run.command import add_python, drivers_of, positive, pythons, seconds
from matrix.run.launcher_runner import chosen, run
from matrix.run.options import DEADLINE, Options

if TYPE_CHECKING:
    import argparse

    from matrix.records.launchers import LauncherObservation
    from matrix.run.launcher_runner import LauncherSummary


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers."""
    add = commands.add_parser(
        "launchers", help="run applications under real launchers, with each remedy as printed", allow_abbrev=False
    )
    add.set_defaults(command=_launchers)
    add.add_argument("--launcher", action="append", metavar="NAME", help="only this launcher (repeatable)")
    add.add_argument("--driver", action="append", metavar="NAME", help="only this driver's cells (repeatable)")
    add.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cells whose id matches, e.g. 'django/gunicorn/*/psycopg' (repeatable; default: those over tcp)",
    )
    add.add_argument(
        "--quick", action="store_true", help="of each application under a launcher two cells, each on one driver"
    )
    add_python(add)
    add.add_argument("--list", action="store_true", help="print the ids of the cells and run nothing")
    add.add_argument("--repeat", type=positive, metavar="N", help="run each cell N times (default: once)")
    add.add_argument(
        "--output", type=Path, default=RESULTS, metavar="DIR", help="write results there, not to matrix/results"
    )
    add.add_argument("--update", action="store_true", help="rewrite the claims of cells that changed, to review them")
    add.add_argument("--jobs", type=positive, default=0, metavar="N", help="cells to run at once (default: one a core)")
    add.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help=f"silence after which a launcher counts as hanging (default {DEADLINE:g})",
    )
    add.add_argument("--show", metavar="ID", help="show one cell as it was observed last, and run nothing")
    add.add_argument("--format", choices=("text", "json"), default="text", help="how --show answers")


def _launchers(options: argparse.Namespace) -> int:
    known = launchers()
    for name in options.launcher or ():
        if name not in known:
            raise MatrixError(f"there is no launcher {name!r}{nearest(name, known)}")
    names = options.launcher or list(known)
    if options.show:
        return _show(options)
    asked = Options(
        drivers=drivers_of(options) if not options.list or options.driver else tuple(drivers()),
        only=tuple(options.only),
        repeat=options.repeat,
        output=options.output,
        update=options.update,
        jobs=options.jobs,
        deadline=options.deadline,
        quick=options.quick,
        pythons=pythons(options),
    )
    cells = chosen(names, asked)
    if options.list:
        print("\n".join(cell.id for cell in cells))
        return 0
    if not cells:
        print("nothing to run: no cell of these launchers and drivers was chosen")
        return 0
    summary = run(cells, asked)
    _print(summary)
    return summary.status


def _print(summary: LauncherSummary) -> None:
    width = max((len(key) for key in summary.observations), default=0)
    for key, seen in summary.observations.items():
        print(f"{SIGNS[seen.outcome]} {key:{width}}  {_line(seen)}")
    for key in summary.deviations:
        claim = summary.claims.get(key)
        print(
            f"NOT AS EXPECTED {key}: " + (f"expected {' or '.join(claim.outcomes)}" if claim else "nothing is expected")
        )
    for key, why in summary.broken.items():
        print(f"NOT JUDGED {key}: {why}")
    for path in summary.reviewed:
        print(f"claims to review: {path}")
    good = len(summary.observations) - len(summary.deviations)
    print(f"{good} cells as expected, {len(summary.deviations)} not, {summary.runs} runs in {summary.seconds:.0f} s")


def _line(seen: LauncherObservation) -> str:
    if not seen.applies:
        return f"not applicable: {seen.note}"
    error = f"; {next(iter(seen.errors))}" if seen.errors else ""
    times = f" ({', '.join(f'{name} {count}x' for name, count in seen.seen.items())})" if len(seen.seen) > 1 else ""
    wrong = f"; {seen.wrong} wrong rows" if seen.wrong else ""
    return f"{seen.outcome}{times}, {seen.count}, parent's session {seen.parent}{wrong}{error}"


def _show(options: argparse.Namespace) -> int:
    """Print what was observed of a cell, and the files that were run."""
    found = launcher_results.read(options.output or RESULTS)
    seen = found.get(options.show)
    if seen is None:
        raise MatrixError(f"--show {options.show!r}: no such cell was run{nearest(options.show, found)}")
    if options.format == "json":
        print(msgspec.json.encode(seen).decode())
        return 0
    cell = seen.cell
    print(f"{seen.id}\n{_line(seen)}")
    for text, count in seen.errors.items():
        print(f"  {count} times {text}")
    if cell.remedy != NONE:
        for name, text in assemble(cell.application, cell.launcher, cell.remedy, cell.driver).files.items():
            print(f"\n{name}\n{'-' * len(name)}\n{text}", end="")
    return 0
