"""Has workers forked from a process that has imported the stack, then workers that import it themselves.

Each worker connects, looks up orders and reports the step `worked`. Then its memory can be read, until SIGUSR1 comes.
It collects garbage, reports `collected`, and waits once more.
"""

import gc
import importlib
import os
import signal
import sys
from typing import Any

from matrix.costs.programs import clock

#: Workers of a process, and look-ups of each.
WORKERS, LOOK_UPS = 4, 50


def in_child(function: Any, *arguments: Any) -> int:
    """Run a function in a forked process, and return its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function(*arguments)
            status = 0
        finally:
            os._exit(status)
    return pid


def wait_for(*pids: int) -> None:
    """Wait for processes; raise SystemExit if one failed."""
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(statuses):
        raise SystemExit("a worker failed")


def work(name: str) -> None:
    """Work, with the stack imported by now or not."""
    stack = clock.stack(name)
    transcript = importlib.import_module("example_support.transcript")
    for _ in range(LOOK_UPS):
        stack.look_up(clock.number())
    for action, function in {"worked": int, "collected": gc.collect}.items():
        transcript.step(action, function)
        signal.sigwait({signal.SIGUSR1})


def preloaded(name: str) -> None:
    """Import the stack, then fork workers."""
    clock.stack(name)
    wait_for(*(in_child(work, name) for _ in range(WORKERS)))


def loading(name: str) -> None:
    """Fork workers, which import the stack themselves."""
    wait_for(*(in_child(work, name) for _ in range(WORKERS)))


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    wait_for(in_child(lambda: clock.stack(sys.argv[2]).prepare()))
    for parent in (preloaded, loading):
        wait_for(in_child(parent, sys.argv[2]))
