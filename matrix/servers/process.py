"""Starting and stopping a server's process, as an unprivileged user where the run is root's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from matrix.errors import MissingError
from matrix.process.watchdog import CancelledError
from matrix.provision import cache
from matrix.servers import products
from matrix.servers.model import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack

    from matrix.servers.model import Binaries, Place, Server

STARTING = 30.0  # seconds a server may take to answer; an idle machine needs a tenth of one
STOPPING = 5.0
CONTROL_GROUP = Path("/sys/fs/cgroup")
ROOM_LEFT = 1 << 18  # bytes; with fewer a disk is as good as full


def unprivileged() -> tuple[int, int] | None:
    """Return a user and group a root process can turn into, or None where the process is not root's.

    Raises ``StartError`` if root cannot become another user, as in a user namespace that maps root alone.
    """
    if os.geteuid() != 0:
        return None
    candidates = [(65534, 65534)]
    for name in ("nobody", "daemon", "postgres", "mysql"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        candidates.append((entry.pw_uid, entry.pw_gid))
    for user, group in dict.fromkeys(candidates):
        try:
            subprocess.run(["/bin/sh", "-c", ":"], user=user, group=group, extra_groups=[], check=True, cwd="/")
        except (OSError, subprocess.SubprocessError):
            continue
        return user, group
    raise StartError("servers do not run as root, and here root cannot become another user: run as an ordinary user")


def command(binaries: Binaries, program: Path) -> list[str | Path]:
    """Return what starts one of the programs: itself, or the loader that it needs."""
    if not binaries.loader:
        return [program]
    return [binaries.loader, "--library-path", os.pathsep.join(map(str, binaries.libraries)), program]


class ProgramOptions(TypedDict):
    """How a program is started, as `subprocess.Popen` takes it."""

    env: Mapping[str, str]
    cwd: Path
    user: int | None
    group: int | None
    extra_groups: list[int] | None
    umask: int


def options(binaries: Binaries, place: Place) -> ProgramOptions:
    """Return how any program is started: as the servers' user, with nothing of the user's settings, and marked."""
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(place.folder)}
    if binaries.libraries and not binaries.loader:
        environ["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, binaries.libraries))
    user, group = place.owner or (None, None)
    return {
        "env": place.watchdog.environ(environ),
        "cwd": place.folder,
        "user": user,
        "group": group,
        "extra_groups": [] if place.owner else None,
        "umask": 0o077,
    }


def call(
    program: Path, arguments: Sequence[str | Path], binaries: Binaries, place: Place, *, stdin: bytes = b"", **more: Any
) -> str:
    """Run a helper program as the servers' user and return what it printed; raise ``StartError`` if it fails."""
    try:
        done = place.watchdog.run(
            [*command(binaries, program), *arguments],
            stdin=stdin,
            stderr=subprocess.STDOUT,
            timeout=STARTING * 2,
            **(options(binaries, place) | more),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"{program} cannot be run: {error}") from error
    if done.returncode:
        raise StartError(f"{program} failed ({_status(done.returncode)}): {last_lines(done.stdout)}")
    return done.stdout


def give(place: Place, *paths: Path) -> None:
    """Give files to the servers' user."""
    if place.owner:
        for path in paths:
            os.chown(path, *place.owner)


def create_data(
    binaries: Binaries, place: Place, label: str, recipe: object, initialise: Callable[[Path], None]
) -> Path:
    """Create the server's folder from a cached template, which ``initialise`` makes if need be, and return it.

    ``label`` names the product and its version, ``recipe`` all that the template depends on beside the program.
    """
    status = binaries.server.stat()
    key = f"{binaries.server} {status.st_size} {status.st_mtime_ns} {label} {recipe}"
    name = f"{label}-data-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def fill(folder: Path) -> None:
        work = place.data / "new"
        work.mkdir(mode=0o700)
        give(place, work)
        initialise(work)
        cache.copy(work, folder / "template", owner=(os.geteuid(), os.getegid()) if place.owner else None)
        shutil.rmtree(work)

    try:
        template = cache.entry(name, fill, private=True, cancelled=lambda: place.watchdog.cancelled) / "template"
    except cache.CacheError:  # a cache that cannot be written to costs a third of a second, nothing else
        shutil.rmtree(place.data / "new", ignore_errors=True)
        template = place.data / "template"
        fill(place.data)
    home = place.data / "home"
    cache.copy(template, home, owner=place.owner)
    for source in (place.certificate, place.key):
        shutil.copy2(source, home)
        give(place, home / source.name)
    return home


def private_file(path: Path, place: Place) -> Path:
    """Create a file that the servers' user alone can read and write, and return its path."""
    path.touch(mode=0o600)
    give(place, path)
    return path


def serve(
    arguments: Sequence[str | Path],
    binaries: Binaries,
    place: Place,
    cleanup: ExitStack,
    *,
    log: Path,
    stop: signal.Signals,
    ready: Callable[[], bool],
    port_taken: str,
) -> int:
    """Start a server's process at a free port and return the port once it is ``ready``.

    If another program takes the port first, which ``port_taken`` in the log says, try again. The process has a session
    of its own and is watched by the watchdog; ``stop`` is the signal that ends it.
    """
    for attempt in range(5):
        port = free_port()
        log.write_text("")
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [*command(binaries, binaries.server), *arguments, f"--port={port}"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **options(binaries, place),
                )
        except OSError as error:
            raise StartError(f"{binaries.server} cannot be run: {error}") from error
        place.watchdog.watch_group(process.pid, stop=stop)
        running = Running(process, place, log, stop)
        cleanup.callback(running.stop)
        try:
            running.wait_until(ready)
        except StartError:
            if attempt < 4 and port_taken in log.read_text(errors="replace"):
                continue
            raise
        break
    return port


def free_memory() -> int | None:
    """Return how many MB of memory are free for a server, by the machine and by its control group; None if unknown."""
    with contextlib.suppress(OSError, ValueError):
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) >> 10
        with contextlib.suppress(OSError, ValueError):  # no limit is the word `max`, or no file
            limit, used = (int((CONTROL_GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
            free = min(free, (limit - used) >> 20)
        return free
    return None


def disk_full(place: Place) -> str | None:
    """Return a sentence if a disk that holds the server's files is full, else None."""
    for folder in (place.data, place.folder):
        if shutil.disk_usage(folder).free < ROOM_LEFT:
            return f"the disk that holds {folder} is full: make room, or set TMPDIR to a folder on another"
    return None


class Running:
    """A server's process that was started and has to be stopped."""

    def __init__(self, process: subprocess.Popen[bytes], place: Place, log: Path, stop: signal.Signals) -> None:
        self._process = process
        self._place = place
        self._log = log
        self._stop = stop

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return as soon as ``ready()``; raise ``StartError``, with the end of the log, if the process ends before."""
        deadline = time.monotonic() + STARTING
        while not ready():
            if self._place.watchdog.cancelled:
                raise CancelledError
            if self._process.poll() is not None:
                raise StartError(
                    f"the server ended at its start ({_status(self._process.returncode)}): {self.complaint()}"
                )
            if full := disk_full(self._place):  # MariaDB waits for room, and has none to say so
                raise StartError(full)
            if time.monotonic() > deadline:
                raise StartError(f"the server did not answer within {STARTING:.0f} s: {self.complaint()}")
            time.sleep(0.003)

    def complaint(self) -> str:
        """Return the end of the log in one line."""
        return last_lines(self._log.read_text(errors="replace"))

    def stop(self) -> None:
        """Stop the server, by force if it takes too long, and return when it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop)
            try:
                self._process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._place.watchdog.release_group(self._process.pid)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free at this moment; raise ``MissingError`` if there is no such address."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise MissingError(
                f"servers need the address 127.0.0.1, which is not usable here: {error.strerror}"
            ) from None
        port: int = probe.getsockname()[1]
        return port


def last_lines(text: str, count: int = 3) -> str:
    """Return the last lines that are not empty, joined, at most 400 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])[-400:]


def gone(server: Server, reason: str) -> str:
    """Return the sentence about a server that no longer answers, with the end of its log if there is one."""
    text = f"{_address(server)} does not answer the harness: {reason}"
    if server.log and server.log.exists():
        text += f" (its log ends: {last_lines(server.log.read_text(errors='replace'))})"
    return text


def refused(server: Server, reason: str) -> str:
    """Return the sentence about a server that refuses a statement of the harness."""
    return f"{_address(server)} refuses what the harness needs as {server.user}: {reason}"


def _address(server: Server) -> str:
    return f"{products.find(server.product).title} {server.version} at {server.host}:{server.port}"


def _status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
