"""Writes files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from matrix.errors import MatrixError


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: a reader sees the old content or the new, never half of either.

    Raises MatrixError where it cannot be written (no permission, full disk); the old content is then still there.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise MatrixError(f"{path}: cannot be written: {error.strerror or error}") from None
