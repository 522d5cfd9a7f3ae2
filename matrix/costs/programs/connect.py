"""Measures a connect of the driver by itself beside look-ups on a connection that is open.

A connect ends when the driver returns the connection. Closing it is not measured.
"""

import sys
from typing import Any

from matrix.costs.programs import clock
from matrix.costs.programs.stacks import bare


def connect() -> int:
    """Return the nanoseconds that a connect takes."""
    opened: list[Any] = []
    nanoseconds = clock.timed(lambda: opened.append(bare.connect()))
    bare.close(opened.pop())
    return nanoseconds


def measure() -> dict[str, int]:
    """Measure a round."""
    clock.settle()
    return {"query": clock.fastest_query(bare.look_up), "connect": clock.fastest(connect)}


if __name__ == "__main__":
    bare.prepare()
    clock.report(clock.rounds(int(sys.argv[1]), measure), {"connect": clock.compared("query", "connect")})
