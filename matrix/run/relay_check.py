"""Checks that the relay changes no outcome: `python -m matrix.run.relay_check`, or `nox -s relay`.

The same cells are run with the relay and without it, and compared.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.arguments import Parser
from matrix.errors import MatrixError
from matrix.process.ending import InterruptedBySignal, interruptible
from matrix.run.command import add_python, drivers_of, positive, pythons
from matrix.run.options import Options
from matrix.run.runner import run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome
    from matrix.records.summary import Summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs and return 0 if no outcome does, 1 if one does, 2 if cells could not be run."""
    parser = Parser(prog="matrix.run.relay_check", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only these cells (repeatable)")
    parser.add_argument("--repeat", type=positive, metavar="N", help="run each cell N times (default: a race 5 times)")
    add_python(parser)
    parser.set_defaults(driver=None)
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            through, direct = (_run(options, direct=direct) for direct in (False, True))
    except MatrixError as error:
        print(f"matrix.run.relay_check: {error}", file=sys.stderr)
        return 2
    except InterruptedBySignal as signal:
        return signal.status
    found = differences(through, direct)
    for line in [*found, *error_differences(through.observations, direct.observations)]:
        print(line)
    print(f"{len(through.observations)} cells run with the relay and without it: {len(found)} with other outcomes")
    return 1 if found else 0


def differences(through: Summary, direct: Summary) -> list[str]:
    """Return a line for each cell that had other outcomes; of a claimed race any that the claim allows are the same."""
    lines = []
    for key in sorted(through.observations.keys() | direct.observations.keys()):
        seen, bare = (part.observations[key].seen if key in part.observations else {} for part in (through, direct))
        claim = through.claims.get(key)
        race = claim and claim.is_race and seen and bare and {*seen, *bare} <= set(claim.outcomes)
        if set(seen) != set(bare) and not race:
            lines.append(f"DIFFERENT {key}: with the relay {_counts(seen)}; without {_counts(bare)}")
    return lines


def error_differences(through: Mapping[str, Observation], direct: Mapping[str, Observation]) -> list[str]:
    """Return a line for each cell with the same outcomes whose processes met other exceptions, to be looked at."""
    lines = []
    for key in sorted(through.keys() & direct.keys()):
        errors, bare = _errors(through[key]), _errors(direct[key])
        if errors != bare and set(through[key].seen) == set(direct[key].seen):
            lines.append(f"same outcome, other exceptions {key}: with the relay {errors}; without {bare}")
    return lines


def _errors(seen: Observation) -> dict[str, list[str]]:
    return {view.name: view.errors for view in (seen.parent, *seen.children) if view.errors}


def _counts(seen: Mapping[Outcome, int]) -> str:
    return ", ".join(f"{name} {count}x" for name, count in seen.items()) or "not judged"


def _run(options: argparse.Namespace, *, direct: bool) -> Summary:
    """Run the chosen cells of the installed drivers and return what came of it, without cells that do not apply."""
    with tempfile.TemporaryDirectory() as folder:
        summary = run(
            Options(
                drivers_of(options),
                tuple(options.only),
                repeat=options.repeat,
                output=Path(folder),
                direct=direct,
                pythons=pythons(options),
            )
        )
    if summary.broken:
        raise MatrixError(f"{len(summary.broken)} cells could not be judged: {next(iter(summary.broken.items()))}")
    if not summary.runs:
        raise MatrixError(next(iter(summary.unavailable.values()), "no cell of the installed drivers was chosen"))
    summary.observations = {key: seen for key, seen in summary.observations.items() if seen.applies}
    return summary


if __name__ == "__main__":
    raise SystemExit(main())
