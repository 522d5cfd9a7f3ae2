"""Measures a unit of work of a stack in each way to hold connections."""

import sys

from matrix.costs.programs import clock

stack = clock.stack(sys.argv[2])


def measure() -> dict[str, int]:
    """Measure a round."""
    return {name: clock.fastest_query(way) for name, way in stack.WAYS.items()}


if __name__ == "__main__":
    stack.prepare()
    others = {name: clock.compared("open", title, "open") for name, title in stack.TITLES.items() if name != "open"}
    clock.report(clock.rounds(int(sys.argv[1]), measure), others)
