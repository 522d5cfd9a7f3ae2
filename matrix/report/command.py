"""The command line's part of reports: `python -m matrix report`, and what `run` writes besides results."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from matrix import catalogue
from matrix.catalogue import ROOT
from matrix.catalogue.claims import claims, reasons
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.report.junit import junit
from matrix.report.material import deviations, load, missing
from matrix.report.page import write_report
from matrix.report.summary import markdown
from matrix.run.runner import Report

if TYPE_CHECKING:
    import argparse

    from matrix.catalogue import Cell
    from matrix.catalogue.claims import Claim

#: Where the report of a run is written.
REPORT = ROOT / "report" / "matrix.html"


@dataclass(frozen=True)
class Outputs:
    """Files that were asked for besides the results; None is not written."""

    html: Path | None = REPORT
    junit: Path | None = None
    markdown: Path | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Outputs:
        """Return what the options of `add_options` say."""
        return cls(options.report, options.junit, options.markdown)

    def as_json(self) -> dict[str, str | None]:
        """Return plain data; `from_json` reads it back."""
        return {name: str(path.resolve()) if path else None for name, path in vars(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, str | None]) -> Outputs:
        """Return what `as_json` wrote."""
        return cls(**{name: Path(path) if path else None for name, path in data.items()})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `run` that name files to write."""
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the run as JUnit XML too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary in GitHub's Markdown too")
    parser.add_argument(
        "--report",
        type=Path,
        default=REPORT,
        metavar="FILE",
        help="write the report to look at there, not to report/matrix.html",
    )


def add_command(commands: Any) -> None:
    """Add the command `report`."""
    add = commands.add_parser(
        "report",
        help="merge folders of results into one report to look at",
        description="Merge folders of results into one report: of a cell that several hold, the last named counts.",
        allow_abbrev=False,
    )
    add.set_defaults(command=run_command)
    add.add_argument("results", nargs="+", type=Path, metavar="DIR", help="a folder of results (--output of a run)")
    add.add_argument("--output", type=Path, default=REPORT, metavar="FILE", help="the HTML file to write")
    add.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML too")
    add.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary in GitHub's Markdown too")


def run_command(options: argparse.Namespace) -> int:
    """Write one report on what stands in some folders; the exit status is 0 whatever the outcomes are."""
    material = load(options.results)
    report = Report(
        observations=material.observations, deviations=deviations(material.observations), evidence=material.evidence
    )
    publish(report, Outputs(options.output, options.junit, options.markdown))
    if absent := missing(material.observations):
        more = ", ..." if len(absent) > 3 else ""
        print(f"no results of {len(absent)} cells of these drivers: {', '.join(absent[:3])}{more}")
    return 0


def publish(report: Report, outputs: Outputs) -> None:
    """Write the files that were asked for and say where the report is; raise MatrixError where one cannot be."""
    if not report.observations and not report.broken:
        return
    if outputs.junit:
        _write(outputs.junit, junit(report))
    if outputs.markdown:
        _write(outputs.markdown, markdown(report))
    if outputs.html:
        _publish_html(report, outputs.html)


def _publish_html(report: Report, path: Path) -> None:
    drivers = {seen["driver"] for seen in report.observations.values()} & set(catalogue.drivers())
    claimed = _claims(sorted(drivers))
    try:
        write_report(
            report.observations, report.evidence, msgspec.to_builtins(reasons()), claimed, path, broken=report.broken
        )
    except MatrixError as error:
        if path != REPORT:
            raise
        # Nobody asked for it there: in a checkout that cannot be written to, a run is no worse without.
        print(f"matrix: no report to look at: {error}; name another file with --report", file=sys.stderr)
    else:
        path = path.resolve()
        print(f"report to look at: {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")


def _claims(drivers: list[str]) -> dict[Cell, Claim]:
    """Return the claims of some drivers; where they are not in order only their notes are missing from a report."""
    found: dict[Cell, Claim] = {}
    for driver in drivers:
        try:
            found |= claims(driver)
        except MatrixError as error:
            print(f"matrix: notes are left out of the report: {error}", file=sys.stderr)
    return found


def _write(path: Path, text: str) -> None:
    """Write a file, in place where it is no ordinary one: a pipe or a terminal cannot be replaced."""
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MatrixError(f"{path}: cannot be written: {error.strerror or error}") from None
    else:
        write_text(path, text)
