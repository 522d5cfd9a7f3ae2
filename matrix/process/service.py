"""Runs a program that serves until it is stopped, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import psutil

from matrix.process.execute import QUIET, STRETCH, adopt_orphans, end, is_at_work
from matrix.process.watchdog import marking

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from matrix.process.execute import Channel, Groups

#: Lines of output that are kept.
LINES = 2000
#: The last line of a traceback.
_EXCEPTION = re.compile(r"[\w.]+(?:Error|Exception): ")


class Service:
    """A program in a session of its own; a context manager that ends it and every process that it started.

    What it prints and reports is read by a thread until the program is gone. `lines` are what it printed, with the time
    of each in seconds since the epoch.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        groups: Groups,
        mark: int,
        channel: Channel | None = None,
        stdin: bool = False,
    ) -> None:
        self._command, self._env, self._cwd = command, env, cwd
        self._groups, self._mark, self._channel, self._stdin = groups, mark, channel, stdin
        self._stopped, self._stopping = os.pipe()
        self.lines: list[tuple[float, str]] = []
        self.left_behind = 0

    def __enter__(self) -> Self:
        adopt_orphans()
        try:
            with marking(self._mark):
                self._process = subprocess.Popen(
                    self._command,
                    env=self._env,
                    cwd=self._cwd,
                    stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except BaseException:
            self._close()
            raise
        self._groups.watch_group(self._process.pid)
        self._reader = threading.Thread(target=self._read, name="service", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._groups.release_group(self._process.pid)

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The program's exit status, negative for a signal, None while it runs."""
        return self._process.poll()

    def descendants(self) -> list[int]:
        """Return the processes that it started, and those that they did."""
        with contextlib.suppress(psutil.Error):
            return [each.pid for each in psutil.Process(self.pid).children(recursive=True)]
        return []

    def stop(self, number: signal.Signals, patience: float) -> bool:
        """Send the program a signal and wait; return whether it has exited."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return self.wait(lambda: not self.alive, patience)

    def wait(self, until: Callable[[], bool], patience: float) -> bool:
        """Wait until something is so; return whether it is.

        That is at most `patience` seconds in which no process of the program's session wants to run, and `STRETCH`
        times as long in all, because the processes of an overloaded host have to wait for their turn.
        """
        now = time.monotonic()
        limit, last = now + patience, now + STRETCH * patience
        while not (happened := until()):
            now = time.monotonic()
            if now > limit:
                if now > last or not is_at_work(self.pid):
                    break
                limit = now + QUIET
            time.sleep(0.01)
        return happened

    def write(self, data: bytes) -> None:
        """Write to the program's standard input; raise OSError if it reads no more."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def last_words(self) -> str:
        """Return the last exception that it printed, else its last line: launchers print more after a traceback."""
        if not self.alive:
            self._reader.join(1)  # what it printed last may not have been read yet
        lines = [line.strip() for _, line in reversed(self.lines) if line.strip()]
        return next(filter(_EXCEPTION.match, lines), lines[0] if lines else "it printed nothing")

    def _read(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        pipes = {self._process.stdout.fileno(): b"", self._process.stderr.fileno(): b""}
        with selectors.DefaultSelector() as selector:
            for descriptor in (*pipes, self._stopped):
                selector.register(descriptor, selectors.EVENT_READ)
            if self._channel:
                selector.register(self._channel.fileno(), selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._stopped:
                        return
                    if key.fd not in pipes:
                        self._report()
                    elif data := os.read(key.fd, 65_536):
                        *lines, pipes[key.fd] = (pipes[key.fd] + data).split(b"\n")
                        now = time.time()
                        self.lines += [(now, line.decode(errors="backslashreplace")) for line in lines]
                        del self.lines[:-LINES]
                    else:
                        selector.unregister(key.fd)

    def _report(self) -> bool:
        assert self._channel is not None
        try:
            data = os.read(self._channel.fileno(), 65_536)
        except BlockingIOError:
            return False
        self._channel.received(data)
        return bool(data)

    def _end(self) -> None:
        os.write(self._stopping, b".")
        self._reader.join()
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self.left_behind = end(self._process, self._mark)
        while self._channel and self._report():
            pass
        self._close()

    def _close(self) -> None:
        os.close(self._stopped)
        os.close(self._stopping)
