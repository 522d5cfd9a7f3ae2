"""Steps of the made-up examples."""

from drivers.helper import report


def step(action, function, *arguments):
    """Call a function, and report that it was called."""
    report(action)
    value = function(*arguments)
    report(action, result="done")
    return value
