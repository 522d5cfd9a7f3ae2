"""The function that stands for an application's `look_up` in a cell."""

import functools
import importlib
import os
import re

from example_support import transcript
from example_support.driver import protocol
from example_support.identity import report_identity

#: A module beside this one: how the stack opens connections and wraps exceptions.
stack = importlib.import_module(f"launchers.recorder.{os.environ['RECORDED_STACK']}_stack")
transcript.original = stack.original

reported = False


def recorded(look_up):
    """Return a function that calls `look_up`, and reports each call and the first connection."""

    @functools.wraps(look_up)
    def reporting(number):
        transcript.report("look up", number)
        try:
            item = look_up(number)
        except Exception as error:
            transcript.report("look up", number, transcript.describe(error))
            raise
        transcript.report("look up", number, transcript.answer(row(item)))
        return item

    stack.watch(report)
    return reporting


def row(item):
    """Return the number of an order and the session that sent it: the server writes both into what was ordered."""
    if item is None:
        return None
    match = re.fullmatch(r"order (\d+), session (\d+)", item)
    return tuple(map(int, match.groups())) if match else (item,)


def report(connection, query):
    """Report the driver's `connection`, which is new, and how it reaches the server: once, not in each child.

    `query` runs a query on it and returns its only row.
    """
    global reported
    if reported:
        return
    reported = True

    def ask():
        over = protocol.transport(query)
        report_identity(connection, query, stack=stack.VERSION)
        return over

    transcript.step("prepare", ask, result=lambda over: transcript.done(text=over))
