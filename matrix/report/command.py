"""The command line's part of reports: `python -m matrix report`, and what `run` writes besides results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.catalogue.claims import claims, reasons
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records import results
from matrix.records.reading import ROOT
from matrix.records.summary import Outputs, Summary
from matrix.report.junit import junit
from matrix.report.page import write_report
from matrix.report.summary import markdown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from matrix.records.claim import Claim

#: Where the report of a run is written.
REPORT = ROOT / "report" / "matrix.html"


def outputs(options: argparse.Namespace) -> Outputs:
    """Return the files that the options of `add_options` name."""
    given = {"html": options.report, "junit": options.junit, "markdown": options.markdown}
    return Outputs(**{name: str(path.resolve()) if path else None for name, path in given.items()})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name files to write about a run."""
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the run as JUnit XML too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary in GitHub's Markdown too")
    parser.add_argument(
        "--report",
        type=Path,
        default=REPORT,
        metavar="FILE",
        help="write the report to look at there, not to report/matrix.html",
    )


def add_commands(commands: Any) -> None:
    """Add the command `report`."""
    add = commands.add_parser(
        "report",
        help="merge folders of results into one report to look at",
        description="Merge folders of results into one report: if several hold a cell, the last named counts.",
        allow_abbrev=False,
    )
    add.set_defaults(command=_run)
    add.add_argument(
        "results",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="a folder of results (--output of a run; default: matrix/results, the committed ones)",
    )
    add.add_argument(
        "--output", type=Path, default=REPORT, metavar="FILE", dest="report", help="the HTML file to write"
    )
    add.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML too")
    add.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary in GitHub's Markdown too")


def _run(options: argparse.Namespace) -> int:
    """Write one report on what stands in some folders; the exit status is 0 whatever the outcomes are."""
    summary = merge(options.results or [results.RESULTS])
    summary.outputs = outputs(options)
    publish(summary)
    drivers = {seen.cell.driver for seen in summary.observations.values()}
    absent = [c.id for c in catalogue.cells() if c.driver in drivers and c.id not in summary.observations]
    if absent:
        more = ", ..." if len(absent) > 3 else ""
        print(f"no results of {len(absent)} cells of these drivers: {', '.join(absent[:3])}{more}")
    return 0


def merge(folders: Iterable[Path]) -> Summary:
    """Return what stands in some folders of results, with their evidence and the claims of this checkout.

    If two hold the same cell the later named wins, except that `not applicable` never replaces what was observed
    elsewhere. Raises MatrixError for a folder without results and for a file that cannot be read.
    """
    whole = Summary()
    where: dict[str, Path] = {}
    for folder in folders:
        found = results.read_folder(folder)
        if not found:
            raise MatrixError(f"{folder}: no results there; nox -s matrix -- --output {folder} writes some")
        for key, seen in found.items():
            if seen.applies or key not in whole.observations:
                whole.observations[key] = seen
                where[key] = folder
    for key, folder in where.items():
        if evidence := results.read_evidence(folder, key):
            whole.evidence[key] = evidence
    whole.claims = _claims({seen.cell.driver for seen in whole.observations.values()})
    return whole


def _claims(drivers: set[str]) -> dict[str, Claim]:
    """Return the claims of some drivers by cell id; a driver that is not in this checkout has none."""
    known = sorted(drivers & set(catalogue.drivers()))
    return {cell.id: claim for name in known for cell, claim in claims(name).items()}


def publish(summary: Summary) -> None:
    """Write the files that were asked for and say where the report is; raise MatrixError if one cannot be written."""
    if not summary.observations and not summary.broken:
        return
    if summary.outputs.junit:
        _write(Path(summary.outputs.junit), junit(summary))
    if summary.outputs.markdown:
        _write(Path(summary.outputs.markdown), markdown(summary))
    if summary.outputs.html:
        _publish_html(summary, Path(summary.outputs.html))


def _publish_html(summary: Summary, path: Path) -> None:
    try:
        write_report(summary, reasons(), path)
    except MatrixError as error:
        if path != REPORT:
            raise
        # It was not asked for: a run in a checkout that cannot be written to is no worse without it.
        print(f"matrix: no report to look at: {error}; name another file with --report", file=sys.stderr)
    else:
        print(f"report to look at: {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")


def _write(path: Path, text: str) -> None:
    """Write a file, in place if it is no ordinary one: a pipe or a terminal cannot be replaced."""
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MatrixError(f"{path}: cannot be written: {error.strerror or error}") from None
    else:
        write_text(path, text)
