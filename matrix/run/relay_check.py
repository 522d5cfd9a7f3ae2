"""Checks that the relay changes no outcome: `python -m matrix.run.relay_check`, or `nox -s relay`.

The same cells are run with the relay and without it, and compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.errors import MatrixError
from matrix.run.runner import Options, run
from matrix.run.versions import installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs and return 0 where no outcome does, 1 where one does, 2 where cells could not be run."""
    parser = argparse.ArgumentParser(prog="matrix.run.relay_check", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only these cells (repeatable)")
    parser.add_argument("--repeat", type=int, metavar="N", help="run each cell N times (default: a race five times)")
    options = parser.parse_args(arguments)
    try:
        through, direct = (_observe(options.only, options.repeat, direct=direct) for direct in (False, True))
    except MatrixError as error:
        print(f"matrix.run.relay_check: {error}", file=sys.stderr)
        return 2
    found = differences(through, direct)
    for line in [*found, *error_differences(through, direct)]:
        print(line)
    print(f"{len(through)} cells run with the relay and without it: {len(found)} with other outcomes")
    return 1 if found else 0


def differences(through: Mapping[str, dict[str, Any]], direct: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return a line for each cell that had other outcomes; of a claimed race any that the claim allows are the same."""
    lines = []
    for key in sorted(through.keys() | direct.keys()):
        seen, bare = through.get(key, {}).get("seen", {}), direct.get(key, {}).get("seen", {})
        allowed = set(through.get(key, direct.get(key, {}))["expected"])
        race = len(allowed) > 1 and seen and bare and {*seen, *bare} <= allowed
        if set(seen) != set(bare) and not race:
            lines.append(f"DIFFERENT {key}: with the relay {_counts(seen)}; without {_counts(bare)}")
    return lines


def error_differences(through: Mapping[str, dict[str, Any]], direct: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return a line for each cell with the same outcomes whose processes met other exceptions, to be looked at."""
    lines = []
    for key in sorted(through.keys() & direct.keys()):
        errors, bare = _errors(through[key]), _errors(direct[key])
        if errors != bare and set(through[key]["seen"]) == set(direct[key]["seen"]):
            lines.append(f"same outcome, other exceptions {key}: with the relay {errors}; without {bare}")
    return lines


def _errors(seen: dict[str, Any]) -> dict[str, list[str]]:
    views = {"parent": seen["parent"], **{child["name"]: child for child in seen["children"]}}
    return {name: view["errors"] for name, view in views.items() if view["errors"]}


def _counts(seen: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}x" for name, count in seen.items()) or "not judged"


def _observe(only: Sequence[str], repeat: int | None, *, direct: bool) -> dict[str, dict[str, Any]]:
    """Run the chosen cells of the installed drivers and return what was observed, by cell id."""
    names = tuple(name for name, driver in catalogue.drivers().items() if installed(driver))
    with tempfile.TemporaryDirectory() as folder:
        report = run(Options(names, tuple(only), repeat=repeat, output=Path(folder), direct=direct))
    if report.broken:
        raise MatrixError(f"{len(report.broken)} cells could not be judged: {next(iter(report.broken.items()))}")
    if not report.runs:
        raise MatrixError(next(iter(report.unavailable.values()), "no cell of the installed drivers was chosen"))
    return {key: seen for key, seen in report.observations.items() if seen["outcome"] != "not applicable"}


if __name__ == "__main__":
    raise SystemExit(main())
