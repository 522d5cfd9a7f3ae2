"""Joins three points of view into one timeline: what processes did, what went over the wire, what the server reported.

`matrix.wire.attribution` says which process sent what. Times are the wall clock of one machine, and the relay sees a
message a little after it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from matrix.records.evidence import Entry, Evidence, step_entries
from matrix.records.stable import Letters, sessions, stable
from matrix.wire import describe
from matrix.wire.attribution import BURST, TERMINATION, attribute, first_event, is_socket, undelivered
from matrix.wire.processes import processes, slack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.records.run import Run
    from matrix.records.server import LogLine
    from matrix.records.steps import Step
    from matrix.records.wire import Connection, Event
    from matrix.wire.attribution import Attribution

#: Entries of a timeline that are kept, those that say most first; the rest is counted.
LIMIT = 400
#: Messages of a burst that are named one by one.
_NAMED = 8
#: Messages that are kept however long a timeline is.
_REMARKABLE = {*TERMINATION, "ERR", "ErrorResponse", "alert"}


@dataclass
class _Moment:
    """An entry in the making: `at` is seconds since the epoch."""

    at: float
    entry: Entry
    remarkable: bool = False


def timeline(run: Run) -> Evidence:
    """Return a run's evidence: its processes, its sessions by letter, and everything that happened in order."""
    if not run.steps:
        return Evidence()
    steps = sorted(run.steps, key=lambda step: step.at)
    letters = Letters()
    for session in sessions(run.steps):
        letters.letter(session)
    known = processes(steps, slack(run.connections))
    moments = [
        _Moment(step.at, entry, entry.went_wrong)
        for step, entry in zip(steps, step_entries([letters.plain(step) for step in steps]), strict=True)
    ]
    prepared = next((s.at for s in steps if s.action == "prepare" and s.result is not None), steps[0].at)
    connections = [connection for connection in run.connections if connection.opened_at > prepared]
    numbers = _session_numbers(connections, steps, run.log_lines)
    users = [_users(connection, number, run) for connection, number in zip(connections, numbers, strict=True)]
    for connection, number, attribution in zip(connections, numbers, attribute(connections, known, users), strict=True):
        letter = None if number is None else letters.letter(number)
        moments += _connection_moments(connection, letter, attribution)
    by_session = {number: connection for connection, number in zip(connections, numbers, strict=True) if number}
    for line in run.log_lines:
        if line.session in by_session:
            at = line.at or _end(by_session[line.session], line.text)
            moments.append(_server(at, f"log: {stable(line.text)}", letters.letter(line.session)))
    moments += _view_moments(run, {number: letters.letter(number) for number in by_session})
    moments.sort(key=lambda moment: moment.at)
    for moment in moments:
        moment.entry = replace(moment.entry, at=round((moment.at - steps[0].at) * 1000, 1))
    moments = _fold(moments)
    named = {moment.entry.session for moment in moments if moment.entry.session}
    return Evidence(
        processes=list(known),
        sessions=sorted(named, key=lambda letter: (len(letter), letter)),
        counters={name: count for name, count in run.counters.items() if count},
        timeline=_shorten(moments),
    )


def _fold(moments: list[_Moment]) -> list[_Moment]:
    """Keep the last of what a process sends again and again within one step, and say how often it did."""
    repeated: dict[str, _Repeated] = {}
    dropped: set[int] = set()
    for index, moment in enumerate(moments):
        entry = moment.entry
        who, session = entry.who, entry.session
        if entry.kind in ("begin", "end"):
            repeated = {key: query for key, query in repeated.items() if query.who != who}
        elif entry.kind == "socket" and session:
            repeated.pop(session, None)
        elif entry.kind == "message" and who == "server" and session:
            if session in repeated:
                repeated[session].indices.append(index)
        elif entry.kind == "message" and session:
            before, times = repeated.get(session), 1
            if before and who and (before.who, before.text) == (who, entry.text):
                dropped.update(before.indices)
                times += before.times
                moment.entry = replace(entry, text=f"{entry.text} (sent {times} times)")
            repeated[session] = _Repeated(who, entry.text, [index], times)
    return [moment for index, moment in enumerate(moments) if index not in dropped]


@dataclass
class _Repeated:
    """A query, the indices of its entry and of those of its replies, and how often it was sent by then."""

    who: str | None
    text: str
    indices: list[int] = field(default_factory=list)
    times: int = 1


def _shorten(moments: list[_Moment]) -> list[Entry]:
    """Return a timeline of about LIMIT entries: of a longer one the beginning, the end, and what is remarkable."""
    entries = [moment.entry for moment in moments]
    if len(entries) <= LIMIT:
        return entries
    part = LIMIT // 3
    middle = range(part, len(entries) - part)
    remarkable = [index for index in middle if moments[index].remarkable][:part]
    kept = {*range(part), *remarkable, *range(len(entries) - part, len(entries))}
    shortened: list[Entry] = []
    omitted = 0
    for index, entry in enumerate(entries):
        if index not in kept:
            omitted += 1
            continue
        if omitted:
            shortened.append(Entry(at=entry.at, kind="omitted", text=f"{omitted} events omitted"))
            omitted = 0
        shortened.append(entry)
    return shortened


def _server(at: float, text: str, session: str | None = None) -> _Moment:
    return _Moment(at, Entry(at=0, kind="server", text=text, who="server", session=session))


def _end(connection: Connection, text: str) -> float:
    """Return when the server wrote something into a log without fractions of seconds: at the opening, or at the end."""
    if text.startswith("Connect"):
        return connection.opened_at
    ends = [event.at for event in connection.events if event.sender == "server" and event.kind in ("fin", "rst")]
    return (ends[0] if ends else connection.closed_at or connection.opened_at) - 1e-6


def _view_moments(run: Run, letters: dict[int, str]) -> Iterable[_Moment]:
    """Return what the server reported of its sessions, each time that it was not what it had reported before.

    Once every process has exited, the text says how long ago that was: sessions that stay are a leak.
    """
    before, stayed = None, False
    for index, (at, listed) in enumerate(run.views):
        there = [
            letters[session.id] + (" (in a transaction)" if session.in_transaction else "")
            for session in listed
            if session.id in letters
        ]
        text = "reports " + (f"session{'s' * (len(there) > 1)} " + ", ".join(there) if there else "no session")
        exited = 0 < run.ended <= at
        last = index == len(run.views) - 1
        if text != before or (exited and there and (last or not stayed)):
            ago = f", {(at - run.ended) * 1000:.0f} ms after every process had exited" if exited else ""
            yield _server(at, text + ago)
            stayed = exited
        before = text


def _session_numbers(
    connections: Sequence[Connection], steps: Sequence[Step], log_lines: Iterable[LogLine]
) -> list[int | None]:
    """Return each connection's server session: read from the wire, else from the server's log, else from the steps.

    Under TLS PostgreSQL's session id is hidden. The results that steps got during a connection's exchanges name it.
    """
    by_port = {line.port: line.session for line in log_lines if line.port}
    numbers = [
        by_port.get(connection.server_port or 0) if connection.session is None else connection.session
        for connection in connections
    ]
    answered = _answered(steps)
    for index, connection in enumerate(connections):
        if numbers[index] is None:
            votes = [session for begin, end, session in answered if _exchanged(connection, begin, end)]
            alone = [session for session in votes if session not in numbers]
            numbers[index] = max(alone, key=votes.count) if alone else None
    return numbers


def _users(connection: Connection, number: int | None, run: Run) -> set[str]:
    """Return who got results on a connection, if its session was read and not guessed from the results."""
    logged = any(line.session == number and line.port == connection.server_port for line in run.log_lines if line.port)
    if number is None or not (connection.session == number or logged):
        return set()
    return {step.who for step in run.steps if step.session == number}


def _answered(steps: Sequence[Step]) -> list[tuple[float, float, int]]:
    """Return begin, end and session of each step that got a result from a session."""
    begun: dict[tuple[str, str, str], float] = {}
    found = []
    for step in steps:
        key = (step.who, step.thread, step.name)
        if step.result is None:
            begun[key] = step.at
        elif isinstance(step.session, int) and key in begun:
            found.append((begun.pop(key), step.at, step.session))
    return found


def _exchanged(connection: Connection, begin: float, end: float) -> bool:
    """Whether both sides sent something on a connection within some time."""
    senders = {event.sender for event in connection.events if begin <= event.at <= end}
    return senders == {"client", "server"}


def _connection_moments(connection: Connection, letter: str | None, attribution: Attribution) -> Iterable[_Moment]:
    """Return what went over one connection: its opening as one entry, and what one side sent at once as one."""
    opener = attribution.opener
    opened = Entry(
        at=0,
        kind="socket",
        text="opens a connection" + (", TLS" if connection.tls else ""),
        who=opener.who,
        session=letter,
        how=opener.how,
    )
    yield _Moment(connection.opened_at, opened, remarkable=True)
    for burst in _bursts(connection, attribution):
        events = [connection.events[index] for index in burst]
        first = events[0]
        remarkable = is_socket(first) or any(map(_is_remarkable, events))
        entry = Entry(at=0, kind="socket" if is_socket(first) else "message", text=_phrase(events), session=letter)
        if undelivered(first):
            text = f"not delivered: the {first.sender} has closed the connection"
            yield _Moment(first.at, replace(entry, text=text), remarkable)
            continue
        entry = replace(entry, closes=first.kind in ("fin", "rst"))
        if first.sender == "server":
            reply_to = attribution.replies_to.get(burst[0])
            yield _Moment(first.at, replace(entry, who="server", reply_to=reply_to), remarkable)
        elif sender := attribution.senders.get(burst[0]):
            yield _Moment(first.at, replace(entry, who=sender.who, how=sender.how), remarkable)
    if connection.dropped:
        at = max([connection.closed_at or connection.opened_at, *(event.at for event in connection.events)])
        text = "still open after every process had exited: the relay closes it"
        yield _Moment(at, Entry(at=0, kind="socket", text=text, session=letter), remarkable=True)


def _is_remarkable(event: Event) -> bool:
    return event.name in _REMARKABLE or event.could_be is not None


def _bursts(connection: Connection, attribution: Attribution) -> Iterable[list[int]]:
    """Return the indices of what went over a connection once it was open, in runs of what came together from one."""
    burst: list[int] = []
    for index in range(first_event(connection), len(connection.events)):
        if burst and not _together(connection, attribution, burst[-1], index):
            yield burst
            burst = []
        burst.append(index)
    if burst:
        yield burst


def _together(connection: Connection, attribution: Attribution, one: int, other: int) -> bool:
    """Whether two events that follow each other are one entry."""
    before, after = connection.events[one], connection.events[other]
    return (
        before.sender == after.sender
        and after.at - before.at <= BURST
        and not any(is_socket(event) or event.name in TERMINATION for event in (before, after))
        and attribution.senders.get(one) == attribution.senders.get(other)
        and attribution.replies_to.get(one) == attribution.replies_to.get(other)
    )


def _phrase(events: Sequence[Event]) -> str:
    """Return a few events in words."""
    if all(event.kind == "tls" for event in events) and len(events) > 1:
        guess = next((f" (could be {event.could_be})" for event in events if event.could_be), "")
        return f"TLS, {len(events)} records, {sum(event.length for event in events)} bytes{guess}"
    phrases = [phrase for e in events if not (phrase := stable(describe(e))).startswith("ParameterStatus")]
    if len(phrases) > _NAMED:
        phrases[_NAMED // 2 : -_NAMED // 2] = [f"{len(phrases) - _NAMED} more"]
    return ", ".join(phrases) or describe(events[0])
