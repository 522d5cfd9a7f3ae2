"""Packs what the HTML report shows of each cell into little space: everything that occurs twice is stored once."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

import msgspec

from matrix.records.lanes import Drawing, Row, drawing
from matrix.records.outcomes import OUTCOMES, SIGNS
from matrix.report.table import FIX_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.records.claim import Reason
    from matrix.records.observation import Observation
    from matrix.records.summary import Summary

#: Characters that are kept of one line of a transcript or one row of a drawing.
WIDTH = 600
#: What a row has, and what it has unless it says otherwise. `until` is not drawn.
_FIELDS = {field.name: field.default for field in msgspec.structs.fields(Row) if field.name != "until"}


class Card(msgspec.Struct, frozen=True):
    """What the report shows of an example: what it does and its code, from `line` of the file at `path`.

    `yours` are the names that the code leaves to the reader's program. `by_driver` is the code for each driver, if it
    differs from driver to driver.
    """

    title: str
    body: str
    kind: str
    counterparts: dict[str, tuple[str, ...]]
    path: str
    code: str
    yours: tuple[str, ...]
    line: int
    by_driver: dict[str, str]


class Pool:
    """Values that are the same get the same number."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._numbers: dict[bytes, int] = {}

    def add(self, value: object) -> int:
        """Return the value's number."""
        key = msgspec.json.encode(value)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def pack(summary: Summary, reasons: Mapping[str, Reason], examples: Mapping[str, Card], *, limit: int) -> str:
    """Return the report's data as base64 of DEFLATE of JSON; script.js has the other half.

    Of a transcript or a drawing that has more than `limit` lines the middle is left out, and a line says so.
    """
    texts, pool = Pool(), Pool()
    deviations = set(summary.deviations)
    cells: dict[str, object] = {}
    for key, seen in sorted(summary.observations.items()):
        claim = summary.claims.get(key)
        evidence = summary.evidence.get(key)
        cells[key] = {
            "outcome": seen.outcome,
            "seen": pool.add(seen.seen),
            "claimed": pool.add(claim.outcomes if claim else ()),
            "reason": claim.reason if claim else None,
            "note": texts.add(_clip((claim.note if claim else "") or seen.note or "")),
            "odd": key in deviations,
            "views": [pool.add(msgspec.structs.asdict(view)) for view in (seen.parent, *seen.children)],
            "server": pool.add(msgspec.structs.asdict(seen.server)),
            "versions": pool.add(seen.versions),
            "transcript": pool.add(_transcript(seen, texts, limit)),
            "drawing": pool.add(_drawing(drawing(seen, evidence, limit=limit), texts)),
        }
    for key, why in sorted(summary.broken.items()):
        cells.setdefault(key, {"broken": texts.add(_clip(why))})
    data = {
        "outcomes": {name: (SIGNS[name], meaning) for name, meaning in OUTCOMES.items()},
        "fix_in": FIX_IN,
        "examples": examples,
        "reasons": {key: msgspec.structs.asdict(reason) for key, reason in reasons.items()},
        "texts": texts.values,
        "pool": pool.values,
        "cells": cells,
    }
    return base64.b64encode(zlib.compress(msgspec.json.encode(data))).decode("ascii")


def _drawing(found: Drawing, texts: Pool) -> dict[str, object]:
    """Return a drawing by columns, which compress better than rows; times are differences, in 0.1 ms."""
    rows: dict[str, list[object]] = {}
    for name, default in _FIELDS.items():
        values = [getattr(row, name) for row in found.rows]
        if name == "at":
            times = [round(at * 10) if at is not None else 0 for at in values]
            values = [after - before for before, after in zip([0, *times], times, strict=False)]
        elif isinstance(next((value for value in values if value is not None), None), str):
            values = [None if value is None else texts.add(_clip(value)) for value in values]
        if any(value != default for value in values):
            rows[name] = values
    return {"processes": found.processes, "sessions": found.sessions, "timed": found.timed, "rows": rows}


def _transcript(seen: Observation, texts: Pool, limit: int) -> list[tuple[int, str]]:
    """Return a transcript's lines, each with how it is shown: `begin`, `end`, or `wrong`."""
    marks = ["begin" if step.result is None else "wrong" if step.went_wrong else "end" for step in seen.steps]
    if seen.omitted:
        marks.insert(seen.omitted_after + 1, "begin")
    lines = [(texts.add(_clip(line)), mark) for line, mark in zip(seen.transcript, marks, strict=True)]
    if len(lines) <= limit:
        return lines
    head, tail = limit - limit // 2, limit // 2
    gap = texts.add(f"... {len(lines) - head - tail} lines left out ...")
    return [*lines[:head], (gap, "begin"), *lines[len(lines) - tail :]]


def _clip(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 40]} ... ({len(text) - WIDTH + 40} more characters)"
