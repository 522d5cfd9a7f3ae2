"""The command line: `python -m matrix run ...`, which `nox -s matrix -- ...` calls, and the commands that only read."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matrix import catalogue
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.pages.commands import add_commands
from matrix.records import old_results as observations
from matrix.report import command as reporting
from matrix.report import show, table
from matrix.run.runner import DEADLINE, Options, Report, cores, run
from matrix.run.versions import installed

#: Lines of a deviation's transcript that are shown.
SHOWN = 40


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 as claimed, 1 not as claimed, 2 the work could not be done."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except MatrixError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("matrix: interrupted; servers and programs are stopped, no results were written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return status


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message}; --help shows what is possible", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="matrix",
        description="What happens when a forked process meets a database connection.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    add = commands.add_parser("run", help="run cells on real servers and compare with the claims", allow_abbrev=False)
    add.set_defaults(command=_run)
    add.add_argument(
        "--driver",
        action="append",
        metavar="NAME",
        help="only this driver's cells (repeatable); else all that are installed",
    )
    add.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cells whose id matches, e.g. 'django/*/psycopg' (repeatable)",
    )
    add.add_argument("--list", action="store_true", help="print the ids of the cells and run nothing")
    add.add_argument(
        "--repeat",
        type=_positive,
        metavar="N",
        help="run each cell N times (default: once, a race five times)",
    )
    add.add_argument(
        "--output",
        type=Path,
        default=observations.RESULTS,
        metavar="DIR",
        help="write results there, not to matrix/results",
    )
    add.add_argument("--update", action="store_true", help="rewrite the claims from this run, for a person to review")
    add.add_argument(
        "--jobs", type=_positive, default=0, metavar="N", help="cells to run at once (default: two a core)"
    )
    add.add_argument(
        "--deadline",
        type=_seconds,
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
    reporting.add_options(add)
    add.add_argument(
        "--summary", type=Path, metavar="FILE", help=argparse.SUPPRESS
    )  # for the noxfile, which joins several runs

    add = commands.add_parser("table", help="print the table of results that are there", allow_abbrev=False)
    add.set_defaults(command=_table)
    add.add_argument(
        "results", nargs="*", type=Path, metavar="DIR", help="folders of results (default: matrix/results)"
    )

    reporting.add_command(commands)

    add = commands.add_parser("show", help="show one cell: what happened, in which order, and why")
    add.set_defaults(command=_show)
    add.add_argument("cell", metavar="ID", help="a cell's id, or a glob that matches one")
    _add_show_options(add)

    add = commands.add_parser("compare", help="check that other results show what the committed ones show")
    add.set_defaults(command=_compare)
    add.add_argument("results", nargs="+", type=Path, metavar="DIR", help="folders of results")

    add = commands.add_parser("summary", allow_abbrev=False)  # for the noxfile
    add.set_defaults(command=_summary)
    add.add_argument("files", nargs="+", type=Path, metavar="FILE")

    add_commands(commands)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.05 to 3600")
    return value


def _drivers(names: list[str] | None) -> tuple[str, ...]:
    """Return the drivers that were asked for, else those that are installed."""
    known = catalogue.drivers()
    for name in names or ():
        if name not in known:
            raise MatrixError(f"there is no driver {name!r}; there are {', '.join(known)}")
    chosen = tuple(names or (name for name, driver in known.items() if installed(driver)))
    if not chosen:
        raise MatrixError(
            f"no driver is installed in this environment; nox -s matrix makes one for each of {', '.join(known)}"
        )
    return chosen


def _run(options: argparse.Namespace) -> int:
    if options.show:
        options.cell, options.results = options.show, options.output
        return _show(options, only_of=options.driver)
    drivers = tuple(_drivers(options.driver)) if options.driver or not options.list else tuple(catalogue.drivers())
    if options.list:
        for cell in catalogue.select(options.only, catalogue.cells()):
            if cell.driver in drivers:
                print(cell.id)
        return 0
    report = run(
        Options(
            drivers=drivers,
            only=tuple(options.only),
            repeat=options.repeat,
            output=options.output,
            update=options.update,
            jobs=options.jobs,
            deadline=options.deadline,
            direct=options.direct,
            fresh=options.fresh,
        )
    )
    outputs = reporting.Outputs.of(options)
    if options.summary:
        write_text(options.summary, json.dumps(asdict(report) | {"outputs": outputs.as_json()}))
    _print_report(report, with_table=options.summary is None)
    if options.summary:
        # That this driver's server cannot be had is no failure while another's can: the summary over all of them tells.
        return 0 if not report.runs and not report.broken else report.status
    reporting.publish(report, outputs)
    return report.status


def _print_report(report: Report, *, with_table: bool) -> None:
    if not report.observations and not report.broken:
        print("nothing to run: no cell of these drivers was chosen")
        return
    if with_table and report.observations:
        print(table.terminal(report.observations.values(), colour=_colour()))
    _print_findings(report, transcripts=True)
    for path in report.reviewed:
        print(f"claims rewritten for review: {path}")
    print(_total(report))


def _print_findings(report: Report, *, transcripts: bool) -> None:
    """Print what is not as it should be, a line for each, with the transcript of what is not as claimed."""
    for key in report.deviations:
        seen = report.observations[key]
        if not seen["expected"]:
            continue
        counts = ", ".join(f"{name} {count}x" for name, count in seen["seen"].items())
        print(f"NOT AS CLAIMED {key}: seen {counts}; claimed {' or '.join(seen['expected'])}")
        if transcripts:
            for line in seen["transcript"][:SHOWN]:
                print(f"    {line}")
            if len(seen["transcript"]) > SHOWN:
                print(f"    ... {len(seen['transcript']) - SHOWN} more lines")
    if unclaimed := [key for key in report.deviations if not report.observations[key]["expected"]]:
        print(f"NOT CLAIMED YET: {len(unclaimed)} cells, {unclaimed[0]} first; --update writes their claims for review")
    for key, why in report.broken.items():
        print(f"NOT JUDGED {key}: {why}")
    for why in report.unavailable.values():
        print(f"NOT APPLICABLE: {why}")


def _total(report: Report) -> str:
    applicable = sum(o["outcome"] != "not applicable" for o in report.observations.values())
    skipped = len(report.observations) - applicable
    parts = [f"{applicable - len(report.deviations)} cells as claimed"]
    if report.deviations:
        parts.append(f"{len(report.deviations)} not as claimed")
    if report.broken:
        parts.append(f"{len(report.broken)} not judged")
    if skipped:
        parts.append(f"{skipped} not applicable")
    text = f"{', '.join(parts)}; {report.runs} runs in {report.seconds:.1f} s on {cores()} cores"
    return text + (f"; {', '.join(report.servers)}" if report.servers else "")


def _summary(options: argparse.Namespace) -> int:
    """Print one table over several runs and what was wrong in any of them, and return the exit status of the whole."""
    whole = Report()
    for path in options.files:
        data = json.loads(path.read_text(encoding="utf-8"))
        outputs = reporting.Outputs.from_json(data.pop("outputs"))
        part = Report(**data)
        whole.observations |= part.observations
        whole.deviations += part.deviations
        whole.broken |= part.broken
        whole.unavailable |= part.unavailable
        whole.evidence |= part.evidence
        whole.runs += part.runs
        whole.seconds += part.seconds
        whole.servers += [server for server in part.servers if server not in whole.servers]
    if whole.observations:
        print(table.terminal(whole.observations.values(), colour=_colour()))
    _print_findings(whole, transcripts=False)
    if whole.observations or whole.broken:
        print(_total(whole))
    else:
        print("nothing was run")
    reporting.publish(whole, outputs)
    return whole.status


def _table(options: argparse.Namespace) -> int:
    found = _read(options.results or [observations.RESULTS])
    print(table.terminal(found.values(), colour=_colour()))
    return 0


def _add_show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people or for machines")
    parser.add_argument("--results", type=Path, default=observations.RESULTS, metavar="DIR", help="results to read")


def _show(options: argparse.Namespace, only_of: list[str] | None = None) -> int:
    """Show one cell; nothing where it is another driver's than those in `only_of`, whose session will show it."""
    found = show.find(options.results, options.cell)
    if only_of and found["cell"]["driver"] not in only_of:
        return 0
    print(show.as_json(found) if options.format == "json" else show.as_text(found, colour=_colour()))
    return 0


def _compare(options: argparse.Namespace) -> int:
    """Name every cell that did something else than the committed results say, and return 1 where there is one."""
    committed = _read([observations.RESULTS])
    seen = _read(options.results)
    different = [key for key in sorted(committed.keys() | seen.keys()) if not _agree(committed.get(key), seen.get(key))]
    for key in different:
        before, now = (found[key]["outcome"] if key in found else "not there" for found in (committed, seen))
        print(f"DIFFERENT {key}: committed {before}, now {now}")
    print(f"{len(seen)} cells compared, {len(different)} different")
    return 1 if different else 0


def _agree(committed: dict[str, Any] | None, seen: dict[str, Any] | None) -> bool:
    """Whether two observations of a cell say the same: one outcome, or each what a claimed race allows."""
    if committed is None or seen is None:
        return False
    race = len(committed["expected"]) > 1
    return set(seen["seen"]) <= set(committed["expected"]) if race else seen["seen"].keys() == committed["seen"].keys()


def _read(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the observations in some folders, by cell id; raise MatrixError where a folder holds none."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        if not files:
            raise MatrixError(f"{folder}: no results there; nox -s matrix -- --output {folder} writes some")
        for path in files:
            found |= observations.read(path)
    return found


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


if __name__ == "__main__":
    raise SystemExit(main())
