"""Reads the transcript that an example prints, and takes out of it what differs from run to run.

The grammar is the examples' own (see `drivers/helper.py`): a line when a step begins and a line when it ends.

    12:30:01.500125 child 1  4712 look up 101
    12:30:01.500871 child 1  4712 look up 101: order 101, session 33
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE = re.compile(
    r"(?P<time>\d\d:\d\d:\d\d\.\d{6}) (?P<who>(?:parent|child \d+)(?:/\S+)?) +(?P<pid>\d+) "
    r"(?P<action>[a-z][a-z -]*?)(?: (?P<about>\d+))?(?:: (?P<result>.*))?"
)
_ANSWER = re.compile(r"order (?P<order>-?\d+), session (?P<session>\d+)")
_CONNECTED = re.compile(r"done, session (?P<session>\d+)")
_RAISED = re.compile(r"raised (?P<kind>[\w.<>]+)(?: (?P<code>\w+))?: ?(?P<text>.*)")
_SIGNAL = re.compile(r"signal (?P<signal>\w+)")
_LOOK_UPS = ("look up", "read")


@dataclass(frozen=True)
class Line:
    """One line: a step that begins (`result` is None) or that ended.

    `who` is `parent` or `child N`; `thread` is empty in a process's main thread; `time` is seconds since midnight, UTC.
    """

    time: float
    who: str
    thread: str
    pid: int
    action: str
    about: int | None
    result: str | None
    text: str

    @property
    def step(self) -> str:
        """The step in words, `look up 101`."""
        return self.action if self.about is None else f"{self.action} {self.about}"

    @property
    def answer(self) -> int | None:
        """The number of the order that a look-up was answered with, None where there was none."""
        match = _ANSWER.fullmatch(self.result or "")
        return int(match["order"]) if match else None

    @property
    def session(self) -> int | None:
        """The server session that the line names, None where it names none."""
        match = _ANSWER.fullmatch(self.result or "") or _CONNECTED.fullmatch(self.result or "")
        return int(match["session"]) if match else None

    @property
    def error(self) -> str | None:
        """Class and code of the exception that ended the step, `pymysql.err.OperationalError 2013`."""
        match = _RAISED.fullmatch(self.result or "")
        return " ".join(filter(None, match.group("kind", "code"))) if match else None

    @property
    def message(self) -> str:
        """The first line of the exception's text, empty where there was none."""
        match = _RAISED.fullmatch(self.result or "")
        return match["text"] if match else ""

    @property
    def right(self) -> bool:
        """Whether the line is a look-up answered with the order that was asked for."""
        return self.action in _LOOK_UPS and self.about is not None and self.answer == self.about

    @property
    def wrong(self) -> bool:
        """Whether the line is a look-up that ended without an error and without the order asked for."""
        ended = self.action in _LOOK_UPS and self.about is not None and self.result is not None
        return ended and self.error is None and self.answer != self.about

    @property
    def signal(self) -> str | None:
        """The signal that a child was seen to die by, None where it did not."""
        match = _SIGNAL.fullmatch(self.result or "") if self.action == "wait" else None
        return match["signal"] if match else None


def parse(output: str) -> tuple[list[Line], list[str]]:
    """Return the lines of a transcript and, apart, whatever else the program printed."""
    lines, other = [], []
    for text in output.splitlines():
        match = _LINE.fullmatch(text)
        if match is None:
            other.append(text)
            continue
        who, _, thread = match["who"].partition("/")
        try:
            clock = time.fromisoformat(match["time"])
        except ValueError:
            other.append(text)
            continue
        seconds = timedelta(
            hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond
        ).total_seconds()
        about = int(match["about"]) if match["about"] else None
        lines.append(Line(seconds, who, thread, int(match["pid"]), match["action"], about, match["result"], text))
    return lines, other


def moment(line: Line, near: float) -> float:
    """Return the line's time as seconds since the epoch: the moment nearest to `near`, which is one too."""
    midnight = datetime.combine(date.fromtimestamp(near), time(), UTC).timestamp()
    return min((midnight + line.time + day * 86_400 for day in (-1, 0, 1)), key=lambda t: abs(t - near))


class Names:
    """Names that stay the same from run to run for what does not: server sessions, pids, ports, folders."""

    def __init__(self) -> None:
        self._sessions: dict[int, str] = {}

    def session(self, number: int) -> str:
        """Return the session's letter, in the order in which sessions are first named: A, B, ..., Z, AA."""
        if number not in self._sessions:
            count, letters = len(self._sessions) + 1, ""
            while count:
                count, digit = divmod(count - 1, 26)
                letters = chr(ord("A") + digit) + letters
            self._sessions[number] = letters
        return self._sessions[number]

    def plain(self, line: Line) -> str:
        """Return the line without time and pid, with sessions, ports and temporary paths named stably."""
        who = f"{line.who}/{line.thread}" if line.thread else line.who
        if line.result is None:
            return f"{who:<8} {line.step}"
        result = line.result
        if line.session is not None:
            result = re.sub(r"session \d+", f"session {self.session(line.session)}", result)
        elif line.error:
            result = stable(result)
        return f"{who:<8} {line.step}: {result}"


def stable(text: str) -> str:
    """Return an error's text without what differs from run to run: ports, pids, addresses, folders."""
    text = re.sub(r"\bport:? \d+", "port N", text)
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+", "N", text)
    text = re.sub(r"\b(pid|process|PID|session|thread)(:?) \d+", r"\1\2 N", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", text)
    text = re.sub(r"(?:/[\w.+-]+)+/(?=[\w.+-]+)", ".../", text)
    return re.sub(r"\b[a-z]+_[0-9a-f]{8}_\d+\b", "DATABASE", text)


def sessions(lines: Iterable[Line]) -> list[int]:
    """Return the server sessions that the lines name, in order, each once."""
    return list(dict.fromkeys(line.session for line in lines if line.session is not None))
