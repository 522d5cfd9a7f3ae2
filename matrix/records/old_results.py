"""What was observed: the schema of `matrix/results/<driver>.json`, reading it, and writing it whole or not at all."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import jsonschema

from matrix.catalogue import ROOT, STACKS, TRANSPORTS
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records.outcomes import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

#: Raised by one whenever a reader of older files would misunderstand newer ones, or the other way round.
FORMAT = 1
EVIDENCE_FORMAT = 1
RESULTS = ROOT / "matrix" / "results"

_COUNT = {"type": "integer", "minimum": 0}
_STRINGS = {"type": "array", "items": {"type": "string"}}
_OUTCOME = {"enum": list(OUTCOMES)}
_VIEW = {
    "right": {**_COUNT, "description": "look-ups answered with the order that was asked for"},
    "wrong": {
        **_COUNT,
        "description": "look-ups answered with another order, or with none, and no exception",
    },
    "errors": {
        **_STRINGS,
        "description": "class and code of each kind of exception, e.g. pymysql.err.OperationalError 2013",
    },
    "unanswered": {**_STRINGS, "description": "steps that had begun and never ended"},
}
_OBSERVATION: dict[str, Any] = {
    "type": "object",
    "description": "outcome and seen count every run of the cell; parent, children, server and transcript tell of one:"
    " the worst that is not as claimed, else the worst",
    "required": [
        "id",
        "stack",
        "example",
        "driver",
        "server",
        "transport",
        "outcome",
        "seen",
        "parent",
        "children",
        "transcript",
        "versions",
        "expected",
        "reason",
    ],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "pattern": r"^[\w-]+/[\w-]+/[\w-]+/[\w-]+/[\w-]+$",
            "description": "the five below, joined",
        },
        "stack": {"enum": list(STACKS)},
        "example": {"type": "string"},
        "driver": {"type": "string"},
        "server": {
            "type": "object",
            "required": [
                "family",
                "sessions_before",
                "sessions_after",
                "sessions_used",
                "committed",
                "lost",
                "unwanted",
            ],
            "additionalProperties": False,
            "properties": {
                "family": {"type": "string"},
                "sessions_before": {
                    **_COUNT,
                    "description": "sessions in the cell's database before the program started",
                },
                "sessions_after": {
                    **_COUNT,
                    "description": "sessions still there after every process had left",
                },
                "sessions_used": {
                    **_STRINGS,
                    "description": "the sessions that answered, as letters, in order of appearance",
                },
                "committed": {
                    "type": ["array", "null"],
                    "items": {"type": "integer"},
                    "description": "orders written by the program that are on the server; null where it wrote none",
                },
                "lost": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "description": "confirmed, and not there",
                },
                "unwanted": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "description": "rolled back, and there",
                },
            },
        },
        "transport": {"enum": list(TRANSPORTS)},
        "outcome": {**_OUTCOME, "description": "the worst that was seen in any run"},
        "seen": {
            "type": "object",
            "propertyNames": _OUTCOME,
            "additionalProperties": {"type": "integer", "minimum": 1},
            "description": "in how many runs each outcome was the worst",
        },
        "parent": {
            "type": "object",
            "required": [*_VIEW, "session"],
            "additionalProperties": False,
            "properties": {
                **_VIEW,
                "session": {
                    "enum": ["same", "new", "shared", "lost", "none"],
                    "description": "the parent's server session after the children: the one from before, another, one"
                    " that a child used too, none any more, or there never was one before",
                },
                "signal": {"type": "string", "description": "the signal that the parent died by"},
            },
        },
        "children": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", *_VIEW, "session"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    **_VIEW,
                    "session": {
                        "enum": ["own", "shared", "none"],
                        "description": "whose session it got its answers on",
                    },
                },
            },
        },
        "transcript": {
            **_STRINGS,
            "description": "lines of the run that is told, without times and pids, sessions named by letters;"
            " a long one is shortened where nothing but right answers stood, and says so",
        },
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "expected": {
            "type": "array",
            "items": _OUTCOME,
            "description": "every outcome that is claimed to be possible",
        },
        "reason": {
            "type": ["string", "null"],
            "description": "an id in matrix/reasons.toml; null where nothing is claimed yet",
        },
        "note": {"type": "string", "description": "why a cell is not applicable"},
    },
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What was observed of one driver",
    "type": "object",
    "required": ["format", "driver", "observations"],
    "additionalProperties": False,
    "properties": {
        "format": {"const": FORMAT},
        "driver": {"type": "string"},
        "observations": {"type": "array", "items": _OBSERVATION},
    },
}
_validator = jsonschema.Draft202012Validator(SCHEMA)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return a results file's observations by cell id, none where there is no file.

    Raises MatrixError where the file is not what SCHEMA describes, for instance because another version wrote it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MatrixError(f"{_show(path)}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise MatrixError(f"{_show(path)}: not JSON: {error}; delete it and run again") from None
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise MatrixError(
            f"{_show(path)}: format {found!r}, this version reads {FORMAT}; delete it and run again, or give --output"
        )
    if (problem := next(_validator.iter_errors(data), None)) is not None:
        place = "/".join(str(part) for part in problem.absolute_path)
        raise MatrixError(f"{_show(path)}: {place}: {problem.message[:300]}; delete it and run again")
    return {observation["id"]: observation for observation in data["observations"]}


def write(path: Path, driver: str, observations: Iterable[Mapping[str, Any]]) -> None:
    """Write a driver's observations in one step, in a stable order; raise MatrixError where they do not fit SCHEMA."""
    data = {
        "format": FORMAT,
        "driver": driver,
        "observations": sorted(observations, key=lambda observation: observation["id"]),
    }
    if (problem := next(_validator.iter_errors(data), None)) is not None:
        place = "/".join(str(part) for part in problem.absolute_path)
        raise MatrixError(f"{_show(path)}: not written, {place}: {problem.message[:300]}")
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_evidence(
    folder: Path, evidence: Mapping[str, dict[str, Any]], *, changed: Iterable[str], current: Collection[str]
) -> None:
    """Write the timelines of the cells in `changed` into `<folder>/<stack>/<example>.json`, and keep the others.

    Where that file is missing, all that there is for it is written. What is there of cells that are not in `current`
    any more is dropped. Raises MatrixError where it cannot be written.
    """
    by_file: dict[Path, dict[str, dict[str, Any]]] = {}
    wanted = set(changed)
    for key, told in evidence.items():
        path = _evidence_path(folder, key)
        if key in wanted or not path.exists():
            by_file.setdefault(path, {})[key] = told
    for path, cells in by_file.items():
        kept = {key: value for key, value in _read_evidence_file(path).items() if key in current}
        data = {"format": EVIDENCE_FORMAT, "cells": dict(sorted((kept | cells).items()))}
        write_text(path, json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("},{", "},\n{") + "\n")


def read_evidence(folder: Path, key: str) -> dict[str, Any] | None:
    """Return a cell's timeline from a folder of results, None where there is none (see `matrix.wire.evidence`)."""
    return _read_evidence_file(_evidence_path(folder / key.split("/")[2], key)).get(key)


def _evidence_path(folder: Path, key: str) -> Path:
    stack, example = key.split("/")[:2]
    return folder / stack / f"{example}.json"


def _read_evidence_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MatrixError(f"{_show(path)}: cannot be read: {error}; delete it and run again") from None
    if not isinstance(data, dict) or data.get("format") != EVIDENCE_FORMAT:
        raise MatrixError(f"{_show(path)}: not a timeline that this version reads; delete it and run again")
    cells: dict[str, dict[str, Any]] = data["cells"]
    return cells


def check_writable(folder: Path) -> None:
    """Raise MatrixError where results could not be written into a folder, before any work is done for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MatrixError(
            f"{_show(folder)}: results cannot be written there: {error.strerror}; use --output DIR"
        ) from None
    if not os.access(folder, os.W_OK):
        raise MatrixError(f"{_show(folder)}: results cannot be written there: no permission; use --output DIR")


def keep_if_same(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier observation where a new one says nothing else: a run changes files only where facts changed.

    What may differ unnoticed is the order of lines of different processes, and how often each outcome was seen.
    """

    def facts(observation: dict[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in observation.items() if name not in ("seen", "transcript")}
        return told | {"seen": sorted(observation["seen"]), "transcript": sorted(observation["transcript"])}

    return old if old is not None and facts(old) == facts(new) else new


def shorten(transcript: list[str], limit: int = 80) -> list[str]:
    """Return a transcript without what lies between its beginning, its end and the lines that matter, if it is long."""
    if len(transcript) <= limit:
        return transcript
    matters = set(range(limit // 4)) | set(range(len(transcript) - limit // 4, len(transcript)))
    remarkable = [index for index, line in enumerate(transcript) if _REMARKABLE.search(line) or _is_wrong(line)]
    for index in remarkable[: limit // 4]:
        matters |= set(range(max(0, index - 1), min(len(transcript), index + 1)))
    shortened, skipped = [], 0
    for index, line in enumerate(transcript):
        if index in matters:
            if skipped:
                shortened.append(f"... {skipped} lines left out ...")
                skipped = 0
            shortened.append(line)
        else:
            skipped += 1
    return shortened


_REMARKABLE = re.compile(r": (raised|nothing|row|signal) ?")
_ASKED = re.compile(r"(?:look up|read) (\d+): order (\d+)")


def _is_wrong(line: str) -> bool:
    match = _ASKED.search(line)
    return match is not None and match[1] != match[2]


def _show(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
