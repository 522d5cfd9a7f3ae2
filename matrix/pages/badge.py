"""Draws a driver's badge: how many of the hazards do harm with it, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.pages.render import svg
from matrix.records.outcomes import GOOD, SIGNS

if TYPE_CHECKING:
    from matrix.pages.facts import Facts

LABEL = "fork"
#: Pixels of a character at this size of type, on average, and of the space beside a text.
_CHARACTER, _PADDING = 6.6, 12
#: Dark enough for white letters: red if a row or a write is wrong without an error, amber for other harm.
_COLOURS = {"‼": "#b3261e", "✗": "#8a5300", "✓": "#1b6e3c"}


def draw(facts: Facts, driver: str) -> str:
    """Return the SVG: `fork: 12 of 20 hazards do harm`, or `not run yet`."""
    hazards = {name: facts.of(example=name, driver=driver) for name in facts.names("hazard")}
    ran = {name: cells for name, cells in hazards.items() if cells}
    harmful = {name: cells for name, cells in ran.items() if any(seen.outcome not in GOOD for seen in cells)}
    silent = any(SIGNS[seen.outcome] == "‼" for cells in harmful.values() for seen in cells)
    text = f"{len(harmful)} of {len(ran)} hazards do harm" if ran else "not run yet"
    colour = _COLOURS["‼" if silent else "✗" if harmful else "✓"] if ran else "#555555"
    left, right = (round(len(words) * _CHARACTER + _PADDING) for words in (LABEL, text))
    return svg("badge.svg.j2", label=LABEL, text=text, colour=colour, left=left, right=right)
