"""The command line's part of runs: `run`, `table`, `show`, `compare`, and `summary` for the noxfile."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from matrix import catalogue
from matrix.arguments import nearest
from matrix.catalogue.claims import claims
from matrix.catalogue.crossed import crossed_cells
from matrix.errors import MatrixError
from matrix.pages.facts import load, shown_cells
from matrix.records import results
from matrix.records.reading import ROOT
from matrix.records.summary import Summary, read_summary, write_summary
from matrix.report import command as reporting
from matrix.report import show, table
from matrix.run.environment import environment, interpreter
from matrix.run.options import DEADLINE, Options
from matrix.run.runner import run
from matrix.servers import names as server_names

if TYPE_CHECKING:
    from matrix.records.claim import Claim
    from matrix.records.observation import Observation

#: Columns that tables and cells need.
NARROWEST = 60
#: Marks a folder of results whose runs were added to others.
MERGED = "merged.txt"
#: Steps of a deviation that are shown.
SHOWN = 40


def add_commands(commands: Any) -> None:
    """Add the commands to the subparsers, each with its function as `command`, which returns the exit status."""
    add = commands.add_parser("run", help="run cells on real servers and compare with the claims", allow_abbrev=False)
    add.set_defaults(command=_run, remedies=False)
    _add_run(add)
    add = commands.add_parser(
        "remedies", help="run each hazard with each remedy in place and compare with the claims", allow_abbrev=False
    )
    add.set_defaults(command=_run, remedies=True)
    _add_run(add)

    add = commands.add_parser("table", help="print the table of results that are there", allow_abbrev=False)
    add.set_defaults(command=_show_table)
    add.add_argument(
        "results", nargs="*", type=Path, metavar="DIR", help="folders of results (default: matrix/results)"
    )

    add = commands.add_parser("show", help="show one cell: what happened, in which order, and why")
    add.set_defaults(command=_show, driver=None)
    add.add_argument("cell", metavar="ID", help="a cell's id, or a glob that matches one")
    add.add_argument("--format", choices=("text", "json"), default="text", help="for people or for machines")
    add.add_argument("--results", type=Path, default=results.RESULTS, metavar="DIR", help="results to read")

    add = commands.add_parser("compare", help="check that other results show what the committed ones show")
    add.set_defaults(command=_compare)
    add.add_argument("results", nargs="+", type=Path, metavar="DIR", help="folders of results")

    add = commands.add_parser(
        "merge", help="add the runs in other folders of results to the committed counts", allow_abbrev=False
    )
    add.set_defaults(command=_merge)
    add.add_argument("results", nargs="+", type=Path, metavar="DIR", help="folders that `run --output DIR` wrote")
    add.add_argument(
        "--output", type=Path, default=results.RESULTS, metavar="DIR", help="add to these, not to matrix/results"
    )

    add = commands.add_parser("summary", allow_abbrev=False)  # for the noxfile
    add.set_defaults(command=_summary)
    add.add_argument("files", nargs="+", type=Path, metavar="FILE")


def _add_run(add: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    add.add_argument(
        "--driver",
        action="append",
        metavar="NAME",
        help="only this driver's cells (repeatable); else those of all that are installed",
    )
    add.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cells whose id matches, e.g. 'django/*/psycopg' (repeatable)",
    )
    add.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME",
        help="run on this server and not on the default ones, e.g. postgresql18 (repeatable)",
    )
    add_python(add)
    add.add_argument("--list", action="store_true", help="print the ids of the cells and run nothing")
    add.add_argument(
        "--repeat", type=positive, metavar="N", help="run each cell N times (default: once, a race five times)"
    )
    add.add_argument(
        "--output",
        type=Path,
        default=results.RESULTS,
        metavar="DIR",
        help="write results there, not to matrix/results",
    )
    add.add_argument("--update", action="store_true", help="rewrite the claims of cells that changed, to review them")
    add.add_argument("--jobs", type=positive, default=0, metavar="N", help="cells to run at once (default: two a core)")
    add.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help=f"silence after which a program counts as hanging (default {DEADLINE:g})",
    )
    add.add_argument("--show", metavar="ID", help="show one cell as it was observed last, and run nothing")
    add.add_argument("--format", choices=("text", "json"), default="text", help="how --show answers")
    add.add_argument(
        "--direct", action="store_true", help="connect directly, not through the relay that records the wire"
    )
    add.add_argument(
        "--fresh",
        action="store_true",
        help="start an interpreter for every cell, not copies of one that has imported the driver and ORM; slower",
    )
    add.add_argument(
        "--allow-missing",
        action="store_true",
        help="a server that is unavailable is no error if another is there",
    )
    reporting.add_options(add)
    add.add_argument("--summary", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # for the noxfile


def add_python(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the interpreters of the drivers' environments."""
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="[DRIVER=]PATH",
        help="the interpreter that runs the examples, of one driver or of all (default: this one)",
    )


def pythons(options: argparse.Namespace) -> dict[str, Path]:
    """Return the interpreter of each driver that the option names."""
    known = catalogue.drivers()
    found: dict[str, Path] = {}
    for text in options.python:
        name, separator, path = text.rpartition("=")
        if separator and name not in known:
            raise MatrixError(f"--python {text}: there is no driver {name!r}{nearest(name, known)}")
        for driver in [name] if separator else known:
            found[driver] = Path(path).absolute()
    return found


def drivers_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the drivers that were asked for, else those whose environments hold them."""
    known, interpreters = catalogue.drivers(), pythons(options)
    for name in options.driver or ():
        if name not in known:
            raise MatrixError(f"there is no driver {name!r}{nearest(name, known)}")
    chosen = tuple(
        options.driver
        or (
            name
            for name, driver in known.items()
            if environment(interpreters.get(name) or interpreter(name)).has(driver)
        )
    )
    if not chosen:
        raise MatrixError(
            f"no driver is installed in this environment; nox -s matrix makes one for each of {', '.join(known)}"
        )
    return chosen


def positive(text: str) -> int:
    """Return an option's whole number from 1 up to a million."""
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000000")
    return int(text)


def seconds(text: str) -> float:
    """Return an option's number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.05 to 3600")
    return value


def _run(options: argparse.Namespace) -> int:
    if options.show:
        options.cell, options.results = options.show, options.output
        return _show(options)
    known = server_names()
    for name in options.server:
        if name not in known:
            raise MatrixError(f"--server {name!r}: there is no such server{nearest(name, known)}")
    if options.list:
        drivers = drivers_of(options) if options.driver else tuple(catalogue.drivers())
        every = crossed_cells if options.remedies else catalogue.cells
        for cell in catalogue.select(options.only, every(ROOT, tuple(options.server) or None)):
            if cell.driver in drivers:
                print(cell.id)
        return 0
    summary = run(
        Options(
            drivers=drivers_of(options),
            only=tuple(options.only),
            servers=tuple(options.server),
            repeat=options.repeat,
            output=options.output,
            update=options.update,
            jobs=options.jobs,
            deadline=options.deadline,
            direct=options.direct,
            fresh=options.fresh,
            remedies=options.remedies,
            pythons=pythons(options),
        )
    )
    summary.outputs = reporting.outputs(options)
    if options.remedies and options.report == reporting.REPORT:  # that report is the matrix's
        summary.outputs = msgspec.structs.replace(summary.outputs, html=None)
    summary.allow_missing = options.allow_missing
    if options.summary:
        write_summary(options.summary, summary)
    _print_summary(summary, with_table=options.summary is None)
    if options.summary:
        # Whether any server was there, the joined summary says.
        return 0 if options.allow_missing and not summary.runs and not summary.broken else summary.status
    reporting.publish(summary)
    return summary.status


def _print_summary(summary: Summary, *, with_table: bool) -> None:
    if not summary.observations and not summary.broken:
        print("nothing to run: no cell of these drivers was chosen")
        return
    if with_table and summary.observations:
        print(_table(summary))
    _print_findings(summary, transcripts=True)
    for path in summary.reviewed:
        print(f"claims to review: {path}")
    print(_total(summary))


def _print_findings(summary: Summary, *, transcripts: bool) -> None:
    """Print what is not as it should be, a line for each, with the transcript of what is not as expected."""
    for key in summary.deviations:
        seen, claim = summary.observations[key], summary.claims.get(key)
        if claim is None:
            continue
        counts = ", ".join(f"{name} {count}x" for name, count in seen.seen.items())
        print(f"NOT AS EXPECTED {key}: seen {counts}; expected {' or '.join(claim.outcomes)}")
        if transcripts:
            for step in seen.steps[:SHOWN]:
                print(f"    {step}")
            if len(seen.steps) > SHOWN:
                print(f"    ... {len(seen.steps) - SHOWN} more lines")
    if unclaimed := summary.unclaimed:
        print(f"NO EXPECTED RESULT: {len(unclaimed)} cells, {unclaimed[0]} first; --update writes them for review")
    for key, why in summary.broken.items():
        print(f"NOT JUDGED {key}: {why}")
    for why in summary.unavailable.values():
        print(f"NOT APPLICABLE: {why}")


def _total(summary: Summary) -> str:
    parts = [f"{summary.as_claimed} cells as expected"]
    if summary.deviations:
        parts.append(f"{len(summary.deviations)} not as expected")
    if summary.broken:
        parts.append(f"{len(summary.broken)} not judged")
    if summary.not_applicable:
        parts.append(f"{summary.not_applicable} not applicable")
    text = f"{', '.join(parts)}; {summary.runs} runs in {summary.seconds:.1f} s on {summary.cores} cores"
    return text + (f"; {', '.join(summary.servers)}" if summary.servers else "")


def _summary(options: argparse.Namespace) -> int:
    """Print one table over several runs and what was wrong in any of them, and return the exit status of the whole."""
    whole = Summary()
    for path in options.files:
        whole.add(read_summary(path))
    if whole.observations:
        print(_table(whole))
    _print_findings(whole, transcripts=False)
    if whole.observations or whole.broken:
        print(_total(whole))
    else:
        print("nothing was run")
    reporting.publish(whole)
    return whole.status


def _table(summary: Summary) -> str:
    return table.terminal(summary.observations, summary.claims, colour=_colour(), width=_width())


def _show_table(options: argparse.Namespace) -> int:
    """Print the table of the results in some folders."""
    print(_table(reporting.merge(options.results or [results.RESULTS])))
    return 0


def _show(options: argparse.Namespace) -> int:
    """Show one cell; nothing if it is of a driver that was not asked for, whose session will show it."""
    found = show.find(options.results, options.cell)
    if options.driver and found.cell.cell.driver not in options.driver:
        return 0
    print(
        show.as_json(found)
        if options.format == "json"
        else show.as_text(found, colour=_colour(), width=_width(show.WIDTH))
    )
    return 0


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _width(most: int | None = None) -> int | None:
    """Return how many columns there are: those of a terminal, at least NARROWEST and at most `most`, else `most`."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return most
    there = max(NARROWEST, shutil.get_terminal_size().columns)
    return there if most is None else min(there, most)


def _compare(options: argparse.Namespace) -> int:
    """Name every cell that did something else than the committed results say, and return 1 if there is one."""
    committed = results.read_folder(results.RESULTS)
    seen: dict[str, Observation] = {}
    for folder in options.results:
        seen |= results.read_folder(folder)
    claimed = {cell.id: claim for name in catalogue.drivers() for cell, claim in claims(name).items()}
    different = [
        key
        for key in sorted(committed.keys() | seen.keys())
        if not _agree(committed.get(key), seen.get(key), claimed.get(key))
    ]
    for key in different:
        before, now = (found[key].outcome if key in found else "not there" for found in (committed, seen))
        print(f"DIFFERENT {key}: committed {before}, now {now}")
    print(f"{len(seen)} cells compared, {len(different)} different")
    return 1 if different else 0


def _merge(options: argparse.Namespace) -> int:
    """Add the runs of other folders to the counts; return 1 if a cell showed something that is not expected.

    A folder whose runs were added is marked, so that none of them counts twice.
    """
    into: Path = options.output
    marks = {folder: folder / MERGED for folder in options.results}
    for folder, mark in marks.items():
        if mark.exists():
            raise MatrixError(f"{folder}: its runs were added before; {mark} says to what")
    odd = 0
    facts = load(into) if into.resolve() == results.RESULTS.resolve() else None
    keep = shown_cells(facts) if facts else None
    for folder, mark in marks.items():
        found = reporting.merge([folder])
        for key in found.deviations:
            print(f"NOT AS EXPECTED {key}: {found.explain(key)}")
        odd += len(found.deviations)
        for driver in dict.fromkeys(seen.cell.driver for seen in found.observations.values()):
            own = [seen for seen in found.observations.values() if seen.cell.driver == driver]
            evidence = {seen.id: found.evidence[seen.id] for seen in own if seen.id in found.evidence}
            results.write(into, driver, own, evidence, keep_evidence=keep, add_counts=True)
        mark.write_text(f"{into.resolve()}\n", encoding="utf-8")
        print(f"{folder}: {sum(seen.count for seen in found.observations.values() if seen.applies)} runs added")
    return 1 if odd else 0


def _agree(committed: Observation | None, seen: Observation | None, claim: Claim | None) -> bool:
    """Whether two observations of a cell say the same: one outcome, or each what a claimed race allows."""
    if committed is None or seen is None:
        return False
    if claim and claim.is_race:
        return set(seen.seen) <= set(claim.outcomes)
    return seen.seen.keys() == committed.seen.keys()
