"""Draws the matrix as a table: for a terminal, and for a page. Reads observations and runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.catalogue import STACKS, TRANSPORTS
from matrix.records.outcomes import OUTCOMES, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: A sign for each outcome, so that no table needs its colours to be read.
SIGNS = {
    "wrong row": "‼",
    "lost write": "‼",
    "unwanted write": "‼",
    "crash": "✖",
    "hang": "✖",
    "parent error": "✗",
    "child error": "✗",
    "leak": "~",
    "shared session": "~",
    "new session": "~",
    "works": "✓",
    "not applicable": "-",
}
#: A style of the terminal for each sign; the signs differ too, for those who see no colours.
COLOURS = {"‼": "bold red", "✖": "magenta", "✗": "yellow", "~": "cyan", "✓": "green", "-": "dim"}


def phrase(observations: Iterable[dict[str, Any]]) -> str:
    """Return what a few cells that differ in transport or server did, `parent error` or `works (tls: hang)`.

    A trailing `*` says that other outcomes were seen too, or are claimed to be possible: a race.
    """
    groups: dict[str, list[str]] = {}
    for observation in observations:
        race = len(set(observation["seen"]) | set(observation["expected"])) > 1 and len(observation["expected"]) != 1
        word = observation["outcome"] + ("*" if race else "")
        groups.setdefault(word, []).append(observation["transport"])
    if not groups:
        return ""
    main = max(groups, key=lambda word: (len(groups[word]), -list(OUTCOMES).index(word.rstrip("*"))))
    rest = [f"{', '.join(groups[word])}: {word}" for word in groups if word != main]
    return main + (f" ({'; '.join(rest)})" if rest else "")


def sign(observations: Iterable[dict[str, Any]]) -> str:
    """Return the sign of the worst outcome of a few cells, nothing where there are none."""
    outcomes = [observation["outcome"] for observation in observations]
    return SIGNS[worst(outcomes)] if outcomes else " "


class Grid:
    """Observations by example, stack and driver, in the order in which tables show them."""

    def __init__(self, observations: Iterable[dict[str, Any]]) -> None:
        self._cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for observation in observations:
            key = (observation["example"], observation["stack"], observation["driver"])
            self._cells.setdefault(key, []).append(observation)
        for cells in self._cells.values():
            cells.sort(key=lambda cell: (cell["server"]["family"], TRANSPORTS.index(cell["transport"])))
        self.examples = sorted({example for example, _, _ in self._cells})
        self.drivers = sorted({driver for _, _, driver in self._cells})

    def stacks(self, example: str) -> list[str]:
        """Return the stacks in which an example was observed."""
        return [stack for stack in STACKS if any((example, stack, driver) in self._cells for driver in self.drivers)]

    def at(self, example: str, stack: str, driver: str) -> list[dict[str, Any]]:
        """Return what was observed of an example in a stack with a driver, one observation a server and transport."""
        return self._cells.get((example, stack, driver), [])

    def rows(self, example: str) -> list[tuple[list[str], list[list[dict[str, Any]]]]]:
        """Return an example's rows: the stacks that a row speaks for, and the observations in each driver's column.

        Stacks that did the same with every driver share a row.
        """
        rows: list[tuple[list[str], list[list[dict[str, Any]]]]] = []
        for stack in self.stacks(example):
            columns = [self.at(example, stack, driver) for driver in self.drivers]
            same = next((row for row in rows if list(map(phrase, row[1])) == list(map(phrase, columns))), None)
            if same:
                same[0].append(stack)
            else:
                rows.append(([stack], columns))
        return rows


def terminal(observations: Iterable[dict[str, Any]], *, colour: bool, width: int | None = None) -> str:
    """Return the table and its legend as lines of text, coloured where wished; `width` in columns, if limited."""
    grid = Grid(observations)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("example", "stack", *grid.drivers):
        table.add_column(name, no_wrap=width is None, overflow="fold")
    seen = set()
    for example in grid.examples:
        for number, (stacks, columns) in enumerate(grid.rows(example)):
            everywhere = len(stacks) == len(grid.stacks(example)) > 1
            table.add_row(
                example if number == 0 else "",
                "all" if everywhere else ", ".join(stacks),
                *(
                    Text(f"{sign(cells)} {phrase(cells)}".strip(), style=COLOURS.get(sign(cells), ""))
                    for cells in columns
                ),
            )
            seen |= {cell["outcome"] for cells in columns for cell in cells}
    console = Console(width=width or 1000, force_terminal=colour, color_system="standard" if colour else None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join([*(line.rstrip() for line in capture.get().splitlines()), "", *legend(seen)])


def legend(seen: Iterable[str]) -> list[str]:
    """Return a line for each outcome that is to be explained, from the worst down."""
    lines = [f"{SIGNS[name]} {name:<15} {meaning}" for name, meaning in OUTCOMES.items() if name in set(seen)]
    return [
        *lines,
        "* a race: other outcomes are possible too; (tls: ...) a transport that differs from the others",
    ]


def markdown(observations: Iterable[dict[str, Any]], links: Mapping[str, str], titles: Sequence[str]) -> str:
    """Return the table for a page: a row an example, a column a driver, stacks side by side where they differ.

    `links` gives the page of an example or a driver; `titles` names the examples to show, in order.
    """
    grid = Grid(observations)
    linked = [f"[{name}]({links[name]})" if name in links else name for name in grid.drivers]
    lines = ["| |" + "|".join(f" {name} " for name in linked) + "|", "|---|" + "---|" * len(grid.drivers)]
    for example in titles:
        if example not in grid.examples:
            continue
        cells = []
        for driver in grid.drivers:
            parts: dict[str, list[str]] = {}
            for stack in grid.stacks(example):
                found = grid.at(example, stack, driver)
                if found:
                    parts.setdefault(f"{sign(found)} {phrase(found)}", []).append(stack)
            if len(parts) == 1:
                cells.append(next(iter(parts)))
            else:
                cells.append("<br>".join(f"{text} *({', '.join(stacks)})*" for text, stacks in parts.items()))
        name = f"[`{example}`]({links[example]})" if example in links else f"`{example}`"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
