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


def read_entries(path: Path, what: type[T]) -> dict[str, T]:
    """Return the entries of a TOML file whose keys are names; raise MatrixError as `read_toml` does."""
    entries = _load(path, "TOML", tomllib.loads)
    return {key: _convert(path, entry, what, "TOML", inside=key) for key, entry in entries.items()}


def read_json(path: Path, what: type[T], *, hint: str = "") -> T:
    """Return a JSON file's data as a record; raise MatrixError, with file and key, where it does not fit.

    `hint` says what to do then.
    """
    return _read(path, what, "JSON", msgspec.json.decode, hint=hint)


def _read(path: Path, what: type[T], language: str, load: Callable[[str], Any], *, hint: str = "") -> T:
    return _convert(path, _load(path, language, load, hint=hint), what, language, hint=hint)


def _load(path: Path, language: str, load: Callable[[str], Any], *, hint: str = "") -> Any:
    try:
        return load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MatrixError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or not in the language
        raise MatrixError(f"{shown(path)}: not {language}: {error}{hint and f'; {hint}'}") from None


def _convert(path: Path, data: object, what: type[T], language: str, *, inside: str = "", hint: str = "") -> T:
    try:
        return msgspec.convert(data, what)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        key = place.removesuffix("`").lstrip(".")
        name = inside or re.split(r"[.\[]", key)[0]
        line = f", line {line_of(path, name)}" if language == "TOML" else ""
        named = ", ".join(filter(None, [inside, key]))
        raise MatrixError(f"{shown(path)}{line}: {named and f'{named}: '}{problem}{hint and f'; {hint}'}") from None


def line_of(path: Path, key: str) -> int:
    """Return the line of a TOML file on which the first table or key of a name stands, 1 if there is none."""
    pattern = re.compile(rf'^\[*\s*"?{re.escape(key)}"?[\].\s=]')
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if pattern.match(line)), 1)


def shown(path: Path) -> Path:
    """Return a path as messages show it: from the repository's root if it is in there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
