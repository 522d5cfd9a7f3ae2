"""The command line's part of configurations: `versions`, which runs one of them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.arguments import nearest
from matrix.catalogue.configurations import configurations
from matrix.errors import MatrixError
from matrix.records import results, version_results
from matrix.records.outcomes import OUTCOMES
from matrix.run.command import add_python, positive, seconds
from matrix.run.options import DEADLINE, Options
from matrix.run.runner import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.catalogue.configurations import Configuration
    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome
    from matrix.records.summary import Summary


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers."""
    add = commands.add_parser(
        "versions", help="run a configuration: other versions than the pins, on real servers", allow_abbrev=False
    )
    add.set_defaults(command=_versions)
    add.add_argument("--configuration", required=True, metavar="NAME", help="a file of versions/, without `.toml`")
    add.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cells whose id matches, e.g. 'bare/*/psycopg' (repeatable)",
    )
    add_python(add)
    add.add_argument("--missing", action="append", default=[], metavar="DRIVER=WHY", help=argparse.SUPPRESS)
    add.add_argument("--list", action="store_true", help="print the ids of the cells and run nothing")
    add.add_argument("--repeat", type=positive, metavar="N", help="run each cell N times (default: once)")
    add.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write results there, with their transcripts, not to matrix/results",
    )
    add.add_argument("--jobs", type=positive, default=0, metavar="N", help="cells to run at once (default: two a core)")
    add.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help=f"silence after which a program counts as hanging (default {DEADLINE:g})",
    )
    add.add_argument(
        "--allow-missing", action="store_true", help="a driver that cannot be installed is no error if another can"
    )


def _versions(options: argparse.Namespace) -> int:
    known = configurations()
    if options.configuration not in known:
        raise MatrixError(f"there is no configuration {options.configuration!r}{nearest(options.configuration, known)}")
    configuration = known[options.configuration]
    if options.list:
        for cell in catalogue.select(options.only, configuration.cells()):
            print(cell.id)
        return 0
    if why := configuration.facts.unable:
        print(f"NOT RUN {configuration.name}: {why}")
        unable = dict.fromkeys(configuration.drivers, why)
        version_results.write(options.output or results.RESULTS, configuration.name, [], drivers=unable, missing=unable)
        return 0
    missing = dict(_pair(text, "--missing", configuration) for text in options.missing)
    pythons = {
        name: Path(path).absolute()
        for name, path in (_pair(text, "--python", configuration) for text in options.python)
    }
    with tempfile.TemporaryDirectory(prefix="versions-") as scratch:
        output = options.output or Path(scratch)
        summary = run(
            Options(
                drivers=tuple(pythons),
                only=tuple(options.only),
                repeat=options.repeat,
                output=output,
                jobs=options.jobs,
                deadline=options.deadline,
                pythons=pythons,
                configuration=configuration,
            )
        )
    before = version_results.read(results.RESULTS, configuration.name)
    version_results.write(
        options.output or results.RESULTS,
        configuration.name,
        summary.observations.values(),
        drivers={*pythons, *missing},
        missing=missing,
    )
    changed = _changed(before, summary)
    _print(configuration, summary, changed, missing)
    if summary.broken or summary.unavailable or (missing and not (options.allow_missing and pythons)):
        return 2
    return 1 if changed else 0


def _pair(text: str, option: str, configuration: Configuration) -> tuple[str, str]:
    """Return the driver that an option names, and what it says of it."""
    name, separator, value = text.partition("=")
    if not separator or name not in configuration.drivers:
        raise MatrixError(
            f"{option} {text}: {configuration.name} has no driver {name!r}{nearest(name, configuration.drivers)}"
        )
    return name, value


def _changed(before: version_results.Configured, summary: Summary) -> dict[str, str]:
    """Return what to say of each cell that shows an outcome that the record does not have."""
    recorded = before.observed()
    return {
        key: f"recorded {_outcomes(recorded[seen.cell])}, now {_outcomes(seen.seen)}"
        for key, seen in summary.observations.items()
        if seen.cell in recorded and seen.applies and not seen.seen.keys() <= recorded[seen.cell].keys()
    }


def _print(
    configuration: Configuration, summary: Summary, changed: Mapping[str, str], missing: Mapping[str, str]
) -> None:
    """Print what differs from the pinned versions, what changed since the record, and what could not be done."""
    pinned = results.read_folder(results.RESULTS)
    ran = [seen for seen in summary.observations.values() if seen.applies]
    different = [seen for seen in ran if seen.id in pinned and not _same(seen, pinned[seen.id])]
    for line in _lines(different, pinned):
        print(line)
    for key, text in changed.items():
        print(f"CHANGED {key}: {text}")
    for line in _broken(summary.broken):
        print(line)
    for why in summary.unavailable.values():
        print(f"NOT APPLICABLE: {why}")
    for why in dict.fromkeys(missing.values()):
        drivers = [driver for driver, other in missing.items() if other == why]
        print(f"MISSING {', '.join(drivers)} in {configuration.name}: {why}")
    versions = sorted(
        {seen.versions["driver"] for seen in ran} | {seen.versions["orm"] for seen in ran if "orm" in seen.versions}
    )
    print(
        f"{configuration.name}: {len(ran)} cells, {len(different)} differ from the pinned versions;"
        f" {summary.runs} runs in {summary.seconds:.0f} s; {', '.join(versions) or 'nothing was run'}"
    )


def _lines(different: Iterable[Observation], pinned: Mapping[str, Observation]) -> list[str]:
    """Return a line for the transports of a cell that differ from the pinned versions in the same way."""
    groups: dict[tuple[str, str], list[str]] = {}
    for seen in different:
        cell = seen.cell
        what = f"{_outcomes(seen.seen)}; pinned: {_outcomes(pinned[seen.id].seen)}"
        groups.setdefault((f"{cell.stack}/{cell.example}/{cell.driver}/{cell.server}", what), []).append(cell.transport)
    return [f"DIFFERS {place}/{','.join(transports)}: {what}" for (place, what), transports in groups.items()]


def _broken(broken: Mapping[str, str]) -> list[str]:
    """Return a line for the cells of a driver that could not be judged for the same reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for key, why in broken.items():
        groups.setdefault((key.split("/")[2], why), []).append(key)
    return [f"NOT JUDGED {len(keys)} cells, {keys[0]} first: {why}" for (_, why), keys in groups.items()]


def _same(one: Observation, other: Observation) -> bool:
    """Whether two observations show nothing that the other may not: one of them may be a race, seen once."""
    return bool(one.seen.keys() & other.seen.keys())


def _outcomes(seen: Iterable[Outcome]) -> str:
    return " or ".join(outcome for outcome in OUTCOMES if outcome in set(seen))
