"""Measures a fork with the hooks of `discarded_at_fork` and without, while connections are open.

A fork is measured from the call of `os.fork()` to the child's first line. The hooks are those that the remedy
registers. They are registered through a switch, so that the same process forks with them and without them.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from matrix.costs.programs import clock

#: How many connections are open.
COUNTS = (1, 10, 100)

stack = clock.stack(sys.argv[2])
reader, writer = os.pipe()
switched_on = False


def register(**functions: Callable[[], Any]) -> None:
    """Stand in for `os.register_at_fork`: register functions through the switch."""

    def switched(function: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: function() if switched_on else None

    os_register_at_fork(**{name: switched(function) for name, function in functions.items()})


os_register_at_fork = os.register_at_fork


def fork(*, hook: bool) -> int:
    """Fork with the hooks or without, and return the nanoseconds until the child's first line."""
    global switched_on  # noqa: PLW0603 - hooks stay registered
    switched_on = hook
    began = time.monotonic_ns()
    pid = os.fork()
    if pid == 0:
        os.write(writer, time.monotonic_ns().to_bytes(8))
        os._exit(0)
    os.waitpid(pid, 0)
    return int.from_bytes(os.read(reader, 8)) - began


def measure() -> dict[str, int]:
    """Measure a round."""
    forks = [(fork(hook=False), fork(hook=True)) for _ in range(clock.TIMES)]
    return {
        "query": clock.fastest_query(stack.look_up),
        "without": min(without for without, _ in forks),
        "hook": min(hook for _, hook in forks),
    }


def main() -> None:
    """Measure with more and more connections."""
    stack.prepare()
    samples: dict[str, list[int]] = {}
    comparisons: dict[str, dict[str, str]] = {}
    opened: list[Any] = []
    for before, count in itertools.pairwise((0, *COUNTS)):
        with mock.patch("os.register_at_fork", register):
            opened += stack.open_connections(count - before)
        found = clock.rounds(int(sys.argv[1]), measure)
        samples |= {f"{name}_{count}": values for name, values in found.items()}
        comparisons[f"hook_{count}"] = clock.compared(f"without_{count}", f"{count} open", f"query_{count}")
    clock.report(samples, comparisons)


if __name__ == "__main__":
    main()
