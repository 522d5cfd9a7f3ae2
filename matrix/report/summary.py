"""Writes a run as a summary in GitHub's Markdown, for the page of a CI job."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from matrix.records.outcomes import SIGNS
from matrix.report import table
from matrix.report.table import code, plain

if TYPE_CHECKING:
    from matrix.records.summary import Summary

#: Bytes that GitHub shows of a step's summary are 1 MiB; deviations beyond this are only counted.
LIMIT = 900_000


def markdown(summary: Summary) -> str:
    """Return totals, the table, and what is not as it should be, with the transcripts folded."""
    deviations = summary.deviations
    parts = ["## What happens when a forked process meets a database connection", _totals(summary, len(deviations))]
    parts += [f"**Not applicable:** {plain(why)}" for _, why in sorted(summary.unavailable.items())]
    if summary.observations:
        grid = table.Grid(summary.observations.values())
        seen = {observation.outcome for observation in summary.observations.values()}
        signs: dict[str, list[str]] = {}
        for name in (name for name in SIGNS if name in seen):
            signs.setdefault(plain(SIGNS[name]), []).append(name)
        legend = ", ".join(f"{sign} {' or '.join(names)}" for sign, names in signs.items())
        parts += [table.markdown_grid(grid, summary.claims, grid.examples, grid.drivers), f"{legend}; \\* a race"]
    if summary.broken:
        parts.append(f"### {len(summary.broken)} not judged")
        parts.append("\n".join(f"* {code(key)}: {plain(why)}" for key, why in sorted(summary.broken.items())))
    if deviations:
        parts.append(f"### {len(deviations)} not as expected")
    size = len("\n\n".join(parts).encode())
    for number, key in enumerate(deviations):
        part = _deviation(summary, key)
        size += len(part.encode()) + 2
        if size > LIMIT:
            parts.append(f"and {len(deviations) - number} more, which are in the report")
            break
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _totals(summary: Summary, deviations: int) -> str:
    counts = {
        "as expected": summary.as_claimed,
        "not as expected": deviations,
        "not judged": len(summary.broken),
        "not applicable": summary.not_applicable,
    }
    text = ", ".join(f"**{count}** {name}" for name, count in counts.items() if count or name == "as expected")
    runs = f", {summary.runs} runs in {summary.seconds:.0f} s" if summary.runs else ""
    servers = "; ".join(map(plain, summary.servers))
    cells = len(summary.observations) + len(summary.broken)
    return f"{cells} cells: {text}{runs}." + (f" {servers}." if servers else "")


def _deviation(summary: Summary, key: str) -> str:
    lines = [" ".join(line.splitlines()) for line in summary.observations[key].transcript]
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
    title = f"<code>{html.escape(key)}</code>: {html.escape(summary.explain(key))}"
    body = "\n".join(lines)
    return f"<details><summary>{title}</summary>\n\n{fence}text\n{body}\n{fence}\n\n</details>"
