"""What the programs share: a clock, and how they report what they measured."""

import importlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

#: The orders that are looked up, one after the other: as many as there are.
_numbers = itertools.cycle(range(1, 500))
#: Rounds before those that count: connections are opened, statements prepared, caches filled.
WARM_UP = 3
#: How often a round does each thing; the fastest counts, because whatever else the machine does can only add to it.
TIMES = 5
#: Seconds that a server needs to end a few sessions.
PAUSE = 0.005


def stack(name: str) -> Any:
    """Return the module of a stack."""
    return importlib.import_module(f"matrix.costs.programs.stacks.{name}")


def number() -> int:
    """Return the next order to look up."""
    return next(_numbers)


def timed(function: Callable[..., Any], *arguments: Any) -> int:
    """Return for how many nanoseconds a function runs."""
    began = time.perf_counter_ns()
    function(*arguments)
    return time.perf_counter_ns() - began


def fastest(measure: Callable[[], int]) -> int:
    """Return the least nanoseconds of several times."""
    return min(measure() for _ in range(TIMES))


def fastest_query(look_up: Callable[[int], None]) -> int:
    """Return for how many nanoseconds a look-up runs, the fastest of several."""
    return fastest(lambda: timed(look_up, number()))


def settle() -> None:
    """Let the server end what was closed, so that it does not disturb what is measured next."""
    time.sleep(PAUSE)


def rounds(count: int, measure: Callable[[], dict[str, int]], *, warm_up: int = WARM_UP) -> dict[str, list[int]]:
    """Measure again and again, and return what was measured by name, an entry for each round that counts.

    Each round prints a line, so that the caller sees that it does not hang.
    """
    measured = []
    for round_ in range(warm_up + count):
        measured.append(measure())
        print("round", round_ + 1, flush=True)
    return {name: [each[name] for each in measured[warm_up:]] for name in measured[0]}


def compared(base: str, title: str, query: str = "query") -> dict[str, str]:
    """Say what one of the things that were measured is compared with, by name, and what to call it."""
    return {"base": base, "query": query, "title": title}


def report(samples: dict[str, list[int]], comparisons: dict[str, dict[str, str]]) -> None:
    """Print what was measured, and what to compare, as the last line."""
    print(json.dumps({"samples": samples, "compared": comparisons}), flush=True)
