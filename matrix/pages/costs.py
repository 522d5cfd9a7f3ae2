"""What remedies cost, in words and tables: for the page about costs, and for whatever shows a remedy."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from matrix.catalogue import STACK_TITLES, STACKS
from matrix.errors import MatrixError
from matrix.records.costs import Question
from matrix.records.facts import TRANSPORTS
from matrix.records.reading import read_toml
from matrix.servers import title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matrix.records.costs import Cost, Costs

#: Where it is written which figures belong to which remedies, from the repository's root.
PROSE = "docs/prose/costs.toml"
_FIELDS = {"ratio", "queries", "title"}


class RemedyCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sentence about some remedies, with the figure that it needs: see `docs/prose/costs.toml`."""

    remedies: tuple[str, ...]
    question: Question
    what: str
    text: str

    def __post_init__(self) -> None:
        """Raise ValueError if the text has a field that no figure fills."""
        if unknown := {field for _, field, _, _ in Formatter().parse(self.text) if field} - _FIELDS:
            raise ValueError(f"`text` has {{{min(unknown)}}}; there are {', '.join(sorted(_FIELDS))}")


class Table(NamedTuple):
    """A table: the titles of its columns, and its rows."""

    header: list[str]
    rows: list[list[str]]


def read_sentences(root: Path) -> tuple[RemedyCost, ...]:
    """Return the sentences about remedies' costs; raise MatrixError, with file and line, if they are malformed."""
    if not (root / PROSE).exists():
        return ()
    tables = read_toml(root / PROSE, dict[str, tuple[RemedyCost, ...]])
    if unknown := tables.keys() - {"cost"}:
        raise MatrixError(f"{PROSE}: unknown table `{min(unknown)}`; it holds `[[cost]]`")
    return tables.get("cost", ())


def problems(costs: Costs, sentences: Iterable[RemedyCost], names: Sequence[str]) -> list[str]:
    """Return what is wrong with the sentences, a line each, given the names of all remedies."""
    found = []
    for sentence in sentences:
        found += [f"{PROSE}: there is no remedy {name!r}" for name in sentence.remedies if name not in names]
        among = costs.of(sentence.question)
        if among and not any(cost.what == sentence.what for cost in among):
            known = ", ".join(dict.fromkeys(cost.what for cost in among))
            found.append(f"{PROSE}: {sentence.question} measures no {sentence.what!r}; it measures {known}")
    return found


def costs_of(
    costs: Costs,
    sentences: Iterable[RemedyCost],
    remedy: str,
    *,
    stack: str,
    driver: str,
    server: str | None = None,
    transport: str = "tcp",
) -> list[str]:
    """Return what a remedy costs, in sentences with figures, and last what they were measured with; [] without figures.

    A connect is that of the driver by itself. What is the same over every transport was measured over one, and stands
    for all. Without `server` it is the first that there are figures of.
    """
    said, used = [], []
    for sentence in sentences:
        if remedy not in sentence.remedies:
            continue
        among = costs.of(sentence.question, what=sentence.what, driver=driver, server=server)
        here = [cost for cost in among if cost.at.stack == stack] or [
            cost for cost in among if sentence.question in ("connect", "round_trips")
        ]
        if cost := next((cost for cost in here if cost.at.transport == transport), next(iter(here), None)):
            said.append(_fill(sentence.text, cost))
            used.append(cost)
    return [*said, _measured_with(costs, used)] if said else []


def _fill(text: str, cost: Cost) -> str:
    values = {"ratio": _number(cost.ratio.median), "title": cost.title}
    if cost.queries:
        values["queries"] = _number(cost.queries.median)
    elif "{queries}" in text:
        raise MatrixError(f"{PROSE}: {cost.at.id}, {cost.what}: is not measured in queries")
    return text.format(**values)


def _measured_with(costs: Costs, used: Sequence[Cost]) -> str:
    """Return the sentence about versions, for the costs of one driver."""
    run, at = costs.runs[used[-1].run], used[-1].at
    versions = [f"{title(at.server)} {run.versions[at.server]}", run.versions[at.driver]]
    return f"Medians of one run on one machine ({', '.join(versions)}); docs/costs.md says how they were measured."


def connects(costs: Costs) -> Table:
    """Return what a connect costs in look-ups, by driver and transport."""
    found = costs.of("connect")
    columns = {str(name): str(name) for name in TRANSPORTS if any(cost.at.transport == name for cost in found)}
    return _table(found, ["driver", "server"], _driver_server, lambda cost: cost.at.transport, columns, _interval)


def round_trips(costs: Costs) -> Table:
    """Return how many round trips a connect needs, by driver and transport."""
    found = costs.of("round_trips")
    columns = {str(name): str(name) for name in TRANSPORTS if any(cost.at.transport == name for cost in found)}
    return _table(
        found, ["driver", "server"], _driver_server, lambda cost: cost.at.transport, columns, lambda cost: span([cost])
    )


def units_of_work(costs: Costs, stack: str) -> Table:
    """Return how many times as long a unit of work takes, by driver and transport, in one stack."""
    found = costs.of("unit_of_work", stack=stack)

    def row(cost: Cost) -> tuple[str, ...]:
        return (*_driver_server(cost), cost.at.transport)

    return _table(found, ["driver", "server", "transport"], row, _what, _titles(found), _interval)


def forks(costs: Costs) -> Table:
    """Return how many times as long a fork takes with the hook, by stack and driver."""
    found = costs.of("fork")
    return _table(found, ["stack", "driver"], _stack_driver, _what, _titles(found), _interval)


def starts(costs: Costs) -> Table:
    """Return how many times as long each start method takes, by stack and driver, and in look-ups."""
    found = costs.of("start")

    def text(cost: Cost) -> str:
        if cost.queries is None:
            return f"{_interval(cost)} look-ups"
        return f"{_interval(cost)}; {_number(cost.queries.median)} look-ups"

    return _table(found, ["stack", "driver"], _stack_driver, _what, _titles(found), text)


def memory(costs: Costs) -> Table:
    """Return what part of the memory a worker of a preloaded process needs, by stack and driver."""
    found = costs.of("memory")
    titles = {"worked": "after 50 look-ups", "collected": "after a full garbage collection"}
    return _table(found, ["stack", "driver"], _stack_driver, _what, titles, lambda cost: f"{cost.ratio.median:.2f}")


def shown(costs: Costs) -> list[tuple[str, Table]]:
    """Return every table that has figures, with a title."""
    units = [(f"A unit of work, {STACK_TITLES[stack]}", units_of_work(costs, stack)) for stack in STACKS]
    every = [
        ("A connect, in look-ups", connects(costs)),
        ("A connect, in round trips", round_trips(costs)),
        *((f"{name}: how many times as long as on an open connection", table) for name, table in units),
        ("A fork with the at-fork hook: how many times as long as without it", forks(costs)),
        ("Starting a worker: `fork` in look-ups, the others in multiples of `fork`", starts(costs)),
        ("Memory of a worker of a preloaded process: part of that of one that loads by itself", memory(costs)),
    ]
    return [(name, table) for name, table in every if table.rows]


def span(found: Iterable[Cost]) -> str:
    """Return the smallest and the largest median of some costs in words."""
    medians = [cost.ratio.median for cost in found]
    low, high = _number(min(medians)), _number(max(medians))
    return low if low == high else f"{low} to {high}"


def findings(costs: Costs) -> list[tuple[str, str]]:
    """Return what the figures say in short, as the beginning and the end of sentences."""
    every: list[tuple[str, list[Cost], str]] = [
        ("A connect takes as long as", costs.of("connect"), "look-ups by primary key on an open connection."),
        (
            "Over a network, where round trips count, a connect needs",
            costs.of("round_trips"),
            "of them, a look-up one.",
        ),
        (
            "With a health check a unit of work of one look-up takes",
            costs.of("unit_of_work", what="health_check"),
            "times as long.",
        ),
        (
            "With a connection of its own it takes",
            costs.of("unit_of_work", what="connect"),
            "times as long as on an open one.",
        ),
        (
            "With the at-fork hook and one open connection a fork takes",
            costs.of("fork", what="hook_1"),
            "times as long as without the hook.",
        ),
        ("With 100 open connections it takes", costs.of("fork", what="hook_100"), "times as long."),
        ("To start a worker, `spawn` takes", costs.of("start", what="spawn"), "times as long as `fork`."),
        (
            "A `forkserver` that has imported the stack takes",
            costs.of("start", what="forkserver_preloaded"),
            "times as long as `fork`.",
        ),
        (
            "A worker of a preloaded process needs",
            costs.of("memory", what="worked"),
            "of the memory of one that imports the stack itself.",
        ),
    ]
    return [(lead, f"{span(found)} {rest}") for lead, found, rest in every if found]


def noise(costs: Costs) -> str:
    """Say how noisy the machine was, in sentences."""
    busy = max((run.busy for run in costs.runs), default=0.0)
    text = f"Other programs used up to {busy:.0%} of the processor time between the measurements."
    wide = len(costs.wide)
    if wide:
        part = f"{wide} of {len(costs.costs)}"
        text += f" The machine was noisy: in {part} figures the quartiles are further apart than the median is large."
    return text


def machines(costs: Costs) -> list[tuple[str, str]]:
    """Return where each run was measured, and with which versions, as pairs of a term and its value."""
    found: list[tuple[str, str]] = []
    for run in costs.runs:
        found.append(("machine", f"{run.cpu}, {run.cores} cores, {run.system}"))
        found += [(name, value) for name, value in sorted(run.versions.items())]
    return list(dict.fromkeys(found))


def remedies(costs: Costs, sentences: Iterable[RemedyCost]) -> dict[str, list[str]]:
    """Return the questions that have figures about each remedy."""
    there = {cost.at.question for cost in costs.costs}
    found: dict[str, list[str]] = {}
    for sentence in sentences:
        for remedy in sentence.remedies:
            if sentence.question in there and sentence.question not in found.setdefault(remedy, []):
                found[remedy].append(sentence.question)
    return dict(sorted(found.items()))


def text_table(table: Table) -> list[str]:
    """Return a table as lines for a terminal."""
    rows = [[cell.replace("`", "") for cell in row] for row in [table.header, *table.rows]]
    widths = [max(len(row[index]) for row in rows) for index in range(len(table.header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _table(
    found: Iterable[Cost],
    header: list[str],
    row: Callable[[Cost], tuple[str, ...]],
    column: Callable[[Cost], str],
    columns: dict[str, str],
    text: Callable[[Cost], str],
) -> Table:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for cost in found:
        rows.setdefault(row(cost), {})[column(cost)] = text(cost)
    # A column whose cells are all the same to the reader, such as the one server of every driver, stays: it names it.
    lines = [[*key, *(cells.get(name, "") for name in columns)] for key, cells in rows.items()]
    return Table([*header, *columns.values()], lines)


def _driver_server(cost: Cost) -> tuple[str, ...]:
    return cost.at.driver, title(cost.at.server)


def _stack_driver(cost: Cost) -> tuple[str, ...]:
    return STACK_TITLES[cost.at.stack], cost.at.driver


def _what(cost: Cost) -> str:
    return cost.what


def _titles(found: Iterable[Cost]) -> dict[str, str]:
    """Return the columns' titles in the order in which they were measured."""
    return {cost.what: cost.title for cost in sorted(found, key=lambda cost: list(STACKS).index(cost.at.stack))}


def _interval(cost: Cost) -> str:
    ratio = cost.ratio
    return f"{_number(ratio.median)} ({_number(ratio.low)} to {_number(ratio.high)})"


def _number(value: float) -> str:
    """Return a ratio with as many digits as it has meaning; a count as it is."""
    if value >= 2 and value.is_integer():
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 2 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
