"""Services that launchers need beside the database: a private Redis, found or fetched, stopped with the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MatrixError, MissingError
from matrix.provision import apt, cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.process.watchdog import Watchdog

#: Seconds that Redis may take to start and to stop.
PATIENCE = 10.0
#: How many databases it has: one for each cell.
DATABASES = 10_000


@contextlib.contextmanager
def running_redis(folder: Path, watchdog: Watchdog, report: Callable[[str], None] = lambda _: None) -> Iterator[Path]:
    """Start a Redis that no other user can reach, yield the path of its socket, and stop it.

    Raises MissingError, with a sentence, if there is none and it cannot be fetched, or if it does not start.
    """
    program, libraries = _program(watchdog, report)
    path = folder / "redis"
    log = folder / "redis.log"
    environ = watchdog.environ({"PATH": os.defpath, "LC_ALL": "C", "LD_LIBRARY_PATH": libraries})
    command: list[str | Path] = [
        program,
        "--port",
        "0",
        "--unixsocket",
        path,
        "--save",
        "",
        "--dir",
        folder,
        "--databases",
        str(DATABASES),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    watchdog.watch_group(process.pid, stop=signal.SIGTERM)
    try:
        _wait(process, path, log)
        yield path
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watchdog.release_group(process.pid)


def _wait(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    limit = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        if process.poll() is not None or time.monotonic() > limit:
            lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise MissingError(f"redis-server does not start here: {lines[-1]}")
        time.sleep(0.01)


def _program(watchdog: Watchdog, report: Callable[[str], None]) -> tuple[Path, str]:
    """Return the machine's own program or one that is fetched into the cache, and the folders of its libraries."""
    if found := shutil.which("redis-server"):
        return Path(found), ""

    def fill(folder: Path) -> None:
        apt.unpack("redis-server", "redis-(server|tools)", "usr/bin/redis-server", folder, report, watchdog)

    try:
        apt.require_tools()
        root = cache.entry(f"apt-redis-server-{apt.release_name()}", fill)
    except MatrixError as error:
        raise MissingError(f"there is no redis-server here: {error}; install redis-server") from None
    return root / "usr/bin/redis-server", os.pathsep.join(map(str, apt.library_folders(root)))
