"""Says which process sent what, from the steps of the processes and from what went over the wire.

The wire shows connections, not processes: after a fork several processes hold one. Each message of a client is thus
attributed to a process where the facts leave one possibility, and to none where they do not:

* the kernel names the process that opens a Unix socket; what is sent on a connection later can rule out openers;
* a process can send only on connections it holds: those it opened, and those its parent had open when it was started;
* a process acts in its steps; if no process was in a step that could have sent it, any that was not waiting for others;
* a step that works on a connection of its own, such as `connect` or `watch`, sends nothing on others, except for the
  termination message;
* a look-up that got what it queried has sent nothing that came after the reply;
* a process that has sent a query waits: until the server replies on that connection, it sends nothing if it has no
  threads;
* a step that runs statements sends no termination message unless it fails, and a process that exits sends nothing else;
* a statement that names an order, or whose result is its row, belongs to a step about that order;
* bytes keep their order: once a process has sent on a connection, nothing comes from those that were gone before;
* the end of a connection (FIN) comes from the last process that holds it, and exiting ends nothing that another holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.records.evidence import BY_ORDER
from matrix.records.steps import HOLDING
from matrix.wire import describe
from matrix.wire.processes import QUERYING, WITHOUT_FORK, slack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.records.wire import Connection, Event
    from matrix.wire.processes import Process, Span

#: Messages that follow each other on one connection within so many seconds may be parts of one query.
BURST = 0.002

#: What a client sends to end a session.
TERMINATION = {"COM_QUIT", "Terminate"}
_SOCKET = ("fin", "rst", "connect", "refused")
_NUMBER = re.compile(r"(?<![\w.:$%])(\d{1,4})(?![\w.])")


@dataclass(frozen=True)
class Sender:
    """The process that sent something, None where it is unknown, and what that follows from."""

    who: str | None
    how: str


@dataclass
class Attribution:
    """Who opened one connection, who sent each of its client's events, and whose query each of the server's answers.

    Keys are indices into the connection's events; what belongs to the opening has none, nor has what the relay did
    itself. A value of `replies_to` is None where it is unknown.
    """

    opener: Sender
    first: int
    senders: dict[int, Sender] = field(default_factory=dict)
    replies_to: dict[int, str | None] = field(default_factory=dict)


def first_event(connection: Connection) -> int:
    """Return the index of the first event once the session was open: what is sent until then is always the same."""
    events = connection.events
    if connection.tls:
        sent = [i for i, e in enumerate(events) if e.sender == "client" and e.name == "application_data"]
        return sent[1] if len(sent) > 1 else max(len(events) - 1, 0)
    for index, event in enumerate(events):
        if event.sender == "server" and event.name in ("ReadyForQuery", "OK", "ERR", "ErrorResponse"):
            return index + (event.name in ("ReadyForQuery", "OK"))
        if event.sender == "client" and event.kind in ("fin", "rst"):
            return index
    return 0


def is_socket(event: Event) -> bool:
    """Whether an event is something that happened to a socket and not something that was sent."""
    return event.kind in _SOCKET


def undelivered(event: Event) -> bool:
    """Whether an event says that the other side had closed the connection before a message came."""
    return event.kind == "rst" and event.error == "EPIPE"


@dataclass
class _Unit:
    """What one process sent at once: a whole query, a termination message, a TLS record, or the end of a connection.

    `named` are the numbers in its text, `returned` those of the rows that it got.
    """

    at: float
    indices: list[int]
    events: list[Event]
    named: set[int]
    returned: set[int]

    @property
    def sealed(self) -> bool:
        """Whether it is encrypted."""
        return self.events[0].kind == "tls"

    @property
    def socket(self) -> bool:
        return is_socket(self.events[0])

    @property
    def terminates(self) -> bool:
        """Whether it ends the session or may do so."""
        event = self.events[0]
        if self.sealed:
            return event.could_be is not None or event.plaintext_at_most is None
        return event.name in TERMINATION or self.socket


def attribute(
    connections: Sequence[Connection], known: Mapping[str, Process], users: Sequence[set[str]]
) -> list[Attribution]:
    """Return who did what on each connection; `users` are the processes that got results on it, as far as is known.

    Never raises, whatever was recorded.
    """
    wires = [_Wire(connection, known, used) for connection, used in zip(connections, users, strict=True)]
    waiting: dict[str, tuple[_Wire, float]] = {}
    moments = (moment for each in wires for moment in each.moments())
    for _, wire, what in sorted(moments, key=lambda moment: moment[0]):
        if isinstance(what, _Unit):
            sender = wire.sent(what, waiting)
            if sender.who and _waits(what, known[sender.who]):
                waiting[sender.who] = (wire, what.at)
        elif what == "opened":
            wire.opened(waiting)
        else:
            waiting = {name: place for name, place in waiting.items() if place[0] is not wire}
    return [wire.finish() for wire in wires]


def _waits(unit: _Unit, process: Process) -> bool:
    """Whether a process, having sent this, sends nothing until the server does."""
    spans = process.sending(unit.at)
    alone = unit.at < process.threads_from and not unit.terminates
    return alone and bool(spans) and all(span.action in QUERYING for span in spans)


class _Wire:
    """One connection while it is being attributed."""

    def __init__(self, connection: Connection, known: Mapping[str, Process], users: set[str]) -> None:
        self._connection = connection
        self._known = known
        self._users = users & known.keys()
        self._result = Attribution(Sender(None, "unknown"), first_event(connection))
        # Pools that open connections in threads of their own are known for PostgreSQL only; MySQL has the greeting.
        self._may_be_pooled = all(event.name != "greeting" for event in connection.events[:3])
        self._inherited_from = self._first_fork()
        self._holds_results = any(
            span.action == "hold answers" and span.under_way(connection.opened_at)
            for process in known.values()
            for span in process.spans
        )
        self._units = list(_units(connection, self._result.first))
        self._openers: set[str] = set()
        self._openers = self._possible_openers()
        self._holders = self._held_by(self._openers)
        self._used: dict[str, float] = {}

    def moments(self) -> Iterable[tuple[float, _Wire, _Unit | str]]:
        """Return what happened on the connection, with times that never go back."""
        at = self._connection.opened_at
        yield at, self, "opened"
        ours = {unit.indices[0]: unit for unit in self._units}
        for index, event in enumerate(self._connection.events[self._result.first :], self._result.first):
            at = max(at, event.at)
            if index in ours:
                yield at, self, ours[index]
            if event.sender == "server" or event.kind == "rst":
                yield at, self, "heard"

    def opened(self, waiting: Mapping[str, tuple[_Wire, float]]) -> None:
        """Settle who opened the connection, now that it is known which processes were waiting then."""
        named = self._connection.client_pid is not None
        openers = self._openers if named else self._openers - waiting.keys() or self._openers
        if len(openers) != 1:
            several = _one_of(name for name in self._known if name in openers)
            self._result.opener = Sender(None, "a process that reported no step") if named else several
            return
        (who,) = openers
        if named:
            how = "the kernel names it"
        else:
            how = (
                "only process that could"
                if len(self._able_to_open()) == 1
                else "only one that fits what was sent on it"
            )
            self._openers, self._holders = openers, self._held_by(openers)
        self._result.opener = Sender(who, how)
        self._used[who] = self._connection.opened_at

    def sent(self, unit: _Unit, waiting: Mapping[str, tuple[_Wire, float]]) -> Sender:
        """Say who sent a unit, and note what follows from that."""
        sender = self._sender(unit, waiting)
        for index in unit.indices:
            self._result.senders[index] = sender
        if sender.who is not None:
            process = self._known[sender.who]
            self._used[process.name] = unit.at
            since = min((span.begin for span in process.sending(unit.at)), default=0.0)
            self._holders = {n for n in self._holders if n == process.name or self._known[n].gone > since}
        return sender

    def finish(self) -> Attribution:
        """Return the result, once everything was sent."""
        self._result.replies_to.update(self._hidden_replies() if self._connection.tls else self._replies())
        return self._result

    def _sender(self, unit: _Unit, waiting: Mapping[str, tuple[_Wire, float]]) -> Sender:
        if undelivered(unit.events[0]):
            return Sender(None, "seen by the relay")
        candidates = self._candidates(unit)
        able = [process for process in self._known.values() if process.name in candidates]
        if not unit.socket:
            able = [p for p in able if not self._is_waiting(waiting.get(p.name), unit)] or able
        if len(able) == 1:
            only = "only process that held it" if len(self._holders) == 1 else "only process that could"
            return Sender(able[0].name, only)
        for numbers in (unit.named, unit.returned):
            about = [
                process
                for process in able
                if any(s.step.about in numbers and s.action in QUERYING for s in process.sending(unit.at))
            ]
            if len(about) == 1:
                return Sender(about[0].name, BY_ORDER)
        if unit.socket and len(last := self._last_to_hold(able, unit.at)) == 1:
            return Sender(last[0].name, "last process that held it")
        return _one_of(process.name for process in able)

    def _is_waiting(self, place: tuple[_Wire, float] | None, unit: _Unit) -> bool:
        return place is not None and (place[0] is not self or unit.at - place[1] > BURST)

    def _last_to_hold(self, able: Sequence[Process], at: float) -> list[Process]:
        """Return those whose exit or close can have ended the connection: no other certainly held it then."""
        return [
            process
            for process in able
            if any(span.action == "shut down" for span in process.sending(at))
            or not any(
                self._known[name].holds_until(used) >= min(at, process.gone)
                for name, used in self._used.items()
                if name != process.name
            )
        ]

    def _candidates(self, unit: _Unit) -> set[str]:
        """Return who may have sent a unit: by its steps, else whichever process existed and was not waiting."""
        holders = [self._known[name] for name in self._holders if self._has(self._known[name], unit.at)]
        acting = {process.name for process in holders if self._acts(unit, process)}
        late = {process.name for process in holders if self._is_late(unit, process)}
        return late | (acting or {process.name for process in holders if process.idle(unit.at)})

    def _has(self, process: Process, at: float) -> bool:
        """Whether a process can have the connection by then: none inherits it before the step that opened it ends."""
        return process.is_parent or process.name in self._openers or at >= self._inherited_from

    def _acts(self, unit: _Unit, process: Process) -> bool:
        """Whether a process was in a step that may have sent a unit, or has threads or an initializer that may."""
        at = unit.at
        if self._fits(unit, [s for s in process.sending(at) if s.under_way(at)]) or process.starting(at):
            return True
        own = process.name in self._openers and self._may_be_pooled
        return own and process.pool_from <= self._connection.opened_at and at <= process.gone and not unit.terminates

    def _is_late(self, unit: _Unit, process: Process) -> bool:
        """Whether the relay may have seen a unit late that a process sent in a step, or when it exited."""
        at = unit.at
        if unit.terminates and (process.exiting(at) or (unit.socket and process.stuck(at))):
            return True
        return self._fits(unit, [s for s in process.sending(at) if not s.under_way(at)])

    def _fits(self, unit: _Unit, spans: Sequence[Span]) -> bool:
        """Whether one of some steps may have sent a unit."""
        using = [s for s in spans if (s.action in HOLDING) is self._holds_results and s.may_use(self._connection)]
        if not unit.terminates or (unit.sealed and using):
            return bool(using)
        # A step that connects may replace a connection, and so close the old one.
        closing = [*using, *(span for span in spans if span.action == "connect")]
        return any(span.action not in QUERYING or span.failed for span in closing)

    def _first_fork(self) -> float:
        """Return when a process can have been started first that inherits the connection from the parent."""
        opened, parent = self._connection.opened_at, self._known.get("parent")
        if parent is None or parent.threads_from <= opened:
            return opened - slack([self._connection])
        return max((s.end for s in parent.spans if s.action in WITHOUT_FORK and s.under_way(opened)), default=opened)

    def _able_to_open(self) -> set[str]:
        at = self._connection.opened_at
        able = {
            name
            for name, process in self._known.items()
            if process.sending(at)
            or process.starting(at)
            or (self._may_be_pooled and process.pool_from <= at <= process.seen)
        }
        return able or {name for name, process in self._known.items() if process.idle(at)}

    def _possible_openers(self) -> set[str]:
        """Return who can have opened the connection, by what it was doing and by what was sent afterwards."""
        if (pid := self._connection.client_pid) is not None:
            return {name for name, process in self._known.items() if process.pid == pid}
        able = self._able_to_open()
        if len(able) < 2:
            return able
        return {opener for opener in able if self._explains(opener)} or able

    def _explains(self, opener: str) -> bool:
        """Whether all that was sent and returned on the connection fits one process that may have opened it."""
        held = self._held_by({opener})
        if not self._users <= held:
            return False
        for unit in self._units:
            if undelivered(unit.events[0]):
                continue
            able = {n for n, p in self._known.items() if self._acts(unit, p) or self._is_late(unit, p)}
            if able and not able & held:
                return False
        return True

    def _held_by(self, openers: set[str]) -> set[str]:
        """Return who can hold the connection: who opened it and, if that was the parent, children started since."""
        if not openers:
            return set(self._known)
        if "parent" not in openers:
            return set(openers)
        opened = self._connection.opened_at
        opened -= slack([self._connection]) if self._known["parent"].threads_from <= opened else 0
        return openers | {n for n, p in self._known.items() if not p.is_parent and p.started_by >= opened}

    def _replies(self) -> Iterable[tuple[int, str | None]]:
        """Say whose query each of the server's messages answers, by the number of the exchange."""
        senders: dict[int, set[str | None]] = {}
        for unit in self._units:
            for index, event in zip(unit.indices, unit.events, strict=True):
                if (exchange := _exchange(event)) is not None:
                    senders.setdefault(exchange, set()).add(self._result.senders[index].who)
        for index, event in self._received():
            yield index, _only(senders.get(_exchange(event) or 0, set()))

    def _hidden_replies(self) -> Iterable[tuple[int, str | None]]:
        """Say whose query each of the server's records answers, where nothing but their order can be seen.

        The first reply is for the first query. Once several were waiting for theirs it is unknown how many replies a
        record holds, and all that can be said is whom any of them would be for.
        """
        unsure: set[str | None] = set()
        waiting: list[str | None] = []
        replying = False
        ours = {unit.indices[0] for unit in self._units if not unit.socket}
        received = dict(self._received())
        last = 0.0
        for index, event in enumerate(self._connection.events):
            if index in ours:
                if replying:
                    unsure |= set(waiting) if len(waiting) > 1 else set()
                    waiting, replying = [], False
                who = self._result.senders[index].who
                waiting += [who] if waiting[-1:] != [who] else []
            elif index in received:
                # What comes later than the first reply may be another one, if several are due.
                more = replying and event.at - last > BURST
                yield index, _only(unsure | set(waiting if unsure or more else waiting[:1]))
                replying, last = True, event.at

    def _received(self) -> Iterable[tuple[int, Event]]:
        for index in range(self._result.first, len(self._connection.events)):
            event = self._connection.events[index]
            if event.sender == "server" and not is_socket(event):
                yield index, event


def _units(connection: Connection, first: int) -> Iterable[_Unit]:
    """Return what the client sent, the parts of one query together."""
    returned: dict[int, set[int]] = {}
    for event in connection.events:
        if event.sender == "server" and (exchange := _exchange(event)) is not None:
            returned.setdefault(exchange, set()).update(_rows(event))
    unit: _Unit | None = None
    closed = False
    for index, event in enumerate(connection.events[first:], first):
        if event.sender != "client":
            closed = closed or event.kind == "fin"
            continue
        if closed and event.kind == "fin" and connection.client_pid is not None:
            # On a Unix socket the relay passes on that the server has closed by shutting both ways, and sees this.
            continue
        exchange = _exchange(event)
        named = {int(number) for number in _NUMBER.findall(describe(event))} if event.kind != "tls" else set()
        if unit and exchange is not None and exchange == _exchange(unit.events[0]):
            unit.indices.append(index)
            unit.events.append(event)
            unit.named |= named
            continue
        if unit:
            yield unit
        unit = _Unit(event.at, [index], [event], named, returned.get(exchange or 0, set()))
    if unit:
        yield unit


def _exchange(event: Event) -> int | None:
    """Return the number of the exchange that a message belongs to, None where there is none."""
    return event.exchange if event.exchange and event.name not in TERMINATION and not is_socket(event) else None


def _rows(event: Event) -> set[int]:
    """Return the numbers that the first and the last row of a result begin with."""
    values = (event.first, event.last) if event.rows else ()
    return {int(number) for number in map(str, values) if re.fullmatch(r"\d{1,4}", number)}


def _only(names: set[str | None]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None


def _one_of(names: Iterable[str]) -> Sender:
    names = list(names)
    return Sender(None, f"unknown: {' or '.join(names)}" if names else "unknown: no process was in a step")
