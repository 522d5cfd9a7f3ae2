"""What remedies cost, as ratios: the records, the arithmetic behind them, and their file, `costs.json`.

Every ratio is of two things that one program measured in one round, one right after the other. Nothing is kept in
seconds or bytes: those are properties of a machine.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec.structs import replace

from matrix.errors import MatrixError
from matrix.files import locked, remove_leftovers, write_text
from matrix.records.facts import TRANSPORTS, Transport
from matrix.records.reading import read_json, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FORMAT = 1
#: The file, in a folder of results.
NAME = "costs.json"
#: An interval that is wider than this part of its median comes from a machine that was too noisy.
WIDE = 1.0

#: What is measured, and in which order pages show it.
Question = Literal["connect", "round_trips", "unit_of_work", "fork", "start", "memory"]
QUESTIONS: tuple[Question, ...] = ("connect", "round_trips", "unit_of_work", "fork", "start", "memory")

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+\Z")]
_AGAIN = "delete it and run nox -s costs"


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """The median of the ratios of all rounds, and their quartiles: half of the rounds lie between `low` and `high`."""

    median: _Positive
    low: _Positive
    high: _Positive

    def __post_init__(self) -> None:
        """Raise ValueError if the quartiles are not on both sides of the median."""
        if not self.low <= self.median <= self.high:
            raise ValueError("the median is not between the quartiles")

    @property
    def is_wide(self) -> bool:
        """Whether the machine was too noisy for it."""
        return self.high - self.low > WIDE * self.median


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """Which question is answered, and where."""

    question: Question
    stack: _Name
    driver: _Name
    server: _Name
    transport: Transport

    @property
    def id(self) -> str:
        """`question/stack/driver/server/transport`."""
        return "/".join((self.question, self.stack, self.driver, self.server, self.transport))


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one thing costs, as a ratio to another.

    `place` says which program measured it, `what` is the thing, `title` how pages call it, `base` the thing that
    `ratio` compares it with. `queries` is how many look-ups by primary key, on an open connection in the same stack,
    take as long. `run` is the index of the run in the file.
    """

    place: str
    what: _Name
    title: str
    base: _Name
    ratio: Ratio
    queries: Ratio | None = None
    rounds: _Count
    run: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def at(self) -> Place:
        """The coordinates."""
        return _place(self.place)

    def __post_init__(self) -> None:
        """Raise ValueError if `place` has other parts than those of a place."""
        _place(self.place)


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and on what a run measured.

    `busy` is the part of all cores' time, from 0 to 1, that other programs took between the measurements. `versions`
    has those of servers by name, and of each driver's environment by the driver's name.
    """

    cpu: str
    cores: _Count
    system: str
    busy: Annotated[float, msgspec.Meta(ge=0, le=1)]
    versions: dict[str, str]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All costs that are known, and the runs that measured them."""

    format: int = FORMAT
    runs: list[Machine] = []
    costs: list[Cost] = []

    def __post_init__(self) -> None:
        """Raise ValueError if a cost names a run that is not there."""
        if missing := next((cost for cost in self.costs if cost.run >= len(self.runs)), None):
            raise ValueError(f"{missing.place} was measured in run {missing.run}, which is not there")

    def of(
        self,
        question: Question | None = None,
        *,
        what: str | None = None,
        stack: str | None = None,
        driver: str | None = None,
        server: str | None = None,
        transport: str | None = None,
    ) -> list[Cost]:
        """Return the costs at some coordinates, in order."""
        given = {"question": question, "stack": stack, "driver": driver, "server": server, "transport": transport}
        wanted = {axis: value for axis, value in given.items() if value is not None}
        return [
            cost
            for cost in self.costs
            if what in (None, cost.what) and all(getattr(cost.at, axis) == value for axis, value in wanted.items())
        ]

    @property
    def wide(self) -> list[Cost]:
        """The costs whose intervals are wide."""
        return [cost for cost in self.costs if cost.ratio.is_wide]

    def updated(self, machine: Machine, costs: Iterable[Cost]) -> Costs:
        """Return these costs with those of another run, which replace what it measured again.

        All of what is known of a place is replaced. Runs of which nothing is left are left out.
        """
        new = [replace(cost, run=len(self.runs)) for cost in costs]
        places = {cost.place for cost in new}
        whole = [cost for cost in self.costs if cost.place not in places] + new
        runs = [*self.runs, machine]
        kept = sorted({cost.run for cost in whole})
        ordered = [replace(cost, run=kept.index(cost.run)) for cost in sorted(whole, key=_order)]
        return Costs(runs=[runs[index] for index in kept], costs=ordered)

    def without_places(self, current: Iterable[str]) -> Costs:
        """Return these costs without those of places that are no longer there."""
        there = set(current)
        kept = [cost for cost in self.costs if cost.place in there]
        numbers = sorted({cost.run for cost in kept})
        costs = [replace(cost, run=numbers.index(cost.run)) for cost in kept]
        return Costs(runs=[self.runs[number] for number in numbers], costs=costs)


def ratio(measured: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the ratio of two things that were measured in the same rounds.

    Raises ValueError if there are not as many values of both, or fewer than two, or one is not positive.
    """
    if any(value <= 0 for value in (*measured, *base)):
        raise ValueError("what was measured is not positive")
    ratios = [one / other for one, other in zip(measured, base, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(*(_rounded(value) for value in (median, low, high)))


def _rounded(value: float) -> float:
    """Return a number with as many digits as it has meaning: two after the point below 10, three in all above."""
    return round(value, 2) if value < 10 else float(f"{value:.3g}")


def read(folder: Path) -> Costs:
    """Return the costs in a folder of results, none if there is no file; raise MatrixError if it is malformed."""
    path = folder / NAME
    if not path.exists():
        return Costs()
    version = read_json(path, _Format, hint=_AGAIN).format
    if version != FORMAT:
        raise MatrixError(f"{shown(path)}: format {version}, this version reads {FORMAT}; {_AGAIN}")
    return read_json(path, Costs, hint=_AGAIN)


def write(folder: Path, machine: Machine, costs: Sequence[Cost], *, current: Iterable[str] | None = None) -> Costs:
    """Add what a run measured to the file in a folder of results, and return all that is in there then.

    `current` are the ids of the places that exist: others go, None keeps all. Raises MatrixError if the file cannot be
    read or written.
    """
    path = folder / NAME
    with locked(folder):
        remove_leftovers(path)
        known = read(folder).updated(machine, costs)
        if current is not None:
            known = known.without_places({*current, *(cost.place for cost in costs)})
        write_text(path, _text(known))
    return known


def _text(costs: Costs) -> str:
    """Return the text of the file: a line for each run and each cost."""
    runs = ",\n".join(map(_json, costs.runs))
    lines = ",\n".join(map(_json, costs.costs))
    return f'{{"format":{costs.format},\n"runs":[\n{runs}],\n"costs":[\n{lines}]}}\n'


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()


class _Format(msgspec.Struct):
    """The one field that every version of the file has."""

    format: int


def _place(text: str) -> Place:
    parts = text.split("/")
    if len(parts) != len(Place.__struct_fields__):
        raise ValueError(f"{text!r} is no place: it has not {len(Place.__struct_fields__)} parts")
    return msgspec.convert(dict(zip(Place.__struct_fields__, parts, strict=True)), Place)


def _order(cost: Cost) -> tuple[int, str, str, str, int]:
    at = cost.at
    return QUESTIONS.index(at.question), at.stack, at.driver, at.server, TRANSPORTS.index(at.transport)
