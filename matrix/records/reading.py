"""Reads files of records: TOML and JSON, validated as they are read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
#: The repository's root, from which files are named in messages.
ROOT = Path(__file__).resolve().parents[2]


def read_toml(path: Path, what: type[T]) -> T:
    """Return a TOML file's data as a record; raise MatrixError, with file, line and key, where it does not fit."""
    return _read(path, what, "TOML", tomllib.loads)


def read_json(path: Path, what: type[T], *, hint: str = "") -> T:
    """Return a JSON file's data as a record; raise MatrixError, with file and key, where it does not fit.

    `hint` says what to do then.
    """
    return _read(path, what, "JSON", msgspec.json.decode, hint=hint)


def _read(path: Path, what: type[T], language: str, load: Callable[[str], Any], *, hint: str = "") -> T:
    where = shown(path)
    hint = f"; {hint}" if hint else ""
    try:
        text = path.read_text(encoding="utf-8")
        data = load(text)
    except OSError as error:
        raise MatrixError(f"{where}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or not in the language
        raise MatrixError(f"{where}: not {language}: {error}{hint}") from None
    try:
        return msgspec.convert(data, what)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        key = place.removesuffix("`").lstrip(".")
        line = f", line {line_of(text, key)}" if language == "TOML" else ""
        raise MatrixError(f"{where}{line}: {key + ': ' if key else ''}{problem}{hint}") from None


def line_of(text: str, key: str) -> int:
    """Return the line of a TOML text on which the first table or key of a dotted name stands, 1 if there is none."""
    name = re.split(r"[.\[]", key)[0] or key
    pattern = re.compile(rf'^\[*\s*"?{re.escape(name)}"?[\].\s=]')
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def shown(path: Path) -> Path:
    """Return a path as messages show it: from the repository's root if it is in there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
