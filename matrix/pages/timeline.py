"""Draws what happened in one cell, a column for each process and one for the server."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from matrix.records.steps import HOLDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Characters that a drawing is wide at most, and lines that it is long at most.
WIDTH, LENGTH = 100, 70
_WHO = re.compile(r"(parent|child \d+)(?:/(\S+))? +(.*)")


def draw(observation: dict[str, Any], evidence: Mapping[str, Any] | None) -> str:
    """Return the drawing as lines of text of at most WIDTH characters."""
    rows = _from_evidence(evidence) if evidence and evidence.get("timeline") else _from_transcript(observation)
    columns = list(dict.fromkeys(who for who, _ in rows if who))
    columns.sort(key=lambda who: (who == "server", who != "parent", [int(n) for n in re.findall(r"\d+", who)]))
    if not columns:
        return ""
    width = max(18, (WIDTH - 2 * (len(columns) - 1)) // len(columns))
    if width * len(columns) + 2 * (len(columns) - 1) > WIDTH:
        return "\n".join(f"{who:<8}  {text}"[:WIDTH] for who, text in rows[:LENGTH])
    lines = ["  ".join(who.ljust(width) for who in columns).rstrip(), "  ".join(["-" * width] * len(columns))]
    for who, text in rows:
        lines += [
            "  ".join((part if who == name else "").ljust(width) for name in columns).rstrip()
            for part in textwrap.wrap(text, width, subsequent_indent="  ")
        ]
    if len(lines) > LENGTH:
        lines = [*lines[:LENGTH], f"... {len(lines) - LENGTH} more lines"]
    return "\n".join(lines)


def _from_transcript(observation: dict[str, Any]) -> list[tuple[str, str]]:
    """Return who did what, a row for each step that ended, and for one that began and was overtaken by others."""
    parsed = []
    for line in observation["transcript"]:
        match = _WHO.fullmatch(line)
        parsed.append((match[1], match[3]) if match else ("", line))
    rows: list[tuple[str, str]] = []
    for index, (who, text) in enumerate(parsed):
        following = parsed[index + 1] if index + 1 < len(parsed) else ("", "")
        if not (following[0] == who and following[1].startswith(f"{text}: ")):
            rows.append((who, text))
    return rows


def _from_evidence(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return who did what: `→A` was sent on session A, `A→` came on it; a message whose sender cannot be told says so.

    What an example does on a connection of its own to hold answers back is told by its steps alone.
    Times are left out: they differ from run to run, and the order is what matters.
    """
    rows: list[tuple[str, str]] = []
    aside = _aside(evidence["timeline"])
    for entry in evidence["timeline"]:
        if entry["kind"] in ("message", "socket") and entry.get("session") in aside:
            continue
        who, text, session = (entry["who"] or "").partition("/")[0], entry["text"], entry.get("session") or "?"
        if entry["kind"] == "begin":
            rows.append((who, text))
        elif entry["kind"] == "end" and (who, text.partition(":")[0]) == (rows or [("", "")])[-1]:
            rows[-1] = (who, text)
        elif entry["kind"] == "end":
            rows.append((who, text))
        elif not who and entry.get("how"):
            rows.append(("server", f"→{session} {text} [{entry['how']}]"))
        elif who in ("", "server"):
            rows.append(("server", f"{session}→ {text}" if who and entry["kind"] == "message" else text))
        else:
            rows.append((who, f"→{session} {text}"))
    return rows


def _aside(timeline: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the sessions that serve to hold answers back, and nothing else."""
    steps: dict[str, str] = {}
    used: dict[str, set[bool]] = {}
    for entry in timeline:
        who, session = entry["who"] or "", entry.get("session")
        if entry["kind"] == "begin":
            steps[who] = entry["text"]
        elif entry["kind"] == "end":
            steps.pop(who, None)
        elif entry["kind"] == "message" and session and who in steps:
            used.setdefault(session, set()).add(steps[who] in HOLDING)
    return {session for session, held in used.items() if held == {True}}
