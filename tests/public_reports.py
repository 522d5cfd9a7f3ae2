"""Reads the public reports in `tests/reports/`, and scores what is read out of them and which cause is named.

`python -m tests.public_reports` prints the score and every report that is not answered right; `--update` writes it.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tomlkit

from matrix.catalogue import STACKS
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.pages.answers import Answer as Given
from matrix.pages.answers import answer
from matrix.pages.causes import Verdict, weigh
from matrix.pages.facts import Facts, load
from matrix.pages.pasted import Reading, read
from matrix.records.reading import read_toml

FOLDER = Path(__file__).parent / "reports"
SCORE = FOLDER / "score.toml"
#: The cause that this repository is about; a report with another one is a near miss.
FORK = "fork"

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]+(-[a-z0-9]+)*$")]


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person pasted, and what is known of it. README.md in the folder describes the keys."""

    source: Annotated[str, msgspec.Meta(pattern=r"^https?://\S+$")]
    text: str
    year: Annotated[int, msgspec.Meta(ge=2000, le=2100)] | None = None
    driver: Name | None = None
    orm: Name | None = None
    launcher: Name | None = None
    protocol: Literal["postgresql", "mysql", "oracle"] | None = None
    remedy: str = ""
    settled: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError if there is nothing to read in the text."""
        if not re.search(r"\w", self.text):
            raise ValueError("`text` is empty")


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the folder: every report with one cause."""

    report: tuple[Report, ...]


@functools.cache
def reports(folder: Path = FOLDER) -> dict[str, tuple[Report, ...]]:
    """Return the reports by cause; raise MatrixError if a file does not fit, or a source stands twice."""
    found = {
        path.stem: read_toml(path, File).report for path in sorted(folder.glob("*.toml")) if path.name != SCORE.name
    }
    seen: dict[str, str] = {}
    for cause, some in found.items():
        for report in some:
            if report.source in seen:
                raise MatrixError(f"{cause}.toml: {report.source} is in {seen[report.source]}.toml already")
            seen[report.source] = cause
    return found


#: What `explain` is told by flags, besides what it reads.
FLAGS = ("launcher", "orm")
#: All flags of `explain`.
ALL_FLAGS = ("driver", *FLAGS)
#: What is read out of a text.
READ = ("driver", "orm", "launcher", "protocol")


class Answer(msgspec.Struct, frozen=True):
    """What was read in one report, and the causes that were named, the first first: without flags, and with them."""

    report: Report
    cause: str
    reading: Reading
    named: tuple[str, ...]
    named_with_flags: tuple[str, ...]
    given: Given
    given_with_flags: Given

    def wrong(self) -> Iterator[str]:
        """Yield what was read that the report contradicts."""
        for kind in READ:
            clue, known = getattr(self.reading, kind), getattr(self.report, kind)
            if clue and known and clue.name != known:
                yield f"{kind}: {clue.name} by {clue.by!r}, and it is {known}"


@functools.cache
def answers() -> tuple[Answer, ...]:
    """Return what is read and named for every report."""
    return tuple(_answered(report, cause) for cause, some in reports().items() for report in some)


def _answered(report: Report, cause: str) -> Answer:
    reading = read(report.text)
    flags = {flag: getattr(report, flag) for flag in FLAGS}
    told = {flag: getattr(report, flag) for flag in ALL_FLAGS}
    return Answer(
        report,
        cause,
        reading,
        _ids(weigh(reading)),
        _ids(weigh(reading, **flags)),
        answer(facts(), report.text),
        answer(facts(), report.text, **told),
    )


@functools.cache
def facts() -> Facts:
    """Return what the answers are made from."""
    return load()


def fits(report: Report, cause: str, found: Given) -> bool:
    """Whether an answer names the cause, or leaves it open and names it among others, with advice that fits.

    For a fork that is code for the report's ORM and protocol, for other causes what to do. Nothing but a fork that is
    called so has the cause right if it is a fork.
    """
    named = {one.id: one for one in found.causes}
    if cause not in named or (cause != found.causes[0].id and found.causes[0].sure != "possible"):
        return False
    if cause != FORK:
        return found.causes[0].id != FORK and bool(named[cause].fix)
    stack = report.orm if report.orm in STACKS else "bare" if report.orm else None
    return report.protocol == "oracle" or any(
        (stack is None or fix.stack == stack)
        and (report.protocol is None or fix.driver is None or spoken(fix.driver) == report.protocol)
        for fix in found.fixes
    )


def spoken(driver: str) -> str:
    """Return the protocol of a driver."""
    return facts().drivers[driver].protocol


def _ids(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(verdict.cause.id for verdict in verdicts)


def score() -> dict[str, dict[str, int]]:
    """Return how many reports were answered right, by kind: what must not fall.

    `first` counts the reports whose cause was named first, `named` those whose cause was among the named, `answered`
    those that got the right cause, or the right one among several that the text cannot tell apart, with a remedy or
    advice that fits their ORM and database.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for one in answers():
        for kind in READ:
            if getattr(one.report, kind) and getattr(one.reading, kind):
                counts[f"read {kind}", getattr(one.report, kind)] += not any(one.wrong())
        for table, named in (("", one.named), (" with flags", one.named_with_flags)):
            counts[f"first{table}", one.cause] += named[:1] == (one.cause,)
            counts[f"named{table}", one.cause] += one.cause in named
        for table, found in (("", one.given), (" with flags", one.given_with_flags)):
            counts[f"answered{table}", one.cause] += fits(one.report, one.cause, found)
    tables: dict[str, dict[str, int]] = {}
    for (table, key), number in sorted(counts.items()):
        tables.setdefault(table, {})[key] = number
    return tables


def false_alarms(*, flags: bool) -> list[Report]:
    """Return the near misses that are called forks."""
    near = (one for one in answers() if one.cause != FORK)
    return [one.report for one in near if (one.named_with_flags if flags else one.named)[:1] == (FORK,)]


def saved_score() -> dict[str, dict[str, int]]:
    """Return the score that was last written."""
    return read_toml(SCORE, dict[str, dict[str, int]])


def main() -> None:
    """Print what is not answered right, and the score; write it with `--update`."""
    if "--update" in sys.argv[1:]:
        head = (
            "# Written by `python -m tests.public_reports --update`: how many reports are answered right, by kind.\n\n"
        )
        write_text(SCORE, head + tomlkit.dumps(score()))
    for one in answers():
        for problem in one.wrong():
            print(f"{one.report.source}: {problem}")
        for flags, found in (("", one.given), (" with flags", one.given_with_flags)):
            if not fits(one.report, one.cause, found):
                print(
                    f"{one.report.source}: not answered{flags}: {[cause.id for cause in found.causes]}, {found.notes}"
                )
        if one.cause not in (one.named[:1] or ("",)):
            print(f"{one.report.source}: {one.cause}, and named were {', '.join(one.named) or 'none'}")
    total = Counter({table: sum(counts.values()) for table, counts in score().items()})
    print(f"{len(answers())} reports: {dict(total)}")
    print(f"called a fork: {len(false_alarms(flags=False))}, with flags {len(false_alarms(flags=True))}")


if __name__ == "__main__":
    main()
