"""Starts servers that are private to the run: in folders of its own, the first programs that run."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MatrixError, MissingError
from matrix.files import folder_for_sockets
from matrix.provision import cache
from matrix.servers import certificates, fetch, own, process
from matrix.servers.model import USER, Binaries, Place, Server, StartError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matrix.process.watchdog import Watchdog
    from matrix.servers.model import Code
    from matrix.servers.products import Known

CHOICE = "MATRIX_SERVERS"
CHOICES = ("machine", "fetched")
# Creating a database creates hundreds of files: 7 ms in memory, up to 150 ms on a disk.
MEMORY = Path("/dev/shm")
MEMORY_WANTED = 1 << 30
OTHER_SERIES = "it is of another series"
ROOM_WANTED = 64  # MB for one server's data, at its start


def choice() -> str:
    """Return what MATRIX_SERVERS says, empty if nothing; raise ``MatrixError`` if it is no choice."""
    text = os.environ.get(CHOICE, "")
    if text and text not in CHOICES:
        raise MatrixError(f"{CHOICE} is {text!r}; it may be {' or '.join(CHOICES)}, or unset for both")
    return text


@contextlib.contextmanager
def folders(names: Sequence[str], watchdog: Watchdog, report: Callable[[str], None]) -> Iterator[Place]:
    """Create the run's folders, which no other user can read, and remove them in the end."""
    owner = process.unprivileged()
    name = f"fc-{watchdog.token}"
    temporary = folder_for_sockets(f"{name}/{max(names, key=len)}/s/.s.PGSQL.65535")
    if owner and not cache.open_to_all(temporary):
        temporary = Path("/tmp")
    folder = temporary / name
    fits = (
        _free(MEMORY) >= MEMORY_WANTED and os.access(MEMORY, os.W_OK) and not (owner and not cache.open_to_all(MEMORY))
    )
    data = (MEMORY if fits else folder) / name
    try:
        free, wanted = _free(temporary) >> 20, ROOM_WANTED * len(names)
        if data.parent == folder and free < wanted:
            room = f"{free} MB are free in {temporary}, and {wanted} are needed"
            raise MatrixError(f"there is no room for the servers: {room}; set TMPDIR to a folder on another disk")
        for path in (folder, data):
            watchdog.watch_folder(path)
            _make_passable(path)
        ca, certificate, key = certificates.write(folder)
    except OSError as error:
        raise MatrixError(f"no folder for the servers can be made: {error}; set TMPDIR to another place") from error
    else:
        yield Place(folder, data, owner, watchdog, report, ca, certificate, key)
    finally:
        for path in (folder, data):
            shutil.rmtree(path, ignore_errors=True)
            watchdog.release_folder(path)


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _make_passable(path: Path) -> None:
    """Create a folder that others may pass through, and not read: if the run is root's, its servers have to."""
    path.mkdir()
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def obtain(known: Known, code: Code, run: Place, cleanup: contextlib.ExitStack) -> Server | Unavailable:
    """Start the first programs that run as the server that is wanted."""
    place = replace(run, folder=run.folder / known.name, data=run.data / known.name)
    reasons: list[str] = []
    for binaries in candidates(known, code, place, reasons):
        for path in (place.folder, place.data):
            shutil.rmtree(path, ignore_errors=True)
            _make_passable(path)
        try:
            server = start(known, code, _reachable(binaries, place), place, cleanup)
        except (MatrixError, OSError) as error:
            cleanup.close()
            full = process.disk_full(place)
            reasons.append(full or f"{binaries.server}: {error}")
            if full or isinstance(error, MissingError):
                break  # the machine lacks it, whichever programs are tried
        else:
            if unexpected := [reason for reason in reasons if OTHER_SERIES not in reason]:
                took = f"{known.product.facts.title} {server.version} ({server.origin})"
                place.report(f"{known.name} is {took}, because {'; '.join(unexpected)}")
            return server
    why = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
    remedy = f"install {known.title if known.series else known.product.facts.install}"
    if variable := own.variable(known):
        remedy += f", or set {variable}"
    return Unavailable(known.name, f"no {known.title} server here{why}: {remedy}")


def candidates(known: Known, code: Code, place: Place, reasons: list[str]) -> Iterator[Binaries]:
    """Yield the programs that may be the server: the machine's, then what can be fetched.

    Why something cannot be fetched is added to ``reasons``.
    """
    if choice() != "fetched":
        yield from (Binaries("machine", program) for program in code.installed())
    if choice() != "machine":
        yield from fetch.fetched(known, code, place.report, place.watchdog, reasons)


def start(known: Known, code: Code, binaries: Binaries, place: Place, cleanup: contextlib.ExitStack) -> Server:
    """Start a server if the programs are of its series; raise ``StartError`` if they are not, or do not run."""
    said = process.call(binaries.server, code.VERSION_ARGUMENTS, binaries, place)
    version = code.reported_version(said)
    if version is None:
        raise StartError(f"it is not {known.product.facts.title} but says {said.strip()!r}")
    if known.series not in (None, code.series(version)):
        raise StartError(f"{OTHER_SERIES}, {version}")
    endpoint = code.start(binaries, version, place, cleanup)
    return Server(
        name=known.name,
        product=known.product.name,
        protocol=known.product.facts.protocol,
        version=version,
        series=code.series(version),
        origin=binaries.origin,
        user=USER,
        password=endpoint.password,
        host="127.0.0.1",
        port=endpoint.port,
        socket=str(endpoint.socket),
        ca=str(place.ca),
        log=endpoint.log,
    )


def _reachable(binaries: Binaries, place: Place) -> Binaries:
    """Return binaries the servers' user can read: these or, if a folder above them is closed, copies."""
    if not place.owner or not binaries.root or cache.open_to_all(binaries.root):
        return binaries
    root = place.folder / "binaries"
    cache.copy(binaries.root, root, link=True)

    def moved(path: Path) -> Path:
        return root / path.relative_to(binaries.root or path)

    return Binaries(
        binaries.origin,
        moved(binaries.server),
        root,
        tuple(map(moved, binaries.libraries)),
        moved(binaries.loader) if binaries.loader else None,
    )
