"""Reads TOML that a JSON schema describes, for files that have no record in `matrix.records` yet."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema

from matrix.errors import MatrixError
from matrix.records.reading import line_of, shown

if TYPE_CHECKING:
    from pathlib import Path


def read_toml(path: Path, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a TOML file's data; raise MatrixError, with file and line, where it does not fit the schema."""
    where = shown(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise MatrixError(f"{where}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatrixError(f"{where}: not TOML: {error}") from None
    problem = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(data)), None)
    if problem is not None:
        place = [str(part) for part in problem.absolute_path]
        line = line_of(text, place[0] if place else "")
        raise MatrixError(f"{where}, line {line}: {'.'.join(place) + ': ' if place else ''}{problem.message}")
    return data
