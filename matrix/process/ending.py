"""Ends a command before its time in one way, whatever asks for it: Ctrl-C, SIGTERM, SIGHUP, or the end of nox."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: Names the process with which a command ends, by its number. The noxfile sets it: killing nox alone would otherwise
#: leave the run and its servers behind.
PARENT = "MATRIX_PARENT"
#: Seconds between two looks at that process.
INTERVAL = 0.5
#: Seconds that a command may take to end. A signal that comes later ends it at once, without dropping databases.
PATIENCE = 30.0


class InterruptedBySignal(KeyboardInterrupt):
    """A signal asks this command to end. `status` is the exit status that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise InterruptedBySignal once in the main thread when this command is to end.

    Further signals are ignored for PATIENCE seconds while the command ends: nox sends a second one after a moment, and
    a terminal one for each Ctrl-C, which would break off what drops databases and stops servers. A signal that is
    ignored, as SIGHUP is under `nohup`, stays ignored.
    """
    ending_since: float | None = None

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal ending_since
        if ending_since is None:
            ending_since = time.monotonic()
            raise InterruptedBySignal(number)
        if time.monotonic() - ending_since > PATIENCE:
            os._exit(128 + number)  # the watchdog ends programs and servers, and removes folders

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    handled = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, interrupt)
    if parent := os.environ.get(PARENT):
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True, name="parent").start()
    try:
        yield
    finally:
        for number in handled:
            # A second signal may come as late as while the interpreter ends, and must not change the exit status.
            signal.signal(number, before[number] if ending_since is None else signal.SIG_IGN)


def _end_with(pid: int) -> None:
    """Interrupt this command as soon as a process has ended."""
    import psutil  # noqa: PLC0415 - in its own thread, so that no command waits for it

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
