"""Weighs what can be behind a pasted text: a fork, threads, a restart, an idle timeout, and so on.

The causes and the signs that point to them stand in `docs/prose/causes.toml`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from matrix.records.reading import ROOT, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.pages.pasted import Clue, Reading

CAUSES = ROOT / "docs" / "prose" / "causes.toml"
#: How many points ahead of the next cause the first one must be to be called so.
CERTAIN, LIKELY = 5, 2
#: Causes with fewer points than this share of the first one's are not worth naming.
WORTH = 0.4

Sure = Literal["certain", "likely", "possible"]
Texts = tuple[str, ...]


_compiled = functools.cache(re.compile)


class Checks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run or to look at: with any server, and with one protocol alone."""

    any: Texts
    mysql: Texts = ()
    postgresql: Texts = ()

    def of(self, protocol: str | None) -> tuple[str, ...]:
        """Return the checks for a protocol, its own first; all of them if it is unknown."""
        own: tuple[str, ...] = {"mysql": self.mysql, "postgresql": self.postgresql}.get(protocol or "", ())
        return (*own, *self.any) if protocol else (*self.any, *self.postgresql, *self.mysql)


class Cause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be behind a message, how to tell it from the others, how to check it, and what to do.

    `brief` names it within a sentence.
    """

    id: str
    brief: str
    title: str
    meaning: str
    differs: str
    fix: str
    checks: Checks


class Sign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What points to causes, or away from them. Everything that is set must hold."""

    points: dict[str, int]
    text: str | None = None
    frame: str | None = None
    launcher: tuple[str, ...] = ()
    orm: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()
    connecting: bool = False
    context: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError if it is no sign, or its pattern can never match."""
        if not any((self.text, self.frame, self.launcher, self.orm, self.protocol, self.connecting)):
            raise ValueError("a sign gives nothing to look for")
        if self.text and self.frame:
            raise ValueError("a sign has `text` or `frame`, not both")
        if self.text and re.search(r"(?<!\\)[A-Z]", self.text):
            raise ValueError("`text` is searched in lower case, and has a capital letter")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cause: tuple[Cause, ...]
    sign: tuple[Sign, ...]

    def __post_init__(self) -> None:
        known = {cause.id for cause in self.cause}
        for sign in self.sign:
            if unknown := sign.points.keys() - known:
                raise ValueError(f"no cause is called {min(unknown)}")


class Verdict(msgspec.Struct, frozen=True):
    """A cause that fits, how well, and the words that speak for it, the strongest first."""

    cause: Cause
    points: float
    sure: Sure
    because: tuple[str, ...] = ()


@functools.cache
def _file() -> _File:
    return read_toml(CAUSES, _File)


def causes() -> dict[str, Cause]:
    """Return every cause by its id."""
    return {cause.id: cause for cause in _file().cause}


def weigh(
    reading: Reading, *, launcher: str | None = None, orm: str | None = None, protocol: str | None = None
) -> tuple[Verdict, ...]:
    """Return the causes that fit, the likeliest first; nothing if no sign of any was found.

    `launcher`, `orm` and `protocol` are what is known from elsewhere, and go before what was read.
    """
    told: dict[str, set[str]] = {
        "launcher": {launcher} if launcher else _name(reading.launcher),
        "orm": {orm} if orm else _name(reading.orm),
        "protocol": {protocol} if protocol else _name(reading.protocol),
        "connecting": _name(reading.connecting),
    }
    strongest: dict[str, tuple[float, str]] = {}
    context: list[tuple[dict[str, int], str]] = []
    for sign in _file().sign:
        for words, share in _found(sign, reading, told):
            if sign.context:
                context.append((sign.points, words))
                break
            for cause, points in sign.points.items():
                strongest[cause] = max(strongest.get(cause, (0.0, "")), (points * share, words))
    total = {cause: points for cause, (points, _) in strongest.items()}
    because = {cause: [words] for cause, (_, words) in strongest.items()}
    for numbers, words in context:
        for cause in total.keys() & numbers.keys():
            total[cause] += numbers[cause]
            because[cause] += [words] if numbers[cause] > 0 else []
    return tuple(_verdicts({cause: points for cause, points in total.items() if points > 0}, because))


def _name(clue: Clue | None) -> set[str]:
    return {clue.name} if clue else set()


def _found(sign: Sign, reading: Reading, told: Mapping[str, set[str]]) -> Iterator[tuple[str, float]]:
    """Yield the words in which a sign is found, and what share of its points they count."""
    wanted = {"launcher": {*sign.launcher}, "orm": {*sign.orm}, "protocol": {*sign.protocol}}
    wanted["connecting"] = {"connecting"} if sign.connecting else set()
    common = {kind: names & told[kind] for kind, names in wanted.items() if names}
    if not all(common.values()):
        return
    if sign.text:
        pattern = _compiled(sign.text)
        for line in reading.lines:
            if (words := line.search(pattern)) is not None:
                yield words, 0.5 if line.traceback else 1.0
    elif sign.frame:
        yield from ((frame, 1.0) for frame in reading.frames if _compiled(sign.frame).search(frame))
    elif sign.connecting and reading.connecting:
        yield reading.connecting.by, 1.0
    else:
        yield min(min(names) for names in common.values()), 1.0


def _verdicts(total: dict[str, float], because: dict[str, list[str]]) -> Iterator[Verdict]:
    known = causes()
    order = sorted(total, key=lambda cause: (-total[cause], list(known).index(cause)))
    for place, cause in enumerate(order):
        points = total[cause]
        if points < WORTH * total[order[0]]:
            return
        lead = points - (total[order[1]] if len(order) > 1 else 0) if place == 0 else 0
        sure: Sure = "certain" if lead >= CERTAIN else "likely" if lead >= LIKELY else "possible"
        yield Verdict(known[cause], points, sure, tuple(dict.fromkeys(because[cause])))
