"""The transcript: what each process does and gets, one line when a step begins and one when it ends.

    12:30:01.500125 child 1  4712 look up 101
    12:30:01.500871 child 1  4712 look up 101: order 101, session 33

A line has the time (UTC), the process, its pid and the step. When the step has ended, its result follows:
`order N, session S`, `nothing` if the result had no row, `done`, or `raised` with the exception's class, its code and
the first line of its text.

If `STEP_RECORDS` names a pipe (FIFO), each line goes there too, as a JSON object. Programs read that: no text has to be
parsed.
"""

import functools
import json
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from .driver import error_code

Result = dict[str, Any]
_UTC = timezone.utc  # noqa: UP017 - versions/ has configurations for Python 3.10


def done(session: int | None = None, text: str | None = None) -> Result:
    """Return the result of a step that went well; `session` is the server session that it opened or checked out."""
    return {"result": "done", "session": session, "text": text}


def state(text: str) -> Result:
    """Return the result of a step that shows what the client believes of its transaction."""
    return {"result": "state", "text": text}


def answer(row: tuple[Any, ...] | None) -> Result:
    """Return the result of a step that reads an order: `row` is its number and the server session that sent it."""
    if row is None:
        return {"result": "nothing"}
    if len(row) == 2 and all(isinstance(value, int) for value in row):
        return {"result": "order", "order": row[0], "session": row[1]}
    return {"result": "row", "text": repr(row)}


def step(
    action: str,
    function: Callable[..., Any],
    *arguments: Any,
    about: int | None = None,
    result: Callable[[Any], Result] = lambda _: done(),
    **options: Any,
) -> Any:
    """Call `function`, report how it went, and return what it returned, or None if it raised.

    `about` is the order that the step is about; `result` makes the result to report out of what `function` returned.
    """
    report(action, about)
    try:
        value = function(*arguments, **options)
        outcome = result(value)
    except Exception as error:
        value, outcome = None, describe(error)
    report(action, about, outcome)
    return value


async def async_step(
    action: str,
    function: Callable[..., Awaitable[Any]],
    *arguments: Any,
    about: int | None = None,
    result: Callable[[Any], Result] = lambda _: done(),
    **options: Any,
) -> Any:
    """Await what `function` returns, and otherwise do what `step` does."""
    report(action, about)
    try:
        value = await function(*arguments, **options)
        outcome = result(value)
    except Exception as error:
        value, outcome = None, describe(error)
    report(action, about, outcome)
    return value


def read_order(action: str, function: Callable[..., Any], about: int) -> int | None:
    """Report a step that reads order `about`, and return the number of the order that came, None if none did.

    `function` returns the row: the order's number and the server session that sent it, or None.
    """
    return _order(step(action, function, about=about, result=answer))


async def async_read_order(action: str, function: Callable[[], Awaitable[Any]], about: int) -> int | None:
    """Await what `function` returns, and otherwise do what `read_order` does."""
    return _order(await async_step(action, function, about=about, result=answer))


def _order(row: Any) -> int | None:
    return row[0] if row and answer(row)["result"] == "order" else None


def original(error: BaseException) -> BaseException:
    """Return the driver's exception; the helper of an ORM that wraps it in one of its own replaces this function."""
    return error


def describe(error: BaseException) -> Result:
    """Return the result of a step that raised: the exception's class, its code, and the first line of its text."""
    kind, error = type(error), original(error)
    try:
        code = error_code(error)
    except AttributeError as problem:
        code = None
        if recording():
            record("trouble", {"text": f"where exceptions carry their code is not known: {problem}"})
    text = error.args[1] if code and len(error.args) > 1 and str(error.args[0]) == code else error
    return {
        "result": "raised",
        "error": f"{kind.__module__}.{kind.__qualname__}",
        "code": code,
        "text": str(text).strip().partition("\n")[0],
    }


def wait_for(child: Any) -> None:
    """Wait for a child, a `Process` or the pid of a fork, and report how it ended."""

    def wait() -> int:
        if isinstance(child, int):
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child.join()
        return child.exitcode

    def ended(status: int) -> Result:
        if status < 0:
            return {"result": "signal", "text": signal.Signals(-status).name}
        return {"result": "exit", "text": str(status)}

    step("wait", wait, result=ended)


def report(action: str, about: int | None = None, outcome: Result | None = None) -> None:
    """Report that a step begins (no `outcome`) or how it ended: a record and a printed line."""
    now, pid, who, thread = time.time(), os.getpid(), _process(), _thread()
    if recording():
        fields = {"who": who, "thread": thread or None, "pid": pid, "at": now, "action": action, "about": about}
        fields |= outcome or {}
        record("step", {name: value for name, value in fields.items() if value is not None})
    text = action if about is None else f"{action} {about}"
    if outcome:
        text += f": {words(outcome)}"
    name = f"{who}/{thread}" if thread else who
    line = f"{datetime.fromtimestamp(now, _UTC):%H:%M:%S.%f} {name:<8} {pid} {text}\n"
    sys.stdout.flush()
    # In a single write, so that processes do not mix within a line.
    os.write(1, line.encode(errors="replace"))


def words(outcome: Result) -> str:
    """Return a result as the transcript prints it."""
    match outcome["result"]:
        case "order":
            return f"order {outcome['order']}, session {outcome['session']}"
        case "nothing":
            return "nothing"
        case "row":
            return f"row {outcome['text']}"
        case "state":
            return outcome["text"]
        case "raised":
            code = f" {outcome['code']}" if outcome["code"] else ""
            return f"raised {outcome['error']}{code}: {outcome['text']}"
        case "done":
            over = "" if outcome["text"] is None else f", over {outcome['text']}"
            return "done" + (over if outcome["session"] is None else f", session {outcome['session']}")
    return f"{outcome['result']} {outcome['text']}"


# Processes.

_parent = os.getpid()
_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a property of the process
    _forks += 1


os.register_at_fork(before=_count_fork)


def _process() -> str:
    """Name this process as its parent counts it: children are numbered in the order they are started."""
    if multiprocessing.parent_process() is not None:
        return "child " + multiprocessing.current_process().name.rpartition("-")[2]
    return "parent" if os.getpid() == _parent else f"child {_forks}"


def _thread() -> str:
    """Name this thread, nothing if it is the process's main one."""
    thread = threading.current_thread()
    return "" if thread is threading.main_thread() else thread.name


# Records.


def recording() -> bool:
    """Whether records are asked for."""
    return "STEP_RECORDS" in os.environ


def record(kind: str, fields: dict[str, Any]) -> None:
    """Write a record to the pipe that `STEP_RECORDS` names; `text` is cut if the record would be too long.

    A pipe takes up to PIPE_BUF bytes whole, so that the records of several processes do not mix.
    """
    fields = {"type": kind} | fields
    line = _line(fields)
    while (excess := len(line) - select.PIPE_BUF) > 0 and fields.get("text"):
        # A character takes up to 6 bytes, as in `\u0000`.
        fields["text"] = fields["text"][: -(excess // 6 + 1)]
        line = _line(fields)
    os.write(_pipe(), line)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


@functools.cache
def _pipe() -> int:
    """Open the pipe, once: a forked process goes on with its parent's descriptor, a new interpreter opens its own."""
    return os.open(os.environ["STEP_RECORDS"], os.O_WRONLY | os.O_CLOEXEC)
