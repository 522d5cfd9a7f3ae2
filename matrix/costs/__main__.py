"""The command line: `python -m matrix.costs`, which `nox -s costs` calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.arguments import Parser
from matrix.costs.measure import Measured, measure
from matrix.costs.plan import ROUNDS, places
from matrix.errors import MatrixError
from matrix.pages import costs as figures
from matrix.process.ending import InterruptedBySignal, interruptible
from matrix.records.costs import Costs
from matrix.records.results import RESULTS, check_writable
from matrix.run.command import add_python, drivers_of, positive, pythons
from matrix.run.environment import interpreter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: What the parts of a place's id are called in messages.
PARTS = ("<question>", "<stack>", "<driver>", "<server>", "<transport>")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep what remedies cost; return 0, or 2 if some of it could not be measured."""
    parser = Parser(prog="matrix.costs", description=main.__doc__, allow_abbrev=False)
    parser.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="only these, e.g. 'connect/*/psycopg' (repeatable)"
    )
    parser.add_argument(
        "--server", action="append", default=[], metavar="NAME", help="on this server and not on the default ones"
    )
    parser.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"rounds (default {ROUNDS})")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR", help="keep the figures there")
    parser.add_argument("--list", action="store_true", help="print what can be measured, and measure nothing")
    add_python(parser)
    parser.set_defaults(driver=None)
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            return _costs(options)
    except MatrixError as error:
        print(f"matrix.costs: {error}", file=sys.stderr)
        return 2
    except InterruptedBySignal as signal:
        print("matrix.costs: interrupted; servers and programs are stopped, nothing was written", file=sys.stderr)
        return signal.status


def _costs(options: argparse.Namespace) -> int:
    chosen = catalogue.select(options.only, places(options.server), parts=PARTS)
    if options.list:
        print("\n".join(place.id for place in chosen))
        return 0
    named = pythons(options)
    drivers = drivers_of(options)
    chosen = [place for place in chosen if place.driver in drivers]
    if not chosen:
        raise MatrixError("nothing of what was asked for can be measured with the drivers that are installed")
    check_writable(options.output)
    interpreters = {name: named.get(name) or interpreter(name) for name in drivers}
    measured = measure(chosen, interpreters, options.rounds, options.output)
    _print(measured)
    return 2 if measured.broken or measured.unavailable else 0


def _print(measured: Measured) -> None:
    """Print the tables of what was measured now, and what could not be measured."""
    new = Costs().updated(measured.machine, measured.new)
    for title, table in figures.shown(new):
        print("\n".join([title.replace("`", ""), "", *(f"  {line}" for line in figures.text_table(table)), ""]))
    for key, why in measured.broken.items():
        print(f"NOT MEASURED {key}: {why}")
    for why in measured.unavailable:
        print(f"NOT APPLICABLE: {why}")
    if new.costs:
        print(f"{len(new.costs)} ratios, medians and quartiles. {figures.noise(new)}")


if __name__ == "__main__":
    raise SystemExit(main())
