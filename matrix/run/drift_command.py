"""The command line's part of drift: `drift`, which runs the newest versions and says what changed."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.arguments import nearest
from matrix.catalogue.claims import claims, reasons
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records import results
from matrix.records.outcomes import OUTCOMES
from matrix.run.command import add_python, positive, seconds
from matrix.run.environment import environment, normalised
from matrix.run.options import DEADLINE, Options
from matrix.run.runner import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.records.claim import Claim
    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome

#: How much further than the pins the versions of a run may be.
RANGES = {"newest": "within the ranges", "beyond": "beyond the ranges"}

#: Run by a driver's interpreter: prints, of each object that a reason names, whether its source still holds a text.
_HOLDS = """
import importlib, inspect, json, sys

def holds(path, text):
    module, _, attributes = path.partition(":")
    found = importlib.import_module(module)
    for name in attributes.split("."):
        found = inspect.getattr_static(found, name) if inspect.isclass(found) else getattr(found, name)
        found = getattr(found, "__func__", getattr(found, "fget", None) or found)
    return text in inspect.getsource(inspect.unwrap(found))

answers = []
for path, text in json.load(sys.stdin):
    try:
        answers.append(holds(path, text))
    except Exception:
        answers.append(False)
print(json.dumps(answers))
"""


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers."""
    add = commands.add_parser("drift", help="run the newest versions and say what changed", allow_abbrev=False)
    add.set_defaults(command=_drift)
    add.add_argument("--range", required=True, choices=RANGES, help="how far beyond the pins the versions are")
    add_python(add)
    add.add_argument("--missing", action="append", default=[], metavar="DRIVER=WHY", help=argparse.SUPPRESS)
    add.add_argument("--only", action="append", default=[], metavar="GLOB", help="only cells whose id matches")
    add.add_argument("--jobs", type=positive, default=0, metavar="N", help="cells to run at once (default: two a core)")
    add.add_argument("--deadline", type=seconds, default=DEADLINE, metavar="SECONDS", help=argparse.SUPPRESS)
    add.add_argument(
        "--output", type=Path, default=Path("report/drift"), metavar="DIR", help="where the report and results go"
    )
    add.add_argument("--all", action="store_true", help="run drivers of which no version moved, too")


def _drift(options: argparse.Namespace) -> int:
    pythons = dict(_pair(text) for text in options.python)
    missing = dict(_pair(text) for text in options.missing)
    committed = results.read_folder(results.RESULTS)
    moved = {driver: _moved(driver, Path(python)) for driver, python in pythons.items()}
    chosen = [driver for driver in pythons if moved[driver] or options.all]
    claimed = {cell.id: claim for driver in chosen for cell, claim in claims(driver).items()}
    output = options.output / options.range
    text = [f"# Drift: {RANGES[options.range]}", ""]
    for driver, why in missing.items():
        text.append(f"* {driver} could not be installed: {why}")
    for driver in pythons:
        versions = ", ".join(f"{name} {old} → {new}" for name, (old, new) in moved[driver].items())
        text.append(f"* {driver}: {versions or 'no version moved'}")
    changed: list[str] = []
    broken: dict[str, str] = {}
    if chosen:
        summary = run(
            Options(
                drivers=tuple(chosen),
                only=tuple(options.only),
                output=output,
                jobs=options.jobs,
                deadline=options.deadline,
                pythons={driver: Path(pythons[driver]).absolute() for driver in chosen},
            )
        )
        broken = summary.broken
        changed = [
            key
            for key, seen in summary.observations.items()
            if seen.applies and key in committed and not _expected(seen, committed[key], claimed.get(key))
        ]
        lines = _sources({driver: Path(pythons[driver]) for driver in chosen}, moved)
        text += [f"* {line}" for line in lines]
        text += ["", f"{summary.runs} runs, {len(changed)} cells changed, {len(broken)} not judged", ""]
        for key in changed:
            text += _difference(committed[key], summary.observations[key])
        text += [f"* NOT JUDGED {key}: {why}" for key, why in broken.items()]
    report = "\n".join(text).rstrip() + "\n"
    write_text(output.with_suffix(".md"), report)
    print(report, end="")
    return 2 if missing or broken else 1 if changed else 0


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    known = catalogue.drivers()
    if not separator or name not in known:
        raise MatrixError(f"{text}: there is no driver {name!r}{nearest(name, known)}")
    return name, value


def _moved(driver: str, python: Path) -> dict[str, tuple[str, str]]:
    """Return what a driver's cells ran with and is installed now in another version, with both versions."""
    here = environment(python).installed
    names = [*catalogue.drivers()[driver].facts.distributions]
    names += [one.facts.distribution for one in catalogue.stacks().values() if one.facts.distribution]
    recorded: dict[str, str] = {}
    for seen in results.read(results.RESULTS / f"{driver}.json").values():
        for what in ("driver", "orm"):
            name, _, rest = seen.versions.get(what, "").partition(" ")
            recorded[normalised(name)] = rest.partition(" ")[0]
    pairs = {name: (recorded.get(normalised(name)), here.get(normalised(name))) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old and new and old != new}


def _expected(seen: Observation, committed: Observation, claim: Claim | None) -> bool:
    """Whether a cell showed nothing but what is claimed of it, or was seen of it before."""
    allowed = set(claim.outcomes) if claim else set()
    return seen.seen.keys() <= allowed | committed.seen.keys()


def _sources(pythons: Mapping[str, Path], moved: Mapping[str, Mapping[str, tuple[str, str]]]) -> list[str]:
    """Return a line for each reason's source in a package that moved: whether its code still holds."""
    lines = []
    for driver, python in pythons.items():
        packages = {normalised(name) for name in moved[driver]}
        wanted = [
            (reason, source)
            for reason, one in reasons().items()
            for source in one.sources
            if source.object and normalised(source.package) in packages
        ]
        asked = json.dumps([(source.object, source.contains) for _, source in wanted])
        done = subprocess.run([python, "-c", _HOLDS], input=asked, capture_output=True, text=True, check=False)
        answers = json.loads(done.stdout) if done.returncode == 0 else [False] * len(wanted)
        for (reason, source), holds in zip(wanted, answers, strict=True):
            if not holds:
                lines.append(
                    f"{driver}: the source of {reason} changed: {source.file}, line {source.line}: read it again"
                )
        if wanted and all(answers):
            lines.append(f"{driver}: the {len(wanted)} sources of reasons that can be read still hold")
    return lines


def _difference(before: Observation, now: Observation) -> list[str]:
    """Return what a cell did before and does now, with the transcripts of both."""
    differ = [
        f"{what} {before.versions.get(what)} → {value}"
        for what, value in now.versions.items()
        if before.versions.get(what) != value
    ]
    text = [f"## {now.id}", "", f"{_words(before.seen)} → {_words(now.seen)}; {', '.join(differ)}", ""]
    for title, seen in (("before", before), ("now", now)):
        text += [f"{title}:", "", "```text", *seen.transcript, "```", ""]
    return text


def _words(seen: Iterable[Outcome]) -> str:
    return " or ".join(outcome for outcome in OUTCOMES if outcome in set(seen))
