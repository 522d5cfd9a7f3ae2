"""Runs one program under a deadline, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from matrix.process.preloaded import MARK, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import IO

#: Seconds a program may take until it is ready: interpreter, imports, tables and a busy machine.
STARTUP = 30.0
#: After so many seconds of silence it is looked at how many of them the host kept from this machine.
QUIET = 0.5
#: How many times as long the whole may take, at most, because of what the host keeps.
STRETCH = 10
#: Seconds that processes are given to leave by themselves after the program has ended, and at most, where they work on.
GRACE = 0.5
LONGEST_GRACE = 10.0
#: Bytes of output that are kept; a program that prints more is a broken one.
OUTPUT_LIMIT = 4_000_000


class Process(Protocol):
    """A program that was started, as `subprocess.Popen` describes it."""

    pid: int
    returncode: int | None

    # Properties, for a plain attribute would have to take whatever is assigned to it.
    @property
    def stdout(self) -> IO[bytes] | None:
        """What it prints."""

    @property
    def stderr(self) -> IO[bytes] | None:
        """What it prints of errors."""

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most `timeout` seconds, and return its exit status."""


class Start(Protocol):
    """Starts a program in a session of its own, its output in pipes."""

    def __call__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Process:
        """Start it; raise OSError where that is not possible."""


class Groups(Protocol):
    """Knows the running process groups and kills them if this process dies (see `matrix.process.watchdog`)."""

    def watch_group(self, pgid: int) -> None:
        """Take note of a process group."""

    def release_group(self, pgid: int) -> None:
        """Forget it."""


@dataclass(frozen=True)
class Execution:
    """How a program ran: what it printed, how it ended, and how long it took in seconds.

    `returncode` is negative for a death by signal, as in `subprocess`; it is None where the deadline passed.
    `left_behind` counts processes that were still there after the program had ended, and were killed.
    """

    output: str
    errors: str
    returncode: int | None
    timed_out: bool
    left_behind: int
    seconds: float

    @property
    def signal(self) -> str | None:
        """The signal the program died by, None where it did not or where it was us."""
        if self.returncode is None or self.returncode >= 0:
            return None
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:
            return f"SIG{-self.returncode}"


def start(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Process:
    """Start a program as `subprocess` does."""
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def execute(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline: float,
    groups: Groups,
    mark: str,
    startup: float = STARTUP,
    ready: bytes = b"\n",
    watch: Callable[[bytes], None] | None = None,
    start: Start = start,
) -> Execution:
    """Run a program in a session of its own and return what it printed and how it ended.

    `deadline` is the time in seconds for which the program may print nothing before it counts as hanging; until it
    has printed `ready` it has `startup` seconds. It is no hang while one of its processes runs or waits for a
    processor. In all it has no more than ten deadlines after those `startup` seconds. What a host gives to its other
    guests meanwhile does not count, but never does the whole take more than `STRETCH` times as long. Then its whole
    process group is killed. `watch` is given each piece of output as it comes. `start` starts the program. When this
    returns, no process of the program is left, its pipes are closed, and every orphan that the program made is
    reaped. Raises OSError where the program cannot be started.
    """
    _adopt_orphans()
    began = time.monotonic()
    process = start(command, {**env, MARK: mark}, cwd)
    groups.watch_group(process.pid)
    try:
        output, errors, timed_out = _read(process, deadline, startup, ready, watch)
        returncode = None if timed_out else process.wait()
    finally:
        seconds = time.monotonic() - began
        left = _end(process, mark)
        groups.release_group(process.pid)
    return Execution(
        output=output.decode("utf-8", "backslashreplace"),
        errors=errors.decode("utf-8", "backslashreplace"),
        returncode=returncode,
        timed_out=timed_out,
        left_behind=0 if timed_out else left,
        seconds=seconds,
    )


def _read(
    process: Process, deadline: float, startup: float, ready: bytes, watch: Callable[[bytes], None] | None
) -> tuple[bytes, bytes, bool]:
    """Read both pipes until the program has ended, or has been silent for too long (then the third value is true)."""
    assert process.stdout is not None
    assert process.stderr is not None
    buffers = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    output = buffers[process.stdout.fileno()]
    now = time.monotonic()
    longest = startup + 10 * deadline
    silent_until, last_moment, very_last = now + startup, now + longest, now + STRETCH * longest
    is_ready, host, host_in_all = False, _Host(), _Host()
    host_in_all.kept()  # what it kept before does not matter
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for descriptor in buffers:
            selector.register(descriptor, selectors.EVENT_READ)
        ended = _end_of(process, stack)
        if ended is not None:
            selector.register(ended, selectors.EVENT_READ)
        gone = False
        while selector.get_map().keys() & buffers.keys():
            now = time.monotonic()
            if now >= last_moment:
                last_moment = min(last_moment + host_in_all.kept(), very_last)
            if silent_until <= now < last_moment and not gone and _is_at_work(process.pid):
                silent_until = now + QUIET
            limit = min(silent_until, last_moment)
            if now >= limit:
                return bytes(output), bytes(buffers[process.stderr.fileno()]), not gone
            # Without pidfd (outside Linux) the end of the program is looked for from time to time.
            happened = selector.select(min(limit - now, QUIET if ended is not None else 0.05))
            if happened:
                host.forget()
            else:
                silent_until += host.kept()
            for key, _ in happened:
                descriptor = key.fd
                if descriptor == ended:
                    selector.unregister(descriptor)
                    gone, silent_until = True, time.monotonic() + GRACE
                    continue
                data = os.read(descriptor, 65_536)
                if not data:
                    selector.unregister(descriptor)
                elif len(buffers[descriptor]) < OUTPUT_LIMIT:
                    buffers[descriptor] += data
                    if watch and descriptor == process.stdout.fileno():
                        watch(data)
                if data and descriptor == process.stdout.fileno() and not gone:
                    is_ready = is_ready or ready in output
                    if is_ready:
                        silent_until = time.monotonic() + deadline
            if ended is None and not gone and process.poll() is not None:
                gone, silent_until = True, time.monotonic() + GRACE
        # Both pipes are closed: the program is ending, unless it closed them and goes on.
        try:
            process.wait(timeout=max(0.0, min(silent_until, last_moment) - time.monotonic()))
        except subprocess.TimeoutExpired:
            return bytes(output), bytes(buffers[process.stderr.fileno()]), True
    return bytes(output), bytes(buffers[process.stderr.fileno()]), False


def _is_at_work(session: int) -> bool:
    """Whether a process of a session runs, or waits for a processor or a disk; False where the system does not say."""
    for folder in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(folder.name))
        if stat and stat.session == session and stat.is_at_work:
            return True
    return False


class _Stat(NamedTuple):
    """What the kernel shows of a process."""

    name: str
    state: str
    group: int
    session: int

    @property
    def is_at_work(self) -> bool:
        """Whether it runs, or waits for a processor or a disk."""
        return self.state in "RD"


def _stat(pid: int) -> _Stat | None:
    """Return what `/proc/PID/stat` tells of a process; None where there is no such process, or no such file."""
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    fields = after.split()
    return _Stat(before.partition("(")[2], fields[0], int(fields[2]), int(fields[3]))


class _Host:
    """Says for how long this machine wanted to run and its host did not let it (the `steal` of `/proc/stat`)."""

    def __init__(self) -> None:
        self._before: list[int] = []

    def kept(self) -> float:
        """Return the seconds since it was asked last, of the processor that lost most; 0 the first time."""
        before, self._before = self._before, self._ticks()
        lost = max((now - then for now, then in zip(self._before, before, strict=False)), default=0)
        return lost / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """Begin anew."""
        self._before = []

    @staticmethod
    def _ticks() -> list[int]:
        try:
            lines = Path("/proc/stat").read_text().splitlines()[1:]
        except OSError:
            return []
        return [int(line.split()[8]) for line in lines if line.startswith("cpu")]


class _Grace:
    """The time some processes are given to leave: GRACE; up to LONGEST_GRACE while they work or the host keeps it."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._until, self._last_moment = now + GRACE, now + LONGEST_GRACE
        self._host = _Host()

    def is_over(self, pids: Iterable[int]) -> bool:
        """Whether those of the processes that are still there have had their time."""
        self._until += self._host.kept()
        now = time.monotonic()
        if now >= self._last_moment:
            return True
        return now >= self._until and not any((stat := _stat(pid)) and stat.is_at_work for pid in pids)


def _end_of(process: Process, stack: contextlib.ExitStack) -> int | None:
    """Return a descriptor that becomes readable when the program ends, None where the system has none."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor


def _end(process: Process, mark: str) -> int:
    """Kill what is left of a program, reap it, and return how many processes had to be killed after its end.

    Those that leave by themselves when the program has gone, such as its fork server, may do so first.
    """
    if process.poll() is not None:
        grace = _Grace()
        while (staying := _reap(_orphans(process.pid, mark))) and not grace.is_over(staying):
            time.sleep(0.002)
    left = _reap(_orphans(process.pid, mark)) if process.poll() is not None else set()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    # Orphans come to this process: those of the group are dying, those that left the group bear the mark.
    grace = _Grace()
    dying: set[int] = set()
    while (dying := _reap(_orphans(process.pid, mark) | dying)) and not grace.is_over(dying):
        for pid in dying:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    return len(left)


def _reap(pids: set[int]) -> set[int]:
    """Reap the dead among some children of this process and return the others."""
    alive = set()
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                alive.add(pid)
    return alive


def _orphans(group: int, mark: str) -> set[int]:
    """Return the adopted children of this process that belong to a cell, dead ones included."""
    found = set()
    for pid, stat in _children().items():
        if stat.group == group or stat.name == name_of(mark) or (stat.state != "Z" and _has_mark(pid, mark)):
            found.add(pid)
    return found


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environ.split(b"\0")


def _children() -> dict[int, _Stat]:
    """Return this process's children as the kernel lists them, by pid. Empty outside Linux."""
    found = {}
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            pids = path.read_text().split()
        except OSError:
            continue
        for pid in map(int, pids):
            if stat := _stat(pid):
                found[pid] = stat
    return found


_adopting = False


def _adopt_orphans() -> None:
    """Make orphans among the descendants children of this process (Linux: PR_SET_CHILD_SUBREAPER), once."""
    global _adopting  # noqa: PLW0603 - a property of the process, set once
    if _adopting or sys.platform != "linux":
        return
    pr_set_child_subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    _adopting = True
