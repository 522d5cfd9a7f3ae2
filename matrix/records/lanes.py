"""Turns what happened in one cell into rows of lanes, as plain data for whatever draws them.

There is a lane for each process and one for the server. `drawing` gives the rows from evidence or, where a cell has
none, from the steps of its observation. The terminal, the pages and the report draw these rows, each in its own way:

    parent              child 1             server
    connect: done
                        look up 101: ...
                        →A COM_QUERY ...
                                            A→ rows 1: (101, ...)

A drawer that prints text writes `row.label` into the column `row.lane or "server"`. One that draws arrows draws them
between the lane and the session, with `row.text` at the arrow. No reader of a row has to parse a text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from matrix.records.evidence import BY_ORDER, Entry, Evidence, step_entries
from matrix.records.steps import HOLDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.records.observation import Observation

#: What a row is. See `Row`.
RowKind = Literal["begin", "end", "step", "sent", "received", "mark", "note", "omitted"]


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One moment, in one lane.

    `at` is milliseconds since the first step began, None where times are not known. `lane` is a process, `server`, or
    empty where no lane fits: the sender is unknown (`sent`), or the row is about no process (`mark`, `omitted`).

    | kind | what happened | other fields |
    |---|---|---|
    | `begin` | a step began, and something else happened before its end | |
    | `end` | that step ended | `began`: the index of its row, None if that was omitted; `wrong` |
    | `step` | a step, with nothing between its begin and its end | `until`: when it ended; `wrong` |
    | `sent` | the client's side sent something, opened the connection, or closed it | `how`, `sure`, `closes` |
    | `received` | the server's side did | `reader`, `reply_to`, `closes` |
    | `mark` | something about a connection that neither side did, such as a message that was not delivered | |
    | `note` | what the server reported or logged | |
    | `omitted` | how many events are not shown | |

    `session` is the letter of the server session, None where it is unknown or there is none. `wrong`: the step raised,
    read a wrong row, or saw a child die by a signal. `how`: what the sender was attributed by; `sure` is false where
    that is an inference, or the sender is unknown. `closes`: the socket was closed or reset. `reader`: the one process
    that can have read it, None where several can. `reply_to`: the process whose query it answers, given only where
    several processes use the session.
    """

    kind: RowKind
    text: str
    lane: str = ""
    at: float | None = None
    until: float | None = None
    session: str | None = None
    began: int | None = None
    wrong: bool = False
    how: str | None = None
    sure: bool = True
    closes: bool = False
    reader: str | None = None
    reply_to: str | None = None

    @property
    def label(self) -> str:
        """The row as text: `→A` was sent on session A, `A→` came on it, `(A)` is about it."""
        session = self.session or "?"
        match self.kind:
            case "sent":
                unknown = "" if self.lane else f" [{self.how}]"
                return f"→{session} {self.text}{unknown}"
            case "received":
                reply = f" [reply to {self.reply_to}]" if self.reply_to else ""
                return f"{session}→ {self.text}{reply}"
            case "note" | "mark" if self.session:
                return f"({session}) {self.text}"
        return self.text


class Drawing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened in one cell: the lanes' processes, the sessions by letter, and the rows.

    `timed` says whether the rows have times and what went over the wire, or steps alone.
    """

    processes: list[str] = []
    sessions: list[str] = []
    timed: bool = False
    rows: list[Row] = []


def drawing(
    observation: Observation, evidence: Evidence | None = None, *, limit: int | None = None, holding: bool = True
) -> Drawing:
    """Return a cell's rows: from its evidence, or from the steps of its observation where there is none.

    Of more than `limit` events the middle is omitted, and a row says so. Without `holding`, what an example does on a
    connection of its own to hold results back is left to its steps.
    """
    if evidence and evidence.timeline:
        entries, timed = list(evidence.timeline), True
        processes, sessions = evidence.processes, evidence.sessions
    else:
        entries, timed = step_entries(observation.steps), False
        processes = sorted({_process(entry) for entry in entries}, key=_order)
        sessions = list(dict.fromkeys(entry.session for entry in entries if entry.session))
        if observation.omitted:
            gap = Entry(at=0, kind="omitted", text=f"{observation.omitted} steps omitted")
            entries.insert(observation.omitted_after + 1, gap)
    if not holding:
        aside = _aside(entries)
        entries = [e for e in entries if e.kind not in ("message", "socket") or e.session not in aside]
    rows = _rows(entries if limit is None else _cut(entries, limit), processes, timed=timed)
    return Drawing(processes=list(processes), sessions=list(sessions), timed=timed, rows=rows)


def _process(entry: Entry) -> str:
    return (entry.who or "").partition("/")[0]


def _order(process: str) -> tuple[bool, list[int]]:
    return process != "parent", [int(number) for number in re.findall(r"\d+", process)]


def _cut(entries: list[Entry], limit: int) -> list[Entry]:
    omitted = len(entries) - limit
    if omitted <= 0:
        return entries
    head = limit - limit // 2
    gap = Entry(at=entries[head].at, kind="omitted", text=f"{omitted} events omitted")
    return [*entries[:head], gap, *entries[head + omitted :]]


def _aside(entries: Iterable[Entry]) -> set[str]:
    """Return the sessions that serve to hold results back, and nothing else."""
    steps: dict[str, str] = {}
    used: dict[str, set[bool]] = {}
    for entry in entries:
        who = entry.who or ""
        if entry.kind == "begin":
            steps[who] = entry.text
        elif entry.kind == "end":
            steps.pop(who, None)
        elif entry.kind == "message" and entry.session and who in steps:
            used.setdefault(entry.session, set()).add(steps[who] in HOLDING)
    return {session for session, held in used.items() if held == {True}}


def _rows(entries: Sequence[Entry], processes: Sequence[str], *, timed: bool) -> list[Row]:
    rows: list[Row] = []
    began: dict[tuple[str | None, str], list[int]] = {}
    readers = _Readers(entries, processes)
    for index, entry in enumerate(entries):
        lane, _, thread = (entry.who or "").partition("/")
        text = entry.text if entry.kind != "end" else f"{entry.step}: {entry.text}"
        if thread:
            text = f"{thread}: {text}"
        row = Row(kind="omitted", text=text, at=entry.at if timed else None, session=entry.session)
        change = msgspec.structs.replace
        match entry.kind:
            case "begin":
                began.setdefault((entry.who, entry.text), []).append(len(rows))
                rows.append(change(row, kind="begin", lane=lane))
            case "end":
                open_rows = began.get((entry.who, entry.step or ""))
                first = open_rows.pop() if open_rows else None
                row = change(row, kind="end", lane=lane, wrong=entry.went_wrong)
                if first is not None and first == len(rows) - 1:
                    rows[-1] = change(row, kind="step", at=rows[-1].at, until=row.at)
                else:
                    rows.append(change(row, began=first))
            case "message" | "socket":
                if lane == "server":
                    reader, reply_to = readers.reader(index), readers.reply_to(index)
                    rows.append(
                        change(row, kind="received", lane=lane, reader=reader, reply_to=reply_to, closes=entry.closes)
                    )
                elif lane or entry.how:
                    sure = bool(lane) and entry.how != BY_ORDER
                    rows.append(change(row, kind="sent", lane=lane, how=entry.how, sure=sure, closes=entry.closes))
                else:
                    rows.append(change(row, kind="mark"))
            case "server":
                rows.append(change(row, kind="note", lane="server"))
            case _:
                rows.append(row)
    return rows


class _Readers:
    """Which process can have read what the server sent, and whose query it answers."""

    def __init__(self, entries: Sequence[Entry], processes: Sequence[str]) -> None:
        self._entries = entries
        self._opener: dict[str, str] = {}
        self._senders: dict[str, set[str]] = {}
        self._first_child = len(entries)
        for index, entry in enumerate(entries):
            who = _process(entry)
            if who in processes and who != "parent":
                self._first_child = min(self._first_child, index)
            if entry.session and who in processes:
                self._opener.setdefault(entry.session, who)
            if entry.session and entry.kind == "message" and who != "server":
                self._senders.setdefault(entry.session, set()).add(who)

    def reader(self, index: int) -> str | None:
        """Return the one process that can have read a message: a session's opener, while it had no child."""
        opener = self._opener.get(self._entries[index].session or "")
        return None if opener == "parent" and index > self._first_child else opener

    def reply_to(self, index: int) -> str | None:
        """Return the process whose query a message answers, if several may use its session."""
        entry = self._entries[index]
        return entry.reply_to if len(self._senders.get(entry.session or "", ())) > 1 else None
