"""Writes files whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds to wait for another writer, which needs a fraction of one.
PATIENCE = 30.0


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: a reader sees the old content or the new, never half of either.

    Raises MatrixError if it cannot be written (no permission, full disk); the old content is then still there.
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


def write_if_changed(path: Path, text: str) -> None:
    """Write a text file (see `write_text`) unless it holds the text already.

    Only for a file that no other process writes at the same time: removes what killed writers of it left.
    """
    remove_leftovers(path)
    try:
        same = path.read_bytes() == text.encode("utf-8")
    except OSError:
        same = False
    if not same:
        write_text(path, text)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing a file, so that it can be read, changed and written.

    The lock is `.<name>.lock` beside the file. Removes what killed writers of the file left there. Raises MatrixError
    if the lock is unavailable.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise MatrixError(f"{path}: another run has been writing it for {PATIENCE:.0f} seconds; try again") from None
    except (OSError, NotImplementedError) as error:
        raise MatrixError(f"{path}: cannot be locked: {getattr(error, 'strerror', None) or error}") from None
    with lock:
        lock.release()  # `with` acquires once more
        remove_leftovers(path)
        yield


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of a file left beside it; no other process may be writing it."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{path.name}.????????"):
            leftover.unlink(missing_ok=True)
