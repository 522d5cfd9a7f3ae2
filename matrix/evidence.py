"""Joins three points of view: what processes did, what went over the wire, what the server said.

The wire shows connections, not processes: after a fork several processes hold one. Each message of a client is thus
attributed to a process where the facts leave one possibility, and to nobody where they do not:

* a process can send only on connections it holds: those it opened, and those its parent had open when it was started;
* a process acts inside its steps and when it leaves, and a step that waits for others sends nothing;
* a step that asked and was answered has sent nothing that came after the answer;
* who leaves sends no statement, and a step that asks says no goodbye unless it fails;
* a statement that names an order belongs to a step about that order;
* bytes keep their order: after a process has been heard on a connection, nothing comes from those that had left before.

Times are the wall clock of one machine. The relay sees bytes a little after they were sent, so that a step which may
have left bytes behind counts until `SLACK` after its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.transcript import Names, moment, sessions, stable
from matrix.wire import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.judge import Run
    from matrix.servers import Said, Session
    from matrix.transcript import Line
    from matrix.wire.event import Connection, Event

#: Seconds by which the relay may be late in seeing what a process sent.
SLACK = 0.02
#: Messages of one sender on one connection that follow each other within so many seconds are told as one.
BURST = 0.002
#: Entries of a timeline that are kept; the rest is counted.
LIMIT = 400

#: Steps in which a process waits for others or looks at itself, and sends nothing.
PASSIVE = {"wait", "join", "start", "fork", "transaction state", "meet"}
#: Steps that send statements, and so no goodbye unless they fail.
ASKING = {"look up", "read", "insert", "begin", "commit", "rollback", "ping"}
_GOODBYES = {"COM_QUIT", "Terminate"}
_NUMBER = re.compile(r"(?<![\w.:$%])(\d{1,4})(?![\w.])")


@dataclass
class _Step:
    action: str
    about: int | None
    begin: float
    end: float = float("inf")
    failed: bool = False

    def may_send(self, at: float) -> bool:
        """Whether bytes that came at a moment may have been sent in this step."""
        answered = self.action in ASKING | {"connect"} and not self.failed
        return self.action not in PASSIVE and self.begin <= at <= self.end + (0 if answered else SLACK)


@dataclass
class _Process:
    name: str
    first: float
    last: float
    gone: float = float("inf")
    steps: list[_Step] = field(default_factory=list)

    def sending(self, at: float) -> list[_Step]:
        """Return the steps in which the process may have sent what came at a moment."""
        return [step for step in self.steps if step.may_send(at)]

    def leaving(self, at: float) -> bool:
        """Whether the process was past its last step and not known to be gone."""
        return self.last <= at <= self.gone + SLACK


def timeline(run: Run) -> dict[str, Any]:
    """Return a run's evidence: its processes, its sessions by letter, and everything that happened in order.

    Shape: `{"processes": [name], "sessions": [letter], "counters": {name: growth}, "timeline": [entry]}`; an entry has `at` (milliseconds since the
    first line), `kind` (`begin` or `end` of a step, `message`, `socket`, `server`), `who` (a process, `server`, or None
    where it cannot be told), `session` (a letter or None), `text`, and for what a client sent `how` it was attributed.
    """
    if not run.lines:
        return {"processes": [], "sessions": [], "counters": {}, "timeline": []}
    times = [moment(line, run.began) for line in run.lines]
    start = times[0]
    processes = _processes(run.lines, times)
    names = Names()
    for named in sessions(run.lines):
        names.session(named)
    prepared = next(
        (at for line, at in zip(run.lines, times, strict=True) if line.action == "prepare" and line.result is not None),
        start,
    )
    entries: list[dict[str, Any]] = []
    for line, at in zip(run.lines, times, strict=True):
        entries.append(_step_entry(line, at, names))
    connections = [c for c in run.connections if c.opened_at > prepared]
    numbers = _session_numbers(connections, run.lines, times, run.said)
    for connection, number in zip(connections, numbers, strict=True):
        entries += _connection_entries(connection, _letter(names, number), processes)
    by_session = {number: connection for connection, number in zip(connections, numbers, strict=True) if number}
    for word in run.said:
        if word.session in by_session:
            at = word.at or _end(by_session[word.session], word.text)
            entries.append(_entry(at, "server", "server", names.session(word.session), f"log: {stable(word.text)}"))
    entries += _view_entries(run.views, {number: names.session(number) for number in by_session})
    entries.sort(key=lambda entry: entry["at"])
    for entry in entries:
        entry["at"] = round((entry["at"] - start) * 1000, 1)
    if len(entries) > LIMIT:
        entries = [*entries[: LIMIT // 2], _left_out(entries), *entries[-LIMIT // 2 :]]
    letters = list(dict.fromkeys(entry["session"] for entry in entries if entry["session"]))
    return {
        "processes": list(processes),
        "sessions": sorted(letters, key=lambda s: (len(s), s)),
        "counters": {name: count for name, count in run.counters.items() if count},
        "timeline": entries,
    }


def _letter(names: Names, number: int | None) -> str | None:
    return None if number is None else names.session(number)


def _end(connection: Connection, text: str) -> float:
    """Return when the server wrote something into a log without fractions of seconds: at the opening, or at the end."""
    if text.startswith("Connect"):
        return connection.opened_at
    ends = [event["at"] for event in connection.events if event["from"] == "server" and event["kind"] in ("fin", "rst")]
    return (ends[0] if ends else connection.closed_at or connection.opened_at) - 1e-6


def _view_entries(views: list[tuple[float, list[Session]]], letters: dict[int, str]) -> Iterable[dict[str, Any]]:
    """Return what the server showed of its sessions, each time that it was not what it had shown before."""
    before = None
    for at, shown in views:
        told = [
            letters[session.id] + (" (in a transaction)" if session.in_transaction else "")
            for session in shown
            if session.id in letters
        ]
        text = "shows " + (f"session{'s' * (len(told) > 1)} " + ", ".join(told) if told else "no session")
        if text != before:
            yield _entry(at, "server", "server", None, text)
        before = text


def _left_out(entries: list[dict[str, Any]]) -> dict[str, Any]:
    at = entries[LIMIT // 2]["at"]
    return {"at": at, "kind": "omitted", "who": None, "session": None, "text": f"{len(entries) - LIMIT} more left out"}


def _entry(at: float, kind: str, who: str | None, session: str | None, text: str) -> dict[str, Any]:
    return {"at": at, "kind": kind, "who": who, "session": session, "text": text}


def _step_entry(line: Line, at: float, names: Names) -> dict[str, Any]:
    text = names.plain(line).partition(line.step)[2].removeprefix(": ") if line.result is not None else ""
    letter = _letter(names, line.session)
    who = f"{line.who}/{line.thread}" if line.thread else line.who
    shown = line.step if line.result is None else f"{line.step}: {text}"
    return _entry(at, "begin" if line.result is None else "end", who, letter, shown)


def _processes(lines: list[Line], times: list[float]) -> dict[str, _Process]:
    """Return each process with its steps, the parent first, children by number."""
    found: dict[str, _Process] = {}
    open_steps: dict[tuple[str, str, str], _Step] = {}
    for line, at in zip(lines, times, strict=True):
        process = found.setdefault(line.who, _Process(line.who, at, at))
        process.last = at
        key = (line.who, line.thread, line.step)
        if line.result is None:
            open_steps[key] = _Step(line.action, line.about, at)
            process.steps.append(open_steps[key])
        elif step := open_steps.pop(key, None):
            step.end, step.failed = at, line.error is not None
    parent = found.get("parent")
    for process in found.values():
        if process.name != "parent" and parent:
            # A child acts until somebody has seen it end, which is when the wait that follows its last line ends.
            ends = [s.end for s in parent.steps if s.action in PASSIVE and s.end >= process.last]
            process.gone = min(ends, default=float("inf"))
    order = sorted(found, key=lambda name: (name != "parent", int(name.split()[1]) if " " in name else 0))
    return {name: found[name] for name in order}


def _session_numbers(
    connections: list[Connection], lines: list[Line], times: list[float], said: Iterable[Said]
) -> list[int | None]:
    """Return each connection's server session: read from the wire, else from the server's log, else from the answers.

    Under TLS PostgreSQL's session id is hidden. The answers that fall into a connection's exchanges name it.
    """
    by_port = {word.port: word.session for word in said if word.port}
    answered = _answered(lines, times)
    numbers: list[int | None] = []
    for connection in connections:
        number = connection.session
        if number is None and connection.server_port:
            number = by_port.get(connection.server_port)
        if number is None:
            votes = [session for begin, end, session in answered if _exchanged(connection, begin, end)]
            alone = [s for s in set(votes) if s not in numbers]
            number = max(alone, key=votes.count) if alone else None
        numbers.append(number)
    return numbers


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


def _connection_entries(
    connection: Connection, letter: str | None, processes: dict[str, _Process]
) -> list[dict[str, Any]]:
    """Return what went over one connection, the opening told in one entry and bursts as one."""
    opener = _opener(connection, processes)
    holders = _holders(connection, opener, processes)
    how = "only it could" if opener else "cannot be told"
    opened = "opens a connection" + (", TLS" if connection.tls else "")
    entries = [_entry(connection.opened_at, "socket", opener, letter, opened) | {"how": how}]
    for burst in _bursts(connection):
        entry = _burst_entry(burst, letter, holders, processes)
        entries.append(entry)
        if heard := processes.get(entry["who"] or ""):
            since = min((step.begin for step in heard.sending(burst[0]["at"])), default=0.0)
            holders = {name for name in holders if name == heard.name or processes[name].gone > since}
    return entries


def _bursts(connection: Connection) -> Iterable[list[Event]]:
    """Return what went over a connection once it was open, in runs of what one side sent at once."""
    burst: list[Event] = []
    for event in _after_handshake(connection):
        if burst and (
            event["from"] != burst[-1]["from"]
            or event["at"] - burst[-1]["at"] > BURST
            or _is_socket(event) != _is_socket(burst[-1])
        ):
            yield burst
            burst = []
        burst.append(event)
    if burst:
        yield burst


def _burst_entry(
    burst: list[Event], letter: str | None, holders: set[str], processes: dict[str, _Process]
) -> dict[str, Any]:
    at, text = burst[0]["at"], _told(burst)
    if burst[0]["kind"] == "rst" and burst[0]["detail"].get("error") == "EPIPE":
        side = "the server" if burst[0]["from"] == "server" else "the client"
        return _entry(at, "socket", None, letter, f"not delivered: {side} has closed the connection")
    kind = "socket" if _is_socket(burst[0]) else "message"
    if burst[0]["from"] == "server":
        return _entry(at, kind, "server", letter, text)
    who, how = _attribute(burst, holders, processes)
    return _entry(at, kind, who, letter, text) | {"how": how}


def _told(burst: list[Event]) -> str:
    """Return a few events in words, equal ones counted."""
    if all(event["kind"] == "tls" for event in burst) and len(burst) > 1:
        hint = next((m[0] for event in burst if (m := re.search(r"\(could be [^)]*\)", describe(event)))), "")
        return f"TLS, {len(burst)} records, {sum(event['length'] for event in burst)} bytes {hint}".rstrip()
    words: list[str] = []
    for event in burst:
        phrase = stable(describe(event))
        if phrase.startswith("ParameterStatus"):
            continue
        words.append(phrase)
    return ", ".join(words) or describe(burst[0])


def _is_socket(event: Event) -> bool:
    return event["kind"] in ("fin", "rst", "connect", "refused")


def _after_handshake(connection: Connection) -> Iterable[Event]:
    """Return the events once the session was open: what is said until then is the same every time."""
    events = connection.events
    if connection.tls:
        sent = [i for i, e in enumerate(events) if e["from"] == "client" and e["name"] == "application_data"]
        return events[sent[1] :] if len(sent) > 1 else events[-1:]
    for index, event in enumerate(events):
        if event["from"] == "server" and event["name"] in ("ReadyForQuery", "OK", "ERR", "ErrorResponse"):
            return events[index + (event["name"] in ("ReadyForQuery", "OK")) :]
        if event["from"] == "client" and event["kind"] in ("fin", "rst"):
            return events[index:]
    return events


def _opener(connection: Connection, processes: dict[str, _Process]) -> str | None:
    """Return the only process that can have opened a connection, None where several can."""
    able = [process.name for process in processes.values() if process.sending(connection.opened_at)]
    return able[0] if len(able) == 1 else None


def _holders(connection: Connection, opener: str | None, processes: dict[str, _Process]) -> set[str]:
    """Return the processes that can hold a connection: who opened it and, where that was the parent, children since."""
    if opener and opener != "parent":
        return {opener}
    if opener is None:
        return set(processes)
    born_later = {p.name for p in processes.values() if p.name != "parent" and p.first >= connection.opened_at}
    return {"parent"} | born_later


def _attribute(burst: list[Event], holders: set[str], processes: dict[str, _Process]) -> tuple[str | None, str]:
    """Return who sent a few messages, and what that follows from."""
    at = burst[0]["at"]
    text = " ".join(describe(event) for event in burst)
    able = [processes[name] for name in processes if name in holders and _able(burst[0], text, processes[name], at)]
    if len(able) == 1:
        return able[0].name, "nobody else held it" if len(holders) == 1 else "only it could"
    if burst[0]["kind"] != "tls":
        numbers = {int(number) for number in _NUMBER.findall(text)}
        asking = [process for process in able if any(step.about in numbers for step in process.sending(at))]
        if len(asking) == 1:
            return asking[0].name, "the order it asked for"
    if not able:
        return None, "nobody was in a step then"
    return None, f"{' or '.join(process.name for process in able)}: cannot be told"


def _able(event: Event, text: str, process: _Process, at: float) -> bool:
    """Whether a process may have sent a message, by what it was doing."""
    steps = process.sending(at)
    goodbye = event["name"] in _GOODBYES or _is_socket(event) or "(could be" in text
    if goodbye and (process.leaving(at) or any(step.action not in ASKING or step.failed for step in steps)):
        return True
    return bool(steps) and (not goodbye or event["kind"] == "tls")
