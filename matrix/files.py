"""Writes files whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds to wait for another writer, which needs a fraction of one.
PATIENCE = 30.0
#: Bytes that the path of a Unix socket may have: on macOS; on Linux 107.
SOCKET_PATH = 103


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


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing in a folder, so that a file can be read, changed and written.

    The lock is the file `.lock` in it. Raises MatrixError if the lock is unavailable.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - what only reads does not wait for it

    lock = FileLock(folder / ".lock", timeout=PATIENCE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise MatrixError(f"{folder}: another run has been writing there for {PATIENCE:.0f} seconds") from None
    except (OSError, NotImplementedError) as error:
        raise MatrixError(f"{folder}: cannot be locked: {getattr(error, 'strerror', None) or error}") from None
    try:
        yield
    finally:
        lock.release()


def folder_for_sockets(below: str) -> Path:
    """Return the folder of temporary files, or /tmp if the path of a socket `below` it would have too many bytes.

    Raises MatrixError if no folder for temporary files can be written to.
    """
    try:
        usual = Path(tempfile.gettempdir())
    except OSError as error:
        raise MatrixError(f"no folder of temporary files can be written to: {error.strerror}; set TMPDIR") from None
    return usual if len(os.fsencode(usual.resolve() / below)) <= SOCKET_PATH else Path("/tmp")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of a file left beside it; no other process may be writing it."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{path.name}.????????"):
            leftover.unlink(missing_ok=True)
