"""Draws what happened in one cell as text: a column for each process and one for the server."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from matrix.records.lanes import Drawing, Row

#: Columns narrower than this, or than a word, are not drawn beside each other: who did it stands in front then.
NARROWEST = 18
#: Words longer than this are broken, if they have to be.
WIDEST = 40
#: Characters by which the second line of a label is indented.
INDENT = 2
#: Characters between columns: padding, and the divider that the box has.
GAP = 2
#: Explains what `Row.label` looks like.
LEGEND = "→A: sent on session A; A→: received on session A; lines without an arrow are steps and their results"
_STYLES = {"sent": "yellow", "received": "cyan", "note": "blue", "mark": "dim", "omitted": "dim"}


def table(found: Drawing, *, times: bool, width: int) -> Table:
    """Return a table of at most `width` characters, with times in milliseconds if wanted and known."""
    lanes = [*found.processes, "server"]
    times = times and found.timed
    width -= 9 * times
    lane_width = (width - GAP * (len(lanes) - 1)) // len(lanes)
    words = [len(word) + INDENT for row in found.rows for word in row.label.split()]
    beside = lane_width >= max([NARROWEST, *(length for length in words if length <= WIDEST)])
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
    if times:
        grid.add_column("ms", justify="right", no_wrap=True, style="dim", width=7)
    if not beside:
        grid.add_column("who", no_wrap=True, style="dim", width=10)
        lane_width = width - GAP - 10
    for name in lanes if beside else ["what"]:
        grid.add_column(name, width=lane_width)
    for row in found.rows:
        lane = row.lane if row.lane in lanes else "server"
        text = _text(row, lane_width)
        cells = [text if lane == name else "" for name in lanes] if beside else [row.lane or "?", text]
        grid.add_row(*([f"{row.at:.1f}" if row.at is not None else ""] if times else []), *cells)
    return grid


def plain(found: Drawing, *, width: int, length: int) -> str:
    """Return the table as lines of text without times, of at most `width` characters; at most `length` lines."""
    if not found.rows:
        return ""
    console = Console(width=width, force_terminal=False, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(table(found, times=False, width=width))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines[:length], *([f"... {len(lines) - length} more lines"] if len(lines) > length else [])])


def _text(row: Row, width: int) -> Text:
    text = textwrap.fill(
        row.label, width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False
    )
    if row.kind in ("begin", "end", "step"):
        return Text(text, style="bold red" if row.wrong else "" if row.kind == "begin" else "bold")
    return Text(text, style=_STYLES[row.kind] + (" italic" if row.kind == "sent" and not row.lane else ""))
