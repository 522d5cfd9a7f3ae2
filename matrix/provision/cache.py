"""The folder in which what was fetched or built once is kept for later runs.

Its place is ``MATRIX_CACHE`` if that is set, else the user's cache folder. Each entry is a folder with a
manifest: it is filled beside its final place and renamed, so that an entry is whole or absent, and its contents
are compared with the manifest each time it is used, so that a damaged one is made again. Two runs may want the same
entry at once: one makes it, the other waits.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "MATRIX_CACHE"
NAME = "forked-connections"
SYSTEM = Path("/var/cache") / NAME  # root's: its servers run as another user, who cannot enter root's home
MANIFEST = ".manifest.json"


class CacheError(MatrixError):
    """An entry can be neither read nor made; the message says why and what to do."""


def folder() -> Path:
    """Return the cache folder's path; it need not exist yet. Raise ``CacheError`` if this user has no home for it."""
    try:
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser().absolute()
        usual = Path(platformdirs.user_cache_dir(NAME, appauthor=False))
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd, as in a container that runs under a number
        raise CacheError(
            f"what is fetched cannot be kept, because this user has no home folder: set {VARIABLE} to a folder to use"
        ) from None
    if os.geteuid() == 0 and not open_to_all(usual):
        return SYSTEM
    return usual


def open_to_all(path: Path) -> bool:
    """Say whether every user may enter this folder and those above it, as far as they exist."""
    for place in (path, *path.parents):
        with contextlib.suppress(FileNotFoundError):
            if not place.stat().st_mode & stat.S_IXOTH:
                return False
    return True


def find(name: str) -> Path | None:
    """Return the folder of a sound entry, or None."""
    with contextlib.suppress(CacheError):
        place = folder() / name
        return place if _sound(place) else None
    return None


def entry(
    name: str,
    fill: Callable[[Path], None],
    *,
    private: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Return the folder of an entry; if it is missing or damaged, ``fill`` is given an empty folder to fill first.

    ``fill`` may raise what it likes: then nothing stays behind, and the exception is passed on; an ``OSError`` about
    the cache itself becomes a ``CacheError``. A ``private`` entry keeps the modes it was given; any other is made
    readable to every user. While another process makes the same entry, ``cancelled`` is asked whether to wait on.
    """
    if found := find(name):
        return found
    place = folder()
    part = place / f".{name}.part"
    try:
        _make_folder(place)
        with FileLock(place / f".{name}.lock").acquire(poll_interval=0.02, cancel_check=cancelled):
            if found := find(name):  # another process made it meanwhile
                return found
            _remove(part)
            try:
                inner = part / "entry"
                inner.mkdir(parents=True)
                inner.chmod(0o700 if private else 0o755)  # whatever the umask says
                fill(inner)
                if not private:
                    _make_readable(inner)
                (inner / MANIFEST).write_text(json.dumps(_survey(inner)))
                with contextlib.suppress(FileNotFoundError):
                    (place / name).rename(part / "damaged")
                inner.rename(place / name)
            finally:
                _remove(part)
    except OSError as error:
        raise CacheError(_explain(error, place)) from error
    return place / name


def discard(name: str) -> None:
    """Remove an entry that turned out to be of no use here; the next ``entry`` makes it again."""
    place = folder()
    part = place / f".{name}.part"
    try:
        with FileLock(place / f".{name}.lock"):
            _remove(part)
            with contextlib.suppress(FileNotFoundError):
                (place / name).rename(part)
            _remove(part)
    except OSError as error:
        raise CacheError(_explain(error, place)) from error


def sweep() -> None:
    """Remove what killed processes left of entries that they did not finish."""
    with contextlib.suppress(CacheError):
        for part in folder().glob(".*.part"):
            with contextlib.suppress(OSError, Timeout), FileLock(part.with_suffix(".lock"), blocking=False):
                _remove(part)


def _make_folder(path: Path) -> None:
    """Create a folder and those above it; root's are open to its servers' user, whatever the umask says."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            path.chmod(0o755)


def _explain(error: OSError, place: Path) -> str:
    change = f"set {VARIABLE} to a folder with room that you may write to"
    if error.errno == errno.ENOSPC:
        return f"the disk that holds the cache {place} is full: make room, or {change}"
    if error.errno == errno.EDQUOT:
        return f"your disk quota is used up where the cache {place} is: make room, or {change}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the cache {place} cannot be written to ({error.strerror}): {change}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"the cache {place} is not a folder: {change}"
    return f"the cache {place} cannot be used ({error}): {change}"


def _files(place: Path) -> Iterator[str]:
    """Yield the paths of the files and links below a folder, without following links."""
    folders = [place]
    while folders:
        with os.scandir(folders.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    folders.append(Path(item.path))
                elif item.name != MANIFEST:
                    yield os.path.relpath(item.path, place)


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _survey(place: Path) -> dict[str, str]:
    return {path: _digest(place / path) for path in _files(place)}


def _sound(place: Path) -> bool:
    """Compare an entry with its manifest, contents included: 15 to 40 ms for each of those there are."""
    try:
        return bool(json.loads((place / MANIFEST).read_bytes()) == _survey(place))
    except (OSError, ValueError):
        return False


def _make_readable(place: Path) -> None:
    place.chmod(0o755)
    for root, folders, files in os.walk(place):
        for name in folders:
            (Path(root) / name).chmod(0o755)
        for name in files:
            path = Path(root) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)


def copy(source: Path, target: Path, *, owner: tuple[int, int] | None = None, link: bool = False) -> None:
    """Copy a tree to a folder that does not exist yet, its manifest left out.

    With ``owner`` (a user's and a group's number) everything in it is given to that user. With ``link``
    files share their contents with the originals where the file system allows it; meant for what is only
    read.
    """
    target.mkdir()
    target.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IRWXU)  # whatever the umask says
    if owner:
        os.chown(target, *owner)
    with os.scandir(source) as items:
        for item in items:
            to = target / item.name
            if item.name == MANIFEST:
                continue
            if item.is_dir(follow_symlinks=False):
                copy(Path(item.path), to, owner=owner, link=link)
                continue
            if item.is_symlink():
                to.symlink_to(Path(item.path).readlink())
            elif not (link and _linked(item.path, to)):
                shutil.copy2(item.path, to)
            if owner and not link:
                os.chown(to, *owner, follow_symlinks=False)


def _linked(source: str, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        return False
    return True
