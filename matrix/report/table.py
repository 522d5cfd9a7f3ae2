"""Puts outcomes into words and tables, for a terminal and in Markdown. Reads observations and runs nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from matrix.catalogue import STACK_TITLES, STACKS
from matrix.records.facts import TRANSPORTS
from matrix.records.outcomes import OUTCOMES, SIGNS, by_outcome
from matrix.records.summary import is_race

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from matrix.records.claim import Claim
    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome

#: A style of the terminal for each sign; the signs differ too, for readers who see no colours.
COLOURS = {"‼": "bold red", "✖": "magenta", "✗": "yellow", "~": "cyan", "✓": "green", "-": "dim"}
#: Who has to change something, by what a reason says of it.
FIX_IN = {
    "you": "your application",
    "driver": "the driver",
    "orm": "the ORM",
    "server": "the server",
    "nothing": "nothing to fix",
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")
_AXES = ("driver", "transport", "stack", "server", "example")


def describe(some: Sequence[Observation], among: Sequence[Observation], *, inner: bool = False) -> str:
    """Say which of a set of cells are meant, with as few words as tell them apart: `tls`, `mysqlclient: tls`.

    Empty if they are all of them.
    """
    chosen = {seen.id for seen in some}
    if not some or chosen == {seen.id for seen in among}:
        return ""
    axes = [axis for axis in _AXES if len({getattr(seen.cell, axis) for seen in among}) > 1]
    for axis in axes:
        values = _values(axis, some)
        if chosen == {seen.id for seen in among if getattr(seen.cell, axis) in values}:
            return ", ".join(_word(axis, value) for value in values)
    best: list[str] | None = None
    for axis in axes:
        whole, parts = [], []
        for value in _values(axis, some):
            rest = describe(_at(axis, value, some), _at(axis, value, among), inner=True)
            if not rest:
                whole.append(_word(axis, value))
            else:
                parts.append(f"{_word(axis, value)} ({rest})" if inner else f"{_word(axis, value)}: {rest}")
        parts = [", ".join(whole), *parts] if whole else parts
        if best is None or sum(map(len, parts)) < sum(map(len, best)):
            best = parts
    return "; ".join(best or [])


def _values(axis: str, cells: Iterable[Observation]) -> list[str]:
    return list(dict.fromkeys(getattr(seen.cell, axis) for seen in cells))


def _at(axis: str, value: str, cells: Iterable[Observation]) -> list[Observation]:
    return [seen for seen in cells if getattr(seen.cell, axis) == value]


def _word(axis: str, value: str) -> str:
    return STACK_TITLES[value] if axis == "stack" else value


def results(cells: Sequence[Observation], claims: Mapping[str, Claim]) -> list[tuple[Outcome, bool, str]]:
    """Return what a few cells did: outcome, whether it is a race, and what sets these cells apart from the others.

    The result of most cells comes first, without what sets it apart.
    """
    groups: dict[tuple[Outcome, bool], list[Observation]] = {}
    for outcome, some in by_outcome(cells).items():
        for seen in some:
            groups.setdefault((outcome, is_race(seen, claims.get(seen.id))), []).append(seen)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [(*key, describe(some, cells) if number else "") for number, (key, some) in enumerate(ordered)]


def phrase(cells: Sequence[Observation], claims: Mapping[str, Claim]) -> Text:
    """Return what a few cells did in words, `✗ parent error` or `✓ works (tls: ✖ hang*)`, in the outcomes' colours.

    Each outcome has its own sign; a race has a trailing `*`.
    """
    words = [
        (Text(f"{SIGNS[outcome]} {outcome}{'*' * race}", style=COLOURS[SIGNS[outcome]]), where)
        for outcome, race, where in results(cells, claims)
    ]
    whole = Text().append_text(words[0][0]) if words else Text()
    for number, (word, where) in enumerate(words[1:]):
        whole.append("; " if number else " (").append(f"{where}: ").append_text(word)
    return whole.append(")") if len(words) > 1 else whole


def marked(outcome: Outcome, *, race: bool = False) -> str:
    """Return an outcome with its sign for Markdown, with a star if it is a race."""
    return f"{SIGNS[outcome]} {outcome}" + "\\*" * race


def cell(cells: Sequence[Observation], claims: Mapping[str, Claim]) -> str:
    """Return what a few cells did as a cell of a Markdown table."""
    return "<br>".join(
        marked(outcome, race=race) + (f" *({where})*" if where else "")
        for outcome, race, where in results(cells, claims)
    )


class Grid:
    """Observations by example, stack and driver, in the order in which tables show them."""

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._cells: dict[tuple[str, str, str], list[Observation]] = {}
        for seen in observations:
            self._cells.setdefault((seen.cell.example, seen.cell.stack, seen.cell.driver), []).append(seen)
        for cells in self._cells.values():
            cells.sort(key=lambda seen: (seen.cell.server, TRANSPORTS.index(seen.cell.transport)))
        self.examples = sorted({example for example, _, _ in self._cells})
        self.drivers = sorted({driver for _, _, driver in self._cells})

    def stacks(self, example: str) -> list[str]:
        """Return the stacks in which an example was observed."""
        return [stack for stack in STACKS if any((example, stack, driver) in self._cells for driver in self.drivers)]

    def at(self, example: str, stack: str, driver: str) -> list[Observation]:
        """Return what was observed of an example in a stack with a driver, one observation a server and transport."""
        return self._cells.get((example, stack, driver), [])

    def of(self, example: str, driver: str) -> list[Observation]:
        """Return what was observed of an example with a driver, in every stack."""
        return [seen for stack in STACKS for seen in self.at(example, stack, driver)]


def terminal(
    observations: Mapping[str, Observation],
    claims: Mapping[str, Claim],
    *,
    colour: bool,
    width: int | None = None,
) -> str:
    """Return the table and its legend as lines of text, in colour if wished; `width` in columns, if limited.

    Stacks in which every driver did the same share a row. If the table is wider than `width`, each example is a list.
    """
    grid = Grid(observations.values())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("example", "stack", *grid.drivers):
        table.add_column(name, no_wrap=True)
    for example in grid.examples:
        rows: dict[tuple[str, ...], tuple[list[Text], list[str]]] = {}
        for stack in grid.stacks(example):
            texts = [phrase(grid.at(example, stack, driver), claims) for driver in grid.drivers]
            rows.setdefault(tuple(text.plain for text in texts), (texts, []))[1].append(stack)
        for number, (texts, alike) in enumerate(rows.values()):
            everywhere = len(alike) == len(grid.stacks(example)) > 1
            words = [example if number == 0 else "", "all" if everywhere else ", ".join(alike)]
            table.add_row(*words, *texts)
    console = Console(width=width or 1000, force_terminal=colour, color_system="standard" if colour else None)
    wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    outcomes = {seen.outcome for seen in observations.values()}
    legend = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    legend.add_column(no_wrap=True)
    for name, meaning in OUTCOMES.items():
        if name in outcomes:
            legend.add_row(f"{SIGNS[name]} {name}", meaning)
    race = "* a race: other outcomes are possible too; (tls: ...) a transport that differs from the others"
    with console.capture() as capture:
        console.print(_listed(grid, claims) if width and wide > width else table)
        console.print()
        console.print(legend)
        console.print(Text(race))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _listed(grid: Grid, claims: Mapping[str, Claim]) -> Group:
    """Return for each example what was observed, and with which drivers in which stacks, as text that wraps."""
    lines: list[RenderableType] = []
    for example in grid.examples:
        lines.append(Text(example, style="bold"))
        alike: dict[str, tuple[Text, dict[str, list[str]]]] = {}
        for stack in grid.stacks(example):
            for driver in grid.drivers:
                if cells := grid.at(example, stack, driver):
                    text = phrase(cells, claims)
                    alike.setdefault(text.plain, (text, {}))[1].setdefault(driver, []).append(stack)
        for text, where in alike.values():
            by_stacks: dict[tuple[str, ...], list[str]] = {}
            for driver, stacks in where.items():
                by_stacks.setdefault(tuple(stacks), []).append(driver)
            places = (
                ", ".join(names) + ("" if len(stacks) == len(grid.stacks(example)) else f" ({', '.join(stacks)})")
                for stacks, names in by_stacks.items()
            )
            lines.append(Padding(text + Text(f": {'; '.join(places)}"), (0, 0, 0, 2)))
    return Group(*lines)


def markdown_grid(
    grid: Grid,
    claims: Mapping[str, Claim],
    names: Iterable[str],
    drivers: Iterable[str],
    *,
    link: Callable[[str], str] | None = None,
    missing: Callable[[str, str], str] = lambda _, __: "",
) -> str:
    """Return a table of examples by drivers: one line for all stacks and transports that did the same.

    `link` returns the address of an example's or a driver's page; `missing` says what stands where nothing was
    observed.
    """
    drivers = list(drivers)
    head = ["", *(f"[{name}]({link(name)})" if link else plain(name) for name in drivers)]
    rows = [
        [
            f"[`{name}`]({link(name)})" if link else code(name),
            *(cell(grid.of(name, driver), claims) or missing(name, driver) for driver in drivers),
        ]
        for name in names
    ]
    return markdown_table(head, rows)


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line, in a table too."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return a text as code on one line, in a table too."""
    text = " ".join(text.split())
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}".replace("|", "\\|")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
