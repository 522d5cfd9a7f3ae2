"""Packs what the HTML report shows of each cell into little space: everything that occurs twice is stored once."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from matrix.records.outcomes import OUTCOMES
from matrix.report.table import SIGNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.report.page import Content

#: Characters that are kept of one line of a transcript or one event of a timeline.
WIDTH = 600
_KINDS = ("begin", "end", "message", "socket", "server", "omitted")


class Pool:
    """Values that are the same get the same number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """Return the value's number."""
        key = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def pack(content: Content, *, limit: int) -> str:
    """Return the report's data as base64 of DEFLATE of JSON; script.js has the other half.

    Of a transcript or a timeline that has more than `limit` entries the middle is left out, and a line says so.
    """
    texts, transcripts, timelines, views, sets = Pool(), Pool(), Pool(), Pool(), Pool()
    cells = {}
    for key, seen in sorted(content.observations.items()):
        evidence = content.evidence.get(key)
        cells[key] = {
            "outcome": seen["outcome"],
            "seen": sets.add(seen["seen"]),
            "expected": sets.add(seen["expected"]),
            "reason": seen["reason"],
            "note": texts.add(_clip(content.notes.get(key) or seen.get("note") or "")),
            "odd": key in content.odd,
            "views": [views.add(view) for view in [seen["parent"], *seen["children"]]],
            "server": views.add(seen["server"]),
            "versions": sets.add(seen["versions"]),
            "transcript": transcripts.add([texts.add(line) for line in _lines(seen["transcript"], limit)]),
            "timeline": timelines.add(_timeline(evidence, texts, limit)) if evidence else None,
        }
    for key, why in sorted(content.broken.items()):
        cells.setdefault(key, {"broken": texts.add(_clip(why))})
    data = {
        "outcomes": {name: [SIGNS[name], meaning] for name, meaning in OUTCOMES.items()},
        "examples": content.examples,
        "reasons": content.reasons,
        "texts": texts.values,
        "transcripts": transcripts.values,
        "timelines": timelines.values,
        "views": views.values,
        "sets": sets.values,
        "kinds": _KINDS,
        "cells": cells,
    }
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(plain.encode("utf-8", "replace"))).decode("ascii")


def _timeline(evidence: Mapping[str, Any], texts: Pool, limit: int) -> dict[str, Any]:
    """Return a timeline by columns, which compress better than rows; times are differences, in 0.1 ms."""
    entries = evidence["timeline"]
    if len(entries) > limit:
        head, tail = limit - limit // 2, limit // 2
        left_out = len(entries) - head - tail
        gap = {"at": entries[head]["at"], "kind": "omitted", "text": f"{left_out} events left out of this report"}
        entries = [*entries[:head], gap, *entries[len(entries) - tail :]]
    processes, sessions = list(evidence["processes"]), list(evidence["sessions"])
    who = [None, "server", *processes]
    who += sorted({entry["who"] for entry in entries if entry.get("who")} - set(who))  # threads: parent/reader
    times = [round(float(entry["at"]) * 10) for entry in entries]
    return {
        "processes": processes,
        "sessions": sessions,
        "at": [after - before for before, after in zip([0, *times], times, strict=False)],
        "kind": [
            _KINDS.index(entry["kind"]) if entry["kind"] in _KINDS else _KINDS.index("server") for entry in entries
        ],
        "names": who,
        "who": [_number(who, entry.get("who")) for entry in entries],
        "how": [texts.add(entry.get("how") or "") for entry in entries],
        "session": [_number(sessions, entry.get("session"), missing=-1) for entry in entries],
        "text": [texts.add(_clip(entry["text"])) for entry in entries],
    }


def _number(names: Sequence[str | None], name: str | None, *, missing: int = 0) -> int:
    return names.index(name) if name in names else missing


def _lines(transcript: Sequence[str], limit: int) -> list[str]:
    lines = [_clip(line) for line in transcript]
    if len(lines) <= limit:
        return lines
    head, tail = limit - limit // 2, limit // 2
    return [*lines[:head], f"... {len(lines) - head - tail} lines left out ...", *lines[len(lines) - tail :]]


def _clip(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 40]} ... ({len(text) - WIDTH + 40} more characters)"
