"""Reads what people write for the pages: `docs/prose/*.toml`, each with a schema, and `docs/prose/*.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.catalogue.schema import read_toml
from matrix.errors import MatrixError
from matrix.records.outcomes import OUTCOMES

if TYPE_CHECKING:
    from pathlib import Path

#: Where the prose stands, from the repository's root.
FOLDER = "docs/prose"

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_NAME = {"type": "string", "pattern": r"^[a-z0-9-]+$"}
_URL = {"type": "string", "pattern": "^https://"}
_LINKS = {"type": "object", "additionalProperties": _URL}
_OUTCOMES = {"type": "array", "items": {"enum": list(OUTCOMES)}, "minItems": 1}
#: A statement about cells; see `matrix.pages.statements`.
_STATEMENT: dict[str, Any] = {
    "cells": _TEXTS,
    "outcome": _OUTCOMES,
    "seen": _OUTCOMES,
    "parent_session": _TEXTS,
    "child_session": _TEXTS,
    "error": _TEXT,
    "silent": {"type": "boolean"},
    "children_served": {"type": "boolean"},
}
VERDICTS = ("holds", "holds with a condition", "does not hold")


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def _list_of(name: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _object([name, *more], **{name: {"type": "array", "items": item}}, **more)


_SCHEMAS = {
    "findings": _list_of(
        "finding",
        _object(
            ["id", "title", "text", "show", "rests_on"],
            id=_NAME,
            title=_TEXT,
            text=_TEXT,
            show=_TEXT,
            rests_on={
                "type": "array",
                "minItems": 1,
                "items": _object(["cells"], **_STATEMENT, how_many={"enum": ["all", "some"]}),
            },
        ),
    ),
    "article": _list_of(
        "claim",
        _object(
            ["id", "claim", "cells", "verdict", "text"],
            id=_NAME,
            claim=_TEXT,
            **_STATEMENT,
            verdict={"enum": list(VERDICTS)},
            text=_TEXT,
        ),
    ),
    "symptoms": _list_of(
        "symptom",
        _object(
            ["id", "title"],
            id=_NAME,
            title=_TEXT,
            patterns=_TEXTS,
            outcomes=_OUTCOMES,
            reported=_LINKS,
            meaning=_TEXT,
            also=_TEXT,
        ),
    ),
    "launchers": _list_of(
        "launcher",
        _object(
            ["id", "title", "forks", "leaves", "links", "hazards"],
            id=_NAME,
            title=_TEXT,
            forks=_TEXT,
            leaves=_TEXT,
            links=_LINKS,
            hazards=_TEXTS,
            prefer={"type": "array", "items": _TEXT},
            not_here={"type": "object", "additionalProperties": _TEXT},
            where=_TEXT,
            wiring=_TEXT,
            without=_TEXT,
        ),
    ),
    "advice": _list_of(
        "advice",
        _object(["says", "example"], says=_TEXT, example=_TEXT, stacks=_TEXTS, links=_LINKS),
    ),
    "topics": _list_of("topic", _object(["title", "examples"], title=_TEXT, examples=_TEXTS)),
    "glossary": _list_of("word", _object(["word", "meaning"], word=_TEXT, meaning=_TEXT)),
}
#: The `[page]` table of a driver's driver.toml.


@dataclass(frozen=True)
class Prose:
    """What people wrote: the tables of each TOML file by its name, and the texts of the Markdown files."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        return self.tables.get(name, [])


def read_prose(root: Path) -> Prose:
    """Read and check all prose; raise MatrixError, with file and line, where it is malformed."""
    folder = root / FOLDER
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, schema in _SCHEMAS.items():
        path = folder / f"{name}.toml"
        if not path.exists():
            continue
        data = read_toml(path, schema)
        (tables[name],) = data.values()
        _check_patterns(path, tables[name])
    texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.md"))}
    return Prose(tables, texts)


def _check_patterns(path: Path, tables: list[dict[str, Any]]) -> None:
    for table in tables:
        for pattern in [*table.get("patterns", []), *([table["error"]] if "error" in table else [])]:
            try:
                re.compile(pattern)
            except re.error as error:
                raise MatrixError(f"{path}: {table['id']}: {pattern!r} is no regular expression: {error}") from None
