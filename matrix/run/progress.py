"""Says how far a run is: one line that is rewritten in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: Seconds between two lines where there is no terminal.
PLAIN_INTERVAL = 10.0


class Progress:
    """A run's progress: counts, elapsed time and the slowest running cell. A context manager, thread-safe."""

    def __init__(self, total: int, what: str = "runs", stream: TextIO | None = None) -> None:
        self._total, self._what = total, what
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._running: dict[str, float] = {}
        self._done = self._odd = 0
        self._began = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repaint, daemon=True)

    def __enter__(self) -> Self:
        if self._terminal:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._terminal:
            self._thread.join()
            self._write("\r\x1b[K")

    def say(self, text: str) -> None:
        """Print a line of its own."""
        with self._lock:
            self._write(("\r\x1b[K" if self._terminal else "") + text + "\n")

    def begin(self, name: str) -> None:
        """Note that something has begun."""
        with self._lock:
            self._running[name] = time.monotonic()

    def end(self, name: str, *, odd: bool = False) -> None:
        """Note that it has ended, `odd` where it is not as expected."""
        with self._lock:
            self._running.pop(name, None)
            self._done += 1
            self._odd += odd
            now = time.monotonic()
            if not self._terminal and now - self._said >= PLAIN_INTERVAL and self._done < self._total:
                self._said = now
                self._write(self.line() + "\n")

    def line(self) -> str:
        """Return the state in one line."""
        now = time.monotonic()
        text = f"{self._done}/{self._total} {self._what}, {now - self._began:.0f} s"
        if self._done >= min(20, self._total):
            left = (now - self._began) / self._done * (self._total - self._done)
            text += f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"
        if self._odd:
            text += f", {self._odd} not as expected"
        if self._running:
            name, since = min(self._running.items(), key=lambda item: item[1])
            text += f", {name} for {now - since:.1f} s"
        return text

    def _repaint(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                width = _columns(self._stream) - 1
                self._write("\r\x1b[K" + self.line()[:width])

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._terminal = False


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 80
