"""Measures a unit of work of a stack in each way to hold connections."""

import sys

from matrix.costs.programs import clock

stack = clock.stack(sys.argv[2])


ways = list(stack.WAYS)


def measure() -> dict[str, int]:
    """Measure a round, each beginning with another way."""
    ways.append(ways.pop(0))
    measured = {}
    for name in ways:
        clock.settle()
        measured[name] = clock.fastest_query(stack.WAYS[name])
    return measured


if __name__ == "__main__":
    stack.prepare()
    others = {name: clock.compared("open", title, "open") for name, title in stack.TITLES.items() if name != "open"}
    clock.report(clock.rounds(int(sys.argv[1]), measure), others)
