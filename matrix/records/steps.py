"""What an example reports of itself: a record for each step, and one that says which driver it really used.

Records come from `example_support` as lines of JSON, through the pipe that `STEP_RECORDS` names. They hold what the
line that people read holds, so that no text has to be parsed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from matrix.errors import UnreadableError

#: How a step ended.
Result = Literal["order", "nothing", "row", "done", "state", "exit", "signal", "raised"]
#: Steps that read an order.
READING = ("look up", "read")
#: Steps that work on a connection of their own, through which the server is made to hold back its results.
HOLDING = ("hold answers", "watch", "release answer")


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="step"):
    """A step that begins (`result` is None) or that has ended.

    `at` is seconds since the epoch, 0 where it does not matter. `who` is `parent` or `child N`; `thread` is empty in a
    process's main thread. `about` is the order that the step is about. What the other fields hold depends on `result`:

    | result | fields |
    |---|---|
    | `order` | `order`, the number of the order that came, and `session`, the server session that sent it |
    | `nothing` | none: the result had no row |
    | `row` | `text`, a row that is no order |
    | `done` | `session` if the step opened or checked out a connection; `text`, the transport, if it prepared |
    | `state` | `text`, what the driver believes of its transaction |
    | `exit` | `text`, a child's exit status |
    | `signal` | `text`, the name of the signal that a child died by |
    | `raised` | `error`, the class of the exception, its `code` or None, and the first line of its `text` |

    `session` is the server's number while a cell runs, and a letter in results.
    """

    who: str
    action: str
    about: int | None = None
    result: Result | None = None
    order: int | None = None
    session: int | str | None = None
    error: str | None = None
    code: str | None = None
    text: str | None = None
    thread: str = ""
    pid: int = 0
    at: float = 0.0

    @property
    def name(self) -> str:
        """The step in words, `look up 101`."""
        return self.action if self.about is None else f"{self.action} {self.about}"

    @property
    def exception(self) -> str | None:
        """Class and code of the exception that ended the step, `pymysql.err.OperationalError 2013`."""
        return " ".join(filter(None, [self.error, self.code])) if self.result == "raised" else None

    @property
    def right(self) -> bool:
        """Whether the step read the order that it asked for."""
        return self.action in READING and self.about is not None and self.order == self.about

    @property
    def wrong(self) -> bool:
        """Whether the step read something else than the order that it asked for, without an error."""
        ended = self.action in READING and self.about is not None and self.result is not None
        return ended and self.result != "raised" and self.order != self.about

    @property
    def went_wrong(self) -> bool:
        """Whether the step raised, read something else than it asked for, or saw a child die by a signal."""
        return self.wrong or self.result in ("raised", "signal")

    @property
    def signal(self) -> str | None:
        """The signal that a child was seen to die by, None where it did not."""
        return self.text if self.result == "signal" else None

    @property
    def outcome(self) -> str:
        """The result in words, as the transcript has it; empty where the step begins."""
        match self.result:
            case None:
                return ""
            case "order":
                return f"order {self.order}, session {self.session}"
            case "row":
                return f"row {self.text}"
            case "done":
                over = f", over {self.text}" if self.text else ""
                return f"done{over}" if self.session is None else f"done, session {self.session}"
            case "state":
                return self.text or ""
            case "exit" | "signal":
                return f"{self.result} {self.text}"
            case "raised":
                return f"raised {self.exception}: {self.text or ''}"
        return self.result

    def __str__(self) -> str:
        """Return the line of the transcript, without time and pid."""
        who = f"{self.who}/{self.thread}" if self.thread else self.who
        return f"{who:<8} {self.name}" + (f": {self.outcome}" if self.result else "")


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="identity"):
    """What a process really used, as told by its connection and not by the name of its cell.

    `module` is the top-level package of the connection's class, `distribution` and `version` are what is installed
    that provides it. `implementation` is the driver's own word for how it is built, such as `c`, `python` or `binary`.
    `library` is the C library underneath, None where there is none. `server` is the version that the server reports.
    `stack` is `bare` or the ORM and its version.
    """

    pid: int
    module: str
    distribution: str
    version: str
    implementation: str
    library: str | None = None
    server: str
    stack: str


class Trouble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="trouble"):
    """What an example could not report, in one sentence: its other records are evidence for nothing."""

    text: str


Record = Step | Identity

_decoder = msgspec.json.Decoder(Step | Identity | Trouble)


def read_records(data: bytes, *, first: int = 1) -> list[Record]:
    """Return the records in what came through the pipe, one a line, of which the first has the number `first`.

    Raises UnreadableError, with the line's number and the field, where a line is not what is defined here, and where it
    reports trouble.
    """
    found: list[Record] = []
    for number, line in enumerate(data.splitlines(), first):
        try:
            record = _decoder.decode(line)
            if isinstance(record, Step):
                check(record)
        except (msgspec.DecodeError, ValueError) as error:
            raise UnreadableError(f"record {number} cannot be read: {error}") from None
        if isinstance(record, Trouble):
            raise UnreadableError(record.text)
        found.append(record)
    return found


#: The fields that a step must have, by its result. Others may not be there.
_FIELDS: dict[str | None, tuple[set[str], set[str]]] = {
    None: (set(), set()),
    "order": ({"order", "session"}, set()),
    "nothing": (set(), set()),
    "row": ({"text"}, set()),
    "done": (set(), {"session", "text"}),
    "state": ({"text"}, set()),
    "exit": ({"text"}, set()),
    "signal": ({"text"}, set()),
    "raised": ({"error", "text"}, {"code"}),
}


def check(step: Step) -> None:
    """Raise ValueError where a step's fields do not fit its result."""
    needed, allowed = _FIELDS[step.result]
    there = {name for name in ("order", "session", "error", "code", "text") if getattr(step, name) is not None}
    if missing := needed - there:
        raise ValueError(f"`{step.name}` ended with `{step.result}` and has no `{min(missing)}`")
    if extra := there - needed - allowed:
        raise ValueError(f"`{step.name}` with result `{step.result}` cannot have `{min(extra)}`")
