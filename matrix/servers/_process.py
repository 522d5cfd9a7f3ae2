"""Starting and stopping a server's process, as an unprivileged user where the run is root's."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from matrix.servers._model import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matrix.servers._model import Binaries, Place, Server

STARTING = 30.0  # seconds a server may take to answer; an idle machine needs a tenth of one
STOPPING = 5.0


def unprivileged() -> tuple[int, int] | None:
    """Return a user and group a root process can turn into, or None where the process is not root's.

    Raises ``StartError`` where root may turn into nobody else, as in a user namespace that maps root alone.
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


def environ(binaries: Binaries, place: Place) -> dict[str, str]:
    """Return the environment of a server's process: nothing of the user's settings, and the run's mark."""
    base = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(place.folder)}
    if binaries.libraries:
        base["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, binaries.libraries))
    return place.watchdog.environ(base)


def call(
    command: Sequence[str | Path],
    binaries: Binaries,
    place: Place,
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> str:
    """Run a helper program as the servers' user and return what it printed; raise ``StartError`` if it fails."""
    user, group = place.owner or (None, None)
    try:
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ(binaries, place),
            cwd=cwd or place.folder,
            user=user,
            group=group,
            extra_groups=[] if place.owner else None,
            timeout=STARTING * 2,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{command[0]} cannot be run: {error}") from error
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise StartError(f"{command[0]} failed ({_status(done.returncode)}): {last_lines(text)}")
    return text


def start(
    command: Sequence[str | Path], binaries: Binaries, place: Place, *, log: Path, stop: signal.Signals
) -> Running:
    """Start a server's process in a session of its own, its output in ``log``, watched by the watchdog."""
    user, group = place.owner or (None, None)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ(binaries, place),
                cwd=place.folder,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=[] if place.owner else None,
            )
    except OSError as error:
        raise StartError(f"{command[0]} cannot be run: {error}") from error
    place.watchdog.watch_group(process.pid, stop=stop)
    return Running(process, place, log, stop)


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
            if self._process.poll() is not None:
                raise StartError(
                    f"the server ended at its start ({_status(self._process.returncode)}): {self.complaint()}"
                )
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
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def last_lines(text: str, count: int = 3) -> str:
    """Return the last lines that are not empty, joined, at most 400 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])[-400:]


def gone(title: str, server: Server, said: str) -> str:
    """Return the sentence about a server that no longer answers, with the end of its log where there is one."""
    text = f"{title} {server.version} at {server.host}:{server.port} does not answer the harness: {said}"
    if server.log and server.log.exists():
        text += f" (its log ends: {last_lines(server.log.read_text(errors='replace'))})"
    return text


def _status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
