"""Joins three points of view into one timeline: what processes did, what went over the wire, what the server said.

`matrix.wire.attribution` says who sent what. Times are the wall clock of one machine, and the relay sees a message a
little after it was sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.records.transcript import Names, moment, sessions, stable
from matrix.wire import describe
from matrix.wire.attribution import BURST, GOODBYES, attribute, first_event, is_socket, processes, undelivered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.records.run import Run
    from matrix.records.server import LogLine
    from matrix.records.transcript import Line
    from matrix.records.wire import Connection, Event
    from matrix.wire.attribution import Attribution

#: Entries of a timeline that are kept, those that say most first; the rest is counted.
LIMIT = 400
#: Messages of a burst that are told one by one.
_WORDS = 8
_REMARKABLE = re.compile(
    r"COM_QUIT|Terminate|could be|alert|: (?:raised|nothing|signal)|question\)$|ERR |ErrorResponse"
)


def timeline(run: Run) -> dict[str, Any]:
    """Return a run's evidence: its processes, its sessions by letter, and everything that happened in order.

    Shape: `{"processes": [name], "sessions": [letter], "counters": {name: growth}, "timeline": [entry]}`; an entry has
    `at` (milliseconds since the first line), `kind` (`begin` or `end` of a step, `message`, `socket`, `server`,
    `omitted`), `who` (a process, `server`, or None where it cannot be told), `session` (a letter or None), `text`;
    what a client sent has `how` it was attributed, and what the server sent has `for`: the process whose question it
    answers, None where it cannot be told.
    """
    if not run.lines:
        return {"processes": [], "sessions": [], "counters": {}, "timeline": []}
    times = [moment(line, run.began) for line in run.lines]
    start = times[0]
    known = processes(run.lines, times)
    names = Names()
    for named in sessions(run.lines):
        names.session(named)
    prepared = next(
        (at for line, at in zip(run.lines, times, strict=True) if line.action == "prepare" and line.result is not None),
        start,
    )
    asked = _askers(run.lines)
    entries = [_step_entry(line, at, names, asked) for line, at in zip(run.lines, times, strict=True)]
    connections = [c for c in run.connections if c.opened_at > prepared]
    numbers = _session_numbers(connections, run.lines, times, run.said)
    users = [_users(connection, number, run) for connection, number in zip(connections, numbers, strict=True)]
    for connection, number, who in zip(connections, numbers, attribute(connections, known, users), strict=True):
        entries += _connection_entries(connection, _letter(names, number), who)
    by_session = {number: connection for connection, number in zip(connections, numbers, strict=True) if number}
    for word in run.said:
        if word.session in by_session:
            at = word.at or _end(by_session[word.session], word.text)
            entries.append(_entry(at, "server", "server", names.session(word.session), f"log: {stable(word.text)}"))
    entries += _view_entries(run, {number: names.session(number) for number in by_session})
    entries.sort(key=lambda entry: entry["at"])
    entries = _fold(entries)
    for entry in entries:
        entry["at"] = round((entry["at"] - start) * 1000, 1)
    letters = {entry["session"] for entry in entries if entry["session"]}
    return {
        "processes": list(known),
        "sessions": sorted(letters, key=lambda letter: (len(letter), letter)),
        "counters": {name: count for name, count in run.counters.items() if count},
        "timeline": _shorten(entries),
    }


def _fold(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell once, and say how often, what a process asks again and again within one step: the last time is kept."""
    asking: dict[str, _Repeated] = {}
    dropped: set[int] = set()
    for index, entry in enumerate(entries):
        who, session = entry["who"], entry["session"]
        if entry["kind"] in ("begin", "end"):
            asking = {name: repeated for name, repeated in asking.items() if repeated.who != who}
        elif entry["kind"] == "socket":
            asking.pop(session, None)
        elif entry["kind"] == "message" and who == "server":
            if session in asking:
                asking[session].told.append(index)
        elif entry["kind"] == "message" and session:
            before, times = asking.get(session), 1
            if before and who and (before.who, before.text) == (who, entry["text"]):
                dropped.update(before.told)
                times += before.times
                entries[index] = entry | {"text": f"{entry['text']} (asked {times} times)"}
            asking[session] = _Repeated(who, entry["text"], [index], times)
    return [entry for index, entry in enumerate(entries) if index not in dropped]


@dataclass
class _Repeated:
    """A question, the indices of the entries that tell of it and of its answer, and how often it was asked by then."""

    who: str | None
    text: str
    told: list[int]
    times: int


def _shorten(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a timeline of about LIMIT entries: of a longer one the beginning, the end, and what is remarkable."""
    if len(entries) <= LIMIT:
        return entries
    part = LIMIT // 3
    kept = {*range(part), *range(len(entries) - part, len(entries))}
    middle = range(part, len(entries) - part)
    kept.update([i for i in middle if entries[i]["kind"] == "socket" or _REMARKABLE.search(entries[i]["text"])][:part])
    shortened: list[dict[str, Any]] = []
    left_out = 0
    for index, entry in enumerate(entries):
        if index not in kept:
            left_out += 1
            continue
        if left_out:
            shortened.append(_entry(entry["at"], "omitted", None, None, f"{left_out} more left out"))
            left_out = 0
        shortened.append(entry)
    return shortened


def _letter(names: Names, number: int | None) -> str | None:
    return None if number is None else names.session(number)


def _end(connection: Connection, text: str) -> float:
    """Return when the server wrote something into a log without fractions of seconds: at the opening, or at the end."""
    if text.startswith("Connect"):
        return connection.opened_at
    ends = [event["at"] for event in connection.events if event["from"] == "server" and event["kind"] in ("fin", "rst")]
    return (ends[0] if ends else connection.closed_at or connection.opened_at) - 1e-6


def _view_entries(run: Run, letters: dict[int, str]) -> Iterable[dict[str, Any]]:
    """Return what the server showed of its sessions, each time that it was not what it had shown before.

    Once every process has left, it is said how long that was ago: sessions that stay are a leak.
    """
    before, stayed = None, False
    for index, (at, shown) in enumerate(run.views):
        told = [
            letters[session.id] + (" (in a transaction)" if session.in_transaction else "")
            for session in shown
            if session.id in letters
        ]
        text = "shows " + (f"session{'s' * (len(told) > 1)} " + ", ".join(told) if told else "no session")
        left = 0 < run.ended <= at
        last = index == len(run.views) - 1
        if text != before or (left and told and (last or not stayed)):
            ago = f", {(at - run.ended) * 1000:.0f} ms after every process had left" if left else ""
            yield _entry(at, "server", "server", None, text + ago)
            stayed = left
        before = text


def _entry(at: float, kind: str, who: str | None, session: str | None, text: str) -> dict[str, Any]:
    return {"at": at, "kind": kind, "who": who, "session": session, "text": text}


def _askers(lines: Iterable[Line]) -> dict[int, str]:
    """Return who asked for each order; one that several processes asked for is nobody's."""
    asked: dict[int, set[str]] = {}
    for line in lines:
        if line.action == "look up" and line.about is not None:
            asked.setdefault(line.about, set()).add(line.who)
    return {number: next(iter(who)) for number, who in asked.items() if len(who) == 1}


def _step_entry(line: Line, at: float, names: Names, asked: dict[int, str]) -> dict[str, Any]:
    text = names.plain(line).partition(line.step)[2].removeprefix(": ") if line.result is not None else ""
    letter = _letter(names, line.session)
    who = f"{line.who}/{line.thread}" if line.thread else line.who
    shown = line.step if line.result is None else f"{line.step}: {text}"
    if line.action == "look up" and line.wrong and (owner := asked.get(line.answer or 0)):
        whose = "its own earlier" if owner == line.who else "the parent's" if owner == "parent" else f"{owner}'s"
        shown += f" (the answer to {whose} question)"
    return _entry(at, "begin" if line.result is None else "end", who, letter, shown)


def _session_numbers(
    connections: list[Connection], lines: list[Line], times: list[float], said: Iterable[LogLine]
) -> list[int | None]:
    """Return each connection's server session: read from the wire, else from the server's log, else from the answers.

    Under TLS PostgreSQL's session id is hidden. The answers that fall into a connection's exchanges name it.
    """
    by_port = {word.port: word.session for word in said if word.port}
    numbers = [
        by_port.get(connection.server_port or 0) if connection.session is None else connection.session
        for connection in connections
    ]
    answered = _answered(lines, times)
    for index, connection in enumerate(connections):
        if numbers[index] is None:
            votes = [session for begin, end, session in answered if _exchanged(connection, begin, end)]
            alone = [session for session in votes if session not in numbers]
            numbers[index] = max(alone, key=votes.count) if alone else None
    return numbers


def _users(connection: Connection, number: int | None, run: Run) -> set[str]:
    """Return who was answered on a connection, where its session was read and not guessed from the answers."""
    logged = any(word.session == number and word.port == connection.server_port for word in run.said if word.port)
    if number is None or not (connection.session == number or logged):
        return set()
    return {line.who for line in run.lines if line.session == number}


def _answered(lines: list[Line], times: list[float]) -> list[tuple[float, float, int]]:
    """Return begin, end and session of each step that was answered by a session."""
    begun: dict[tuple[str, str, str], float] = {}
    found = []
    for line, at in zip(lines, times, strict=True):
        key = (line.who, line.thread, line.step)
        if line.result is None:
            begun[key] = at
        elif line.session is not None and key in begun:
            found.append((begun.pop(key), at, line.session))
    return found


def _exchanged(connection: Connection, begin: float, end: float) -> bool:
    """Whether both sides sent something on a connection within some time."""
    senders = {event["from"] for event in connection.events if begin <= event["at"] <= end}
    return senders == {"client", "server"}


def _connection_entries(connection: Connection, letter: str | None, who: Attribution) -> Iterable[dict[str, Any]]:
    """Return what went over one connection, the opening told in one entry, and what one side sent at once as one."""
    opened = "opens a connection" + (", TLS" if connection.tls else "")
    yield _entry(connection.opened_at, "socket", who.opener.who, letter, opened) | {"how": who.opener.how}
    for burst in _bursts(connection, who):
        event, at, text = connection.events[burst[0]], connection.events[burst[0]]["at"], _told(connection, burst)
        kind = "socket" if is_socket(event) else "message"
        if undelivered(event):
            side = "the server" if event["from"] == "server" else "the client"
            yield _entry(at, kind, None, letter, f"not delivered: {side} has closed the connection")
        elif event["from"] == "server":
            entry = _entry(at, kind, "server", letter, text)
            yield entry | ({"for": who.answers.get(burst[0])} if kind == "message" else {})
        elif sender := who.senders.get(burst[0]):
            yield _entry(at, kind, sender.who, letter, text) | {"how": sender.how}
    if connection.dropped:
        at = max([connection.closed_at or connection.opened_at, *(event["at"] for event in connection.events)])
        yield _entry(at, "socket", None, letter, "still open when every process had left: the relay ends it")


def _bursts(connection: Connection, who: Attribution) -> Iterable[list[int]]:
    """Return the indices of what went over a connection once it was open, in runs of what came together from one."""
    burst: list[int] = []
    for index in range(first_event(connection), len(connection.events)):
        if burst and not _together(connection, who, burst[-1], index):
            yield burst
            burst = []
        burst.append(index)
    if burst:
        yield burst


def _together(connection: Connection, who: Attribution, one: int, other: int) -> bool:
    """Whether two events that follow each other are told as one."""
    before, after = connection.events[one], connection.events[other]
    return (
        before["from"] == after["from"]
        and after["at"] - before["at"] <= BURST
        and not any(is_socket(event) or event["name"] in GOODBYES for event in (before, after))
        and who.senders.get(one) == who.senders.get(other)
        and who.answers.get(one) == who.answers.get(other)
    )


def _told(connection: Connection, burst: list[int]) -> str:
    """Return a few events in words."""
    events: list[Event] = [connection.events[index] for index in burst]
    if all(event["kind"] == "tls" for event in events) and len(events) > 1:
        hint = next((m[0] for event in events if (m := re.search(r"\(could be [^)]*\)", describe(event)))), "")
        return f"TLS, {len(events)} records, {sum(event['length'] for event in events)} bytes {hint}".rstrip()
    words = [phrase for event in events if not (phrase := stable(describe(event))).startswith("ParameterStatus")]
    if len(words) > _WORDS:
        words[_WORDS // 2 : -_WORDS // 2] = [f"{len(words) - _WORDS} more"]
    return ", ".join(words) or describe(events[0])
