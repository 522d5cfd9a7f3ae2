"""Sees to it that nothing of a run survives the run, however the run ends.

A program cannot clean up after its own ``kill -9``. The watchdog is a second, tiny process that holds the
read end of a pipe whose only write end is the run's. Over the pipe the run says which process groups and
folders it has; when the pipe reaches its end, because the run left it or because the kernel closed it for a
run that was killed, the watchdog ends what is left and removes it.

Processes that left their group are found by two other marks: being descendants of a member, and the
variable ``MATRIX_RUN`` in their environment (read from ``/proc``, so on Linux only).

This file is started as a program by its path, in Python's isolated mode: it imports the standard library
only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType
    from typing import Self

MARK = "MATRIX_RUN"
PATIENCE = 2.0  # seconds a group asked to stop politely is given before it is killed


class Watchdog:
    """The run's end of the pipe; a context manager, safe to use from several threads.

    ``token`` names the run. Start every process with ``environ(...)`` as its environment, so that it is
    found even where it left its group. Leaving the context ends whatever is still watched.
    """

    def __init__(self) -> None:
        self.token = os.urandom(8).hex()
        self._lock = threading.Lock()
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        import subprocess  # noqa: PLC0415  # the watchdog's own process never needs it and starts faster without

        reader, writer = os.pipe()  # both are closed in every process that is executed
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).resolve()), self.token],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        self._pipe = writer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._pipe is not None:
                os.close(self._pipe)
                self._pipe = None
        if self._process is not None:
            self._process.wait()

    def environ(self, base: dict[str, str] | None = None) -> dict[str, str]:
        """Return ``base`` (by default this process's environment) with the mark of this run added."""
        return {**(os.environ if base is None else base), MARK: self.token}

    def watch_group(self, pgid: int, *, stop: signal.Signals = signal.SIGKILL) -> None:
        """End this process group when the run ends.

        ``stop`` is what the group's leader is sent first: a server that has to give back shared memory is
        asked to leave, and killed two seconds later if it did not.
        """
        self._say(f"group {pgid} {int(stop)}")

    def release_group(self, pgid: int) -> None:
        """Forget a process group that has ended: its number may come to name somebody else's."""
        self._say(f"forget-group {pgid}")

    def watch_folder(self, path: Path) -> None:
        """Remove this folder when the run ends.

        Say so before creating it: then there is no moment in which it could stay.
        """
        self._say(f"folder {os.fsencode(path.absolute()).hex()}")

    def release_folder(self, path: Path) -> None:
        """Forget a folder that has been removed or is meant to stay."""
        self._say(f"forget-folder {os.fsencode(path.absolute()).hex()}")

    def _say(self, order: str) -> None:
        with self._lock:
            if self._pipe is None:
                raise RuntimeError("the watchdog is not on duty: use it inside its with block")
            with contextlib.suppress(BrokenPipeError):  # somebody killed the watchdog: the run itself can go on
                os.write(self._pipe, f"{order}\n".encode())  # shorter than PIPE_BUF: never torn


def _status(pid: str) -> tuple[int, int, str] | None:
    """Return a process's parent, process group and state from ``/proc``, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # pathlib would double the start-up time
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[2]), fields[0].decode()


def _marked(pid: str, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  # as above
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def survivors(groups: set[int], token: str) -> set[int]:
    """Return the processes that belong to a run: members of its groups, their descendants, bearers of its mark.

    Where there is no ``/proc`` (macOS), only the groups themselves can be known, and the set is empty.
    """
    mark = f"{MARK}={token}".encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # as above
    except OSError:
        return set()
    for name in names:
        status = _status(name)
        if status is None or status[2] in "ZX":
            continue
        parents[int(name)] = status[0]
        if status[1] in groups or _marked(name, mark):
            found.add(int(name))
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in found} - found
        found |= children
        grown = bool(children)
    return found - {os.getpid()}


def _send(number: int, *, pid: int = 0, group: int = 0) -> bool:
    try:
        if group:
            os.killpg(group, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _left(groups: set[int], token: str) -> bool:
    if Path("/proc/self/stat").exists():
        return bool(survivors(groups, token))
    return any(_send(0, group=group) for group in groups)


def _end(groups: dict[int, int], token: str) -> None:
    """End the groups and everything else of the run; return when nothing of it is left, or after five seconds."""
    polite = {group for group, number in groups.items() if number != signal.SIGKILL}
    rude = set(groups) - polite
    servers = survivors(polite, "")
    for group in rude:
        _send(signal.SIGKILL, group=group)
    for pid in survivors(rude, token) - servers:
        _send(signal.SIGKILL, pid=pid)
    for group in polite:
        _send(groups[group], pid=group)
    deadline = time.monotonic() + PATIENCE
    while polite and time.monotonic() < deadline and _left(polite, ""):
        time.sleep(0.005)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _left(set(groups), token):
        for group in groups:
            _send(signal.SIGKILL, group=group)
        for pid in survivors(set(groups), token):
            _send(signal.SIGKILL, pid=pid)
        time.sleep(0.005)


def _watch(token: str) -> None:
    """Follow the orders that come in on standard input until it ends, then end and remove what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    folders: dict[str, None] = {}
    with open(0, "rb", buffering=0) as orders:  # standard input, by its number
        text = b""
        while piece := orders.read(65536):
            text += piece
            *lines, text = text.split(b"\n")
            for line in lines:
                word, argument, *more = line.decode().split()
                if word == "group":
                    groups[int(argument)] = int(more[0])
                elif word == "forget-group":
                    groups.pop(int(argument), None)
                elif word == "folder":
                    folders[os.fsdecode(bytes.fromhex(argument))] = None
                else:
                    folders.pop(os.fsdecode(bytes.fromhex(argument)), None)
    _end(groups, token)
    if folders:
        import shutil  # noqa: PLC0415  # seldom needed: a run that ends in order has removed its folders

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _watch(sys.argv[1])
