"""Real database servers: found, fetched, started privately for a run, and stopped with it.

For each family, the first that applies: the server named by ``MATRIX_<FAMILY>_URL``; the machine's own
programs; programs fetched into the cache once. ``MATRIX_SERVERS=fetched`` ignores the machine's programs,
``MATRIX_SERVERS=machine`` fetches nothing. Each module here whose name has no underscore in front is a
family (see ``Family`` for what it offers): adding a server is adding a file.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import os
import pkgutil
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.provision import cache
from matrix.records.server import LogLine, Session
from matrix.servers import _process, _tls, _url
from matrix.servers._model import (
    Binaries,
    Family,
    Observer,
    Place,
    Server,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "LogLine",
    "Observer",
    "Server",
    "Session",
    "Unavailable",
    "log_lines",
    "names",
    "observer",
    "product_of",
    "protocol_of",
    "running",
    "title",
]

PRODUCTS = tuple(sorted(item.name for item in pkgutil.iter_modules(__path__) if not item.name.startswith("_")))
CHOICE = "MATRIX_SERVERS"
CHOICES = ("machine", "fetched")
LONGEST = 50  # bytes of the path above a run's folder: a socket's whole path has 107 on Linux, 103 on macOS
# Creating a database creates hundreds of files: 7 ms in memory, up to 150 ms on a disk.
MEMORY = Path("/dev/shm")
ROOM = 1 << 30


def _family(name: str) -> Family:
    if name not in PRODUCTS:
        raise MatrixError(f"there is no server {name!r}; there are {', '.join(PRODUCTS)}")
    return cast("Family", importlib.import_module(f"{__name__}.{name}"))


def names() -> tuple[str, ...]:
    """Return the names of all known servers, a product's default one before its others."""
    return PRODUCTS


def product_of(name: str) -> str:
    """Return the product of a server's name; raise ``MatrixError`` if there is no such server."""
    return _family(name).NAME


def protocol_of(name: str) -> str:
    """Return what the clients of a server speak; raise ``MatrixError`` if there is no such server."""
    return _family(name).PROTOCOL


def title(name: str) -> str:
    """Return a server's name as people write it; raise ``MatrixError`` if there is no such server."""
    return _family(name).TITLE


def log_lines(server: Server, log: str, database: str) -> list[LogLine]:
    """Return what a part of a server's log says about the sessions in a database, in order."""
    return _family(server.product).log_lines(log, database)


def observer(server: Server) -> Observer:
    """Open the harness's own connection to a server; raise ``MatrixError`` if it refuses."""
    return _family(server.product).observer(server)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(
    families: Iterable[str], *, report: Callable[[str], None] = _to_stderr, watchdog: Watchdog | None = None
) -> Iterator[dict[str, Server | Unavailable]]:
    """Start one server of each family, all at once, and stop and remove them when the context is left.

    ``report`` is told in a line what takes time; it may be called from several threads. ``watchdog`` removes
    everything even if this process is killed; without one, the context has its own. Raises ``MatrixError``
    where the user asked for something impossible; what cannot be had here is ``Unavailable`` instead.
    """
    modules = {name: _family(name) for name in families}
    choice = os.environ.get(CHOICE, "")
    if choice and choice not in CHOICES:
        raise MatrixError(f"{CHOICE} is {choice!r}; it may be {' or '.join(CHOICES)}, or unset for both")
    with contextlib.ExitStack() as stack:
        if watchdog is None:
            watchdog = stack.enter_context(Watchdog())
        servers: dict[str, Server | Unavailable] = {}
        for name, module in modules.items():
            if own := _url.server(name, module):
                servers[name] = own
        wanted = {name: module for name, module in modules.items() if name not in servers}
        if wanted:
            place = stack.enter_context(_place(watchdog, report))
            stacks = {name: contextlib.ExitStack() for name in wanted}
            stack.callback(_close_all, list(stacks.values()))
            # Left first: after Ctrl-C a start that is under way comes to its end, and is then undone.
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(wanted)))
            attempts = {
                name: pool.submit(_obtain, name, module, place, choice, stacks[name]) for name, module in wanted.items()
            }
            servers |= {name: attempt.result() for name, attempt in attempts.items()}
        yield {name: servers[name] for name in modules}


def _close_all(stacks: list[contextlib.ExitStack]) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(stacks)) as pool:
        list(pool.map(contextlib.ExitStack.close, stacks))


@contextlib.contextmanager
def _place(watchdog: Watchdog, report: Callable[[str], None]) -> Iterator[Place]:
    """Create the run's folders, which are nobody else's."""
    owner = _process.unprivileged()
    temporary = Path(tempfile.gettempdir())
    if len(os.fsencode(temporary)) > LONGEST or (owner and not cache.open_to_all(temporary)):
        temporary = Path("/tmp")
    name = f"fc-{watchdog.token}"
    folder = temporary / name
    data = (MEMORY if _roomy(MEMORY) else folder) / name
    try:
        for path in (folder, data):
            watchdog.watch_folder(path)
            path.mkdir(mode=0o700)
            if owner:
                # The servers' user has to pass through; what is in there, each server closes to everybody
                # else.
                path.chmod(0o711)
        ca, certificate, key = _tls.write(folder)
    except OSError as error:
        for path in (folder, data):
            shutil.rmtree(path, ignore_errors=True)
        raise MatrixError(f"no folder for the servers can be made: {error}; set TMPDIR to another place") from error
    try:
        yield Place(folder, data, owner, watchdog, report, ca, certificate, key)
    finally:
        for path in (folder, data):
            shutil.rmtree(path, ignore_errors=True)
            watchdog.release_folder(path)


def _roomy(folder: Path) -> bool:
    """Say whether a folder in memory may take the servers' data: a few hundred megabytes where many cells run."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and status.f_bavail * status.f_frsize >= ROOM


def _obtain(
    name: str, family: Family, place: Place, choice: str, cleanup: contextlib.ExitStack
) -> Server | Unavailable:
    """Start the first binaries that run."""
    reasons = []
    try:
        for binaries in _candidates(family, place, choice):
            try:
                return family.start(_reachable(name, binaries, place), place, cleanup)
            except MissingError:
                raise  # the machine lacks it, whichever binaries are tried
            except (MatrixError, OSError) as error:
                reasons.append(f"{binaries.server}: {error}")
                cleanup.close()
                _clear(name, place)
    except MatrixError as error:
        reasons.append(str(error))
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Unavailable(
        name, f"no {family.TITLE} server here{why}: install {family.INSTALL}, or set {_url.variable(name)}"
    )


def _candidates(family: Family, place: Place, choice: str) -> Iterator[Binaries]:
    if choice != "fetched":
        yield from family.installed()
    if choice != "machine":
        yield from family.fetched(place.report, place.watchdog)


def _reachable(name: str, binaries: Binaries, place: Place) -> Binaries:
    """Return binaries the servers' user can read: these or, where a folder above them is closed, copies."""
    if not place.owner or not binaries.root or cache.open_to_all(binaries.root):
        return binaries
    root = place.folder / f"{name}.binaries"
    cache.copy(binaries.root, root, link=True)
    return Binaries(
        binaries.origin,
        root / binaries.server.relative_to(binaries.root),
        root,
        tuple(root / folder.relative_to(binaries.root) for folder in binaries.libraries),
    )


def _clear(name: str, place: Place) -> None:
    """Remove what an attempt left, so that the next one begins anew."""
    for folder in (place.folder, place.data):
        for path in folder.glob(f"{name}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
