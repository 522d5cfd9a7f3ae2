"""Sees to it that nothing of a run survives the run, however the run ends.

A program cannot clean up after its own ``kill -9``. The watchdog is a second, tiny process that holds the
read end of a pipe whose only write end is the run's. Over the pipe the run says which process groups and
folders it has; when the pipe reaches its end, because the run left it or because the kernel closed it for a
run that was killed, the watchdog ends what is left and removes it.

Processes that left their group are found by three other marks: being descendants of a member, the variable
``MATRIX_RUN`` in their environment, and a resource limit. A program that daemonizes and executes another with an empty
environment loses the first two; limits stay (see ``marking``).

This file is started as a program by its path, in Python's isolated mode: it imports nothing of ``matrix``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

MARK = "MATRIX_RUN"
#: The resource limit that marks processes, RLIMIT_LOCKS: Linux inherits and shows it, and has not enforced it since
#: 2.4.
LIMIT = 10
#: Bits of a mark that number what a run starts; those above are the run's.
_NUMBER_BITS = 24
PATIENCE = 2.0  # seconds a group asked to stop politely is given before it is killed


class CancelledError(Exception):
    """The run is ending: nothing further is to be started for it."""


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
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self.cancelled = False

    def __enter__(self) -> Self:
        import subprocess  # noqa: PLC0415  # the watchdog's own process does not need it

        reader, writer = os.pipe()  # both are closed in every process that is executed
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).resolve()), self.token],
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

    def mark(self, number: int) -> int:
        """Return a mark for the processes of one program of the run (see ``marking``)."""
        return _run_mark(self.token) << _NUMBER_BITS | (number + 1) % (1 << _NUMBER_BITS)

    def run(
        self, command: Sequence[str | Path], *, stdin: bytes = b"", timeout: float | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a helper program as ``subprocess.run`` does, and return its status and what it printed.

        It gets a session of its own, so that Ctrl-C in a terminal ends the run alone, and is not taken for a failure
        of the program. Raises ``CancelledError`` after ``cancel``, which ends the program.
        """
        import subprocess  # noqa: PLC0415  # as in __enter__

        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with self._lock:
            if self.cancelled:
                raise CancelledError
            process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **options)
            self._helpers.add(process)
        with process:
            try:
                self.watch_group(process.pid)
                out, err = process.communicate(stdin, timeout)
            except BaseException:
                _kill_group(process)
                raise
            finally:
                with self._lock:
                    self._helpers.discard(process)
                process.wait()
                self.release_group(process.pid)
        if self.cancelled:
            raise CancelledError
        texts = [(text or b"").decode(errors="replace") for text in (out, err)]
        return subprocess.CompletedProcess(command, process.returncode, *texts)

    def cancel(self) -> None:
        """End the helper programs that are running and let no other be started."""
        with self._lock:
            self.cancelled = True
            helpers = set(self._helpers)
        for process in helpers:
            _kill_group(process)

    def watch_group(self, pgid: int, *, stop: signal.Signals = signal.SIGKILL) -> None:
        """End this process group when the run ends.

        ``stop`` is what the group's leader is sent first: a server that has to give back shared memory is
        asked to leave, and killed two seconds later if it did not.
        """
        self._say(f"group {pgid} {int(stop)}")

    def release_group(self, pgid: int) -> None:
        """Forget a process group that has ended: its number may be used again."""
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
            with contextlib.suppress(BrokenPipeError):  # the watchdog was killed: the run itself can go on
                os.write(self._pipe, f"{order}\n".encode())  # shorter than PIPE_BUF: never torn


def _kill_group(leader: subprocess.Popen[bytes]) -> None:
    if leader.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, signal.SIGKILL)


def mark_of(pid: int) -> int | None:
    """Return the mark of a process, dead or alive; None if it bears none or the system shows none."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return None
    line = next((line for line in limits.splitlines() if line.startswith("Max file locks ")), "")
    soft = line.split()[3:4]
    return int(soft[0]) if soft and soft[0].isdigit() else None


def set_mark(mark: int) -> None:
    """Mark this process and what it starts from now on."""
    if sys.platform == "linux":
        resource.setrlimit(LIMIT, (mark, resource.getrlimit(LIMIT)[1]))


_marking = threading.Lock()


@contextlib.contextmanager
def marking(mark: int) -> Iterator[None]:
    """Mark the programs that this thread starts; no other thread may start one meanwhile."""
    with _marking:
        before = resource.getrlimit(LIMIT)[0] if sys.platform == "linux" else 0
        set_mark(mark)
        try:
            yield
        finally:
            set_mark(before)


def _run_mark(token: str) -> int:
    return int(token[:8], 16)


def survivors(groups: set[int], token: str) -> set[int]:
    """Return the processes that belong to a run: members of its groups, their descendants, bearers of its mark."""
    return {process.pid for process in _survivors(groups, token)}


def _survivors(groups: set[int], token: str) -> set[psutil.Process]:
    parents: dict[psutil.Process, int] = {}
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError), process.oneshot():
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                continue
            parents[process] = process.ppid()
            if os.getpgid(process.pid) in groups or _marked(process, token):
                found.add(process)
    grown = True
    while grown:
        numbers = {process.pid for process in found}
        children = {process for process, parent in parents.items() if parent in numbers} - found
        found |= children
        grown = bool(children)
    return {process for process in found if process.pid != os.getpid()}


def _marked(process: psutil.Process, token: str) -> bool:
    mark = mark_of(process.pid)
    if token and mark is not None and mark >> _NUMBER_BITS == _run_mark(token):
        return True
    try:
        return process.environ().get(MARK) == token
    except psutil.Error:  # another user's
        return False


def _end(groups: dict[int, signal.Signals], token: str) -> None:
    """End the groups and everything else of the run; return when nothing of it is left, or after some seconds."""
    polite = {group for group, number in groups.items() if number != signal.SIGKILL}
    servers = _survivors(polite, "")
    _kill(_survivors(set(groups) - polite, token) - servers)
    for group in polite:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, groups[group])
    psutil.wait_procs(servers, PATIENCE)
    deadline = time.monotonic() + 5
    while (left := _survivors(set(groups), token)) and time.monotonic() < deadline:
        _kill(left)
        psutil.wait_procs(left, 0.1)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _watch(token: str) -> None:
    """Follow the orders that come in on standard input until it ends, then end and remove what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, signal.Signals] = {}
    folders: dict[str, None] = {}
    with open(0, "rb", buffering=0) as orders:  # standard input, by its number
        text = b""
        while piece := orders.read(65536):
            text += piece
            *lines, text = text.split(b"\n")
            for line in lines:
                word, argument, *more = line.decode().split()
                if word == "group":
                    groups[int(argument)] = signal.Signals(int(more[0]))
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
