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
from typing import TYPE_CHECKING, Protocol

import psutil

from matrix.process.watchdog import mark_of, marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import IO

#: Seconds a program may take until it is ready: interpreter, imports, tables and a busy machine.
STARTUP = 30.0
#: After so many seconds of silence it is looked at how many of them the host kept from this machine.
QUIET = 0.5
#: How many times as long the whole may take, at most, because of what the host keeps.
STRETCH = 10
#: Seconds that processes are given to exit by themselves after the program has ended, and at most, where they work on.
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


class Channel(Protocol):
    """Where a program reports what it does, beside what it prints."""

    def fileno(self) -> int:
        """Return a descriptor that is read without blocking, whose end is not reached while the program runs."""

    def received(self, data: bytes) -> None:
        """Take what was read from it."""

    @property
    def ready(self) -> bool:
        """Whether the program has reported that its preparations are over."""


class Start(Protocol):
    """Starts a program in a session of its own, its output in pipes."""

    def __call__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, mark: int) -> Process:
        """Start it, marked (see `watchdog.marking`); raise OSError where that is not possible."""


class Groups(Protocol):
    """Knows the running process groups and kills them if this process dies (see `matrix.process.watchdog`)."""

    def watch_group(self, pgid: int) -> None:
        """Take note of a process group."""

    def release_group(self, pgid: int) -> None:
        """Forget it."""


class Turn(Protocol):
    """The right to compute, of which there are as many as programs that may compute at once."""

    def lend(self) -> None:
        """Leave it to another program, because this one only waits; again changes nothing."""

    def take_back(self) -> None:
        """Compute again, without waiting for the other one; nothing if it was not lent."""


class _Own:
    """A turn that no other program wants."""

    def lend(self) -> None:
        pass

    def take_back(self) -> None:
        pass


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


def start(command: Sequence[str], env: Mapping[str, str], cwd: Path, mark: int) -> Process:
    """Start a program as `subprocess` does."""
    with marking(mark):
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
    mark: int,
    startup: float = STARTUP,
    channel: Channel | None = None,
    start: Start = start,
    turn: Turn | None = None,
) -> Execution:
    """Run a program in a session of its own and return what it printed and how it ended.

    `deadline` is the time in seconds for which the program may print and report nothing before it counts as hanging;
    until its `channel` is ready (without one: until it has printed a line) it has `startup` seconds. It does not hang
    while one of its processes runs or waits for a processor. In all it has at most ten deadlines after those `startup`
    seconds. Steal time does not count, but the whole never takes more than `STRETCH` times as long. Then its whole
    process group is killed. `start` starts the program. While it is silent and none of its processes runs, its `turn`
    is lent to another program. When this returns, no process of the program is left, its pipes are closed, and every
    orphan that the program made is reaped. Raises OSError if the program cannot be started.
    """
    adopt_orphans()
    began = time.monotonic()
    process = start(command, env, cwd, mark)
    groups.watch_group(process.pid)
    try:
        reading = _Reading(process, deadline, startup, channel, turn)
        timed_out = reading.until_the_end()
        returncode = None if timed_out else process.wait()
        reading.drain()
    finally:
        if turn:
            turn.take_back()
        seconds = time.monotonic() - began
        left = end(process, mark)
        groups.release_group(process.pid)
    return Execution(
        output=reading.output.decode("utf-8", "backslashreplace"),
        errors=reading.errors.decode("utf-8", "backslashreplace"),
        returncode=returncode,
        timed_out=timed_out,
        left_behind=0 if timed_out else left,
        seconds=seconds,
    )


class _Reading:
    """Reads what a program prints and reports until it ends or has been silent for too long."""

    def __init__(
        self, process: Process, deadline: float, startup: float, channel: Channel | None, turn: Turn | None
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._deadline, self._channel, self._turn = process, deadline, channel, turn or _Own()
        self.output, self.errors = bytearray(), bytearray()
        self._buffers = {process.stdout.fileno(): self.output, process.stderr.fileno(): self.errors}
        now = time.monotonic()
        longest = startup + 10 * deadline
        self._silent_until, self._last_moment, self._very_last = now + startup, now + longest, now + STRETCH * longest
        self._steal, self._steal_in_all = _StealTime(), _StealTime()
        self._steal_in_all.grown()  # what was stolen before does not matter
        self._gone = False

    def until_the_end(self) -> bool:
        """Read until the program has ended; return True if it had to be given up instead."""
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            for descriptor in self._buffers:
                selector.register(descriptor, selectors.EVENT_READ)
            if self._channel:
                selector.register(self._channel.fileno(), selectors.EVENT_READ)
            ended = _end_of(self._process, stack)
            if ended is not None:
                selector.register(ended, selectors.EVENT_READ)
            while selector.get_map().keys() & self._buffers.keys():
                limit = self._limit()
                now = time.monotonic()
                if now >= limit:
                    return not self._gone
                # Without pidfd (outside Linux) the end of the program is looked for from time to time.
                happened = selector.select(min(limit - now, QUIET if ended is not None else 0.05))
                if happened:
                    self._steal.forget()
                    self._turn.take_back()
                else:
                    self._silent_until += self._steal.grown()
                    if is_at_work(self._process.pid):
                        self._turn.take_back()
                    else:
                        self._turn.lend()
                for key, _ in happened:
                    if key.fd == ended:
                        selector.unregister(key.fd)
                        self._has_gone()
                    elif not self._read(key.fd):
                        selector.unregister(key.fd)
                if ended is None and not self._gone and self._process.poll() is not None:
                    self._has_gone()
        # Both pipes are closed: the program is ending, unless it closed them and goes on.
        try:
            self._process.wait(timeout=max(0.0, min(self._silent_until, self._last_moment) - time.monotonic()))
        except subprocess.TimeoutExpired:
            return True
        return False

    def drain(self) -> None:
        """Read what the program had reported and was not yet read when it ended."""
        while self._channel and self._report():
            pass

    def _limit(self) -> float:
        """Return the moment at which the program counts as hanging if nothing happens until then."""
        now = time.monotonic()
        if now >= self._last_moment:
            self._last_moment = min(self._last_moment + self._steal_in_all.grown(), self._very_last)
        if self._silent_until <= now < self._last_moment and not self._gone and is_at_work(self._process.pid):
            self._silent_until = now + QUIET
        return min(self._silent_until, self._last_moment)

    def _has_gone(self) -> None:
        self._gone, self._silent_until = True, time.monotonic() + GRACE

    def _read(self, descriptor: int) -> bool:
        """Read what is there; return False at the end of a pipe."""
        if descriptor not in self._buffers:
            self._report()
        else:
            data = os.read(descriptor, 65_536)
            if not data:
                return False
            buffer = self._buffers[descriptor]
            if len(buffer) < OUTPUT_LIMIT:
                buffer += data
            if buffer is not self.output:
                return True
        ready = self._channel.ready if self._channel else b"\n" in self.output
        if ready and not self._gone:
            self._silent_until = time.monotonic() + self._deadline
        return True

    def _report(self) -> bool:
        """Pass on what the program reported; return False if there is nothing."""
        assert self._channel is not None
        try:
            data = os.read(self._channel.fileno(), 65_536)
        except BlockingIOError:
            return False
        self._channel.received(data)
        return bool(data)


def is_at_work(session: int) -> bool:
    """Whether a process of a session runs, or waits for a processor or a disk; False if the system does not say."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session and _runs(pid):
                return True
    return False


def _runs(pid: int) -> bool:
    """Whether a process runs, or waits for a processor or a disk."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
    except psutil.Error:
        return False


class _StealTime:
    """Measures steal time: for how long this machine wanted to run and its host did not let it."""

    def __init__(self) -> None:
        self._before: list[float] = []

    def grown(self) -> float:
        """Return the seconds since the last call, of the processor that lost most; 0 the first time."""
        before, self._before = self._before, self._seconds()
        return max((now - then for now, then in zip(self._before, before, strict=False)), default=0.0)

    def forget(self) -> None:
        """Start measuring again."""
        self._before = []

    @staticmethod
    def _seconds() -> list[float]:
        return [getattr(times, "steal", 0.0) for times in psutil.cpu_times(percpu=True)]


class _Grace:
    """The time some processes have to exit: GRACE; up to LONGEST_GRACE while they work or time is stolen."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._until, self._last_moment = now + GRACE, now + LONGEST_GRACE
        self._steal = _StealTime()

    def is_over(self, pids: Iterable[int]) -> bool:
        """Whether those of the processes that are still there have had their time."""
        self._until += self._steal.grown()
        now = time.monotonic()
        if now >= self._last_moment:
            return True
        return now >= self._until and not any(map(_runs, pids))


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


def end(process: Process, mark: int) -> int:
    """Kill what is left of a program, reap it, and return how many processes had to be killed after its end.

    Those that exit by themselves when the program has gone, such as its fork server, may do so first.
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


def _orphans(group: int, mark: int) -> set[int]:
    """Return the adopted children of this process that belong to a program, dead ones included."""
    found = set()
    for pid in _children():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == group or mark_of(pid) == mark:
                found.add(pid)
    return found


def _children() -> list[int]:
    """Return this process's children. Linux lists them; elsewhere no process is adopted, and none is sought.

    `psutil` would look at every process of the machine, and this is asked every few milliseconds.
    """
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


_adopting = False


def adopt_orphans() -> None:
    """Make orphans among the descendants children of this process (Linux: PR_SET_CHILD_SUBREAPER), once."""
    global _adopting  # noqa: PLW0603 - a property of the process, set once
    if _adopting or sys.platform != "linux":
        return
    pr_set_child_subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    _adopting = True
