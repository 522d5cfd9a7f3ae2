"""Writes a run as a summary in GitHub's Markdown, for the page of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.report import table

if TYPE_CHECKING:
    from typing import Any

    from matrix.run.runner import Report

#: Bytes that GitHub shows of a step's summary are 1 MiB; deviations beyond this are only counted.
LIMIT = 900_000
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def markdown(report: Report) -> str:
    """Return totals, the table, and what is not as it should be, with the transcripts folded."""
    parts = ["## What happens when a forked process meets a database connection", _totals(report)]
    parts += [f"**Not applicable:** {_plain(why)}" for _, why in sorted(report.unavailable.items())]
    if report.observations:
        grid = table.Grid(report.observations.values())
        signs = ", ".join(f"{sign} {' or '.join(names)}" for sign, names in _signs(report).items())
        parts += [table.markdown(report.observations.values(), {}, grid.examples), f"{signs}; \\* a race"]
    if report.broken:
        parts.append(f"### {len(report.broken)} not judged")
        parts.append("\n".join(f"* `{key}`: {_plain(why)}" for key, why in sorted(report.broken.items())))
    if report.deviations:
        parts.append(f"### {len(report.deviations)} not as claimed")
    size = len("\n\n".join(parts).encode())
    for number, key in enumerate(sorted(report.deviations)):
        part = _deviation(key, report.observations[key])
        size += len(part.encode()) + 2
        if size > LIMIT:
            parts.append(f"and {len(report.deviations) - number} more, which are in the report")
            break
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _totals(report: Report) -> str:
    applicable = sum(seen["outcome"] != "not applicable" for seen in report.observations.values())
    counts = {
        "as claimed": applicable - len(report.deviations),
        "not as claimed": len(report.deviations),
        "not judged": len(report.broken),
        "not applicable": len(report.observations) - applicable,
    }
    text = ", ".join(f"**{count}** {name}" for name, count in counts.items() if count or name == "as claimed")
    runs = f", {report.runs} runs in {report.seconds:.0f} s" if report.runs else ""
    servers = "; ".join(map(_plain, report.servers))
    return f"{len(report.observations) + len(report.broken)} cells: {text}{runs}." + (f" {servers}." if servers else "")


def _signs(report: Report) -> dict[str, list[str]]:
    seen = {observation["outcome"] for observation in report.observations.values()}
    signs: dict[str, list[str]] = {}
    for name, sign in table.SIGNS.items():
        if name in seen:
            signs.setdefault(_plain(sign), []).append(name)
    return signs


def _deviation(key: str, seen: dict[str, Any]) -> str:
    counts = ", ".join(f"{name} {count}x" for name, count in seen["seen"].items())
    claimed = f"claimed {' or '.join(seen['expected'])}" if seen["expected"] else "nothing is claimed yet"
    fence = "`" * max(
        3, 1 + max((len(run) for line in seen["transcript"] for run in re.findall("`+", line)), default=0)
    )
    lines = "\n".join(" ".join(line.splitlines()) for line in seen["transcript"])
    title = f"<code>{key}</code>: {counts}; {claimed}"
    return f"<details><summary>{title}</summary>\n\n{fence}text\n{lines}\n{fence}\n\n</details>"


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
