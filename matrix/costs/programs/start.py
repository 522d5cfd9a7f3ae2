"""Measures starting a worker with each start method, in a process that has imported the stack.

A worker has started when its target runs: what the target needs is imported by then. The fork server is running
before anything is measured. `forkserver_preloaded` is a fork server that has imported the stack.
"""

import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from matrix.costs.programs import clock

OTHERS = {
    "forkserver_preloaded": "`forkserver` with `set_forkserver_preload()`",
    "forkserver": "`forkserver`",
    "spawn": "`spawn`",
}


def target(_: Callable[[int], None], started: multiprocessing.connection.Connection) -> None:
    """Report when this process runs its first line. What it was given is imported by then."""
    started.send(time.monotonic_ns())


def start(method: str, look_up: Callable[[int], None]) -> int:
    """Start a worker, and return the nanoseconds until it runs its target."""
    context: Any = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(look_up, writer))
    began = time.monotonic_ns()
    process.start()
    nanoseconds = reader.recv() - began
    process.join()
    reader.close()
    writer.close()
    return int(nanoseconds)


class Preloaded:
    """A process of its own, with a fork server of its own, that starts workers when it is asked to."""

    def __init__(self, module: str) -> None:
        """Fork it, before this process has opened a connection."""
        requests, self._asks = os.pipe()
        self._answers, answers = os.pipe()
        if os.fork() == 0:
            try:
                os.close(self._asks)
                multiprocessing.set_forkserver_preload([module])
                while os.read(requests, 1):
                    os.write(answers, start("forkserver", sys.modules[module].look_up).to_bytes(8))
            finally:
                os._exit(0)
        os.close(requests)
        os.close(answers)

    def start(self) -> int:
        """Have it start a worker, and return the nanoseconds until that runs its target."""
        os.write(self._asks, b"?")
        return int.from_bytes(os.read(self._answers, 8))


def main() -> None:
    """Measure."""
    stack = clock.stack(sys.argv[2])
    preloaded = Preloaded(stack.__name__)
    stack.prepare()

    def measure() -> dict[str, int]:
        return {
            "query": clock.fastest_query(stack.look_up),
            "fork": clock.fastest(lambda: start("fork", stack.look_up)),
            "forkserver_preloaded": clock.fastest(preloaded.start),
            "forkserver": start("forkserver", stack.look_up),
            "spawn": start("spawn", stack.look_up),
        }

    comparisons = {name: clock.compared("fork", title) for name, title in OTHERS.items()}
    comparisons = {"fork": clock.compared("query", "`fork`"), **comparisons}
    clock.report(clock.rounds(int(sys.argv[1]), measure, warm_up=1), comparisons)


if __name__ == "__main__":
    main()
