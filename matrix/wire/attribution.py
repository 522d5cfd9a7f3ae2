"""Says which process sent what, from what the processes printed and what went over the wire.

The wire shows connections, not processes: after a fork several processes hold one. Each message of a client is thus
attributed to a process where the facts leave one possibility, and to nobody where they do not:

* the system names the process that opens a Unix socket; what is said on a connection later can rule openers out;
* a process can send only on connections it holds: those it opened, and those its parent had open when it was started;
* a process acts in its steps; where nobody was in a step that could have been it, any that was not waiting for others;
* a step that works on a connection of its own, such as `connect` or `watch`, sends on no other, but for a goodbye;
* a look-up that got what it asked for has sent nothing that came after the answer;
* who has asked waits: until the server says something on that connection, a process without threads sends nothing;
* a step that asks says no goodbye unless it fails, and who leaves says nothing else;
* a statement that names an order, or is answered with its row, belongs to a step about that order;
* bytes keep their order: after a process has been heard on a connection, nothing comes from those that had left before;
* the end of a connection (FIN) comes from the last that holds it, and who leaves is not the last while another does.

Times are the wall clock of one machine. The relay sees bytes a little after they were sent, so that a step which may
have left bytes behind counts until `SLACK` after its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.wire import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.records.transcript import Line
    from matrix.records.wire import Connection, Event

#: Seconds by which the relay may be late in seeing what a process sent.
SLACK = 0.05
#: Messages that follow each other on one connection within so many seconds may be parts of one question.
BURST = 0.002

#: Steps that send statements, and so no goodbye unless they fail.
ASKING = {"look up", "read", "insert", "begin", "commit", "rollback", "ping"}
#: Steps that work on connections opened in them.
OWN = {"prepare", "connect"}
#: Steps that work on a connection that is opened in the first of them and used in no other.
HOLDING = {"hold answers", "watch", "release answer"}
#: Steps in which a process waits for others or looks at itself, and sends nothing.
PASSIVE = {"wait", "join", "transaction state", "meet"}
#: Steps in which no process is started.
_ALONE = ASKING | OWN | HOLDING | PASSIVE
#: Steps that open a pool, whose threads then open connections at any time.
_POOLING = {"open"}
#: What a client says to end a session.
GOODBYES = {"COM_QUIT", "Terminate"}
_SOCKET = ("fin", "rst", "connect", "refused")
_NUMBER = re.compile(r"(?<![\w.:$%])(\d{1,4})(?![\w.])")
_NEVER = float("inf")


@dataclass(frozen=True)
class Sender:
    """The process that sent something, None where it cannot be told, and what that follows from."""

    who: str | None
    how: str


@dataclass
class Attribution:
    """Who opened one connection, who sent each of its client's events, and whose question each of the server's answers.

    Keys are indices into the connection's events; what belongs to the opening has none, nor has what the relay did
    itself. A value of `answers` is None where it cannot be told.
    """

    opener: Sender
    first: int
    senders: dict[int, Sender] = field(default_factory=dict)
    answers: dict[int, str | None] = field(default_factory=dict)


@dataclass
class Step:
    """A step of a process; times are seconds since the epoch, infinite for what was not seen.

    What was sent before its `end` the relay had seen by `seen`. It is `disturbed` where another process asked
    meanwhile, so that what it was answered may have been for that.
    """

    action: str
    about: int | None
    begin: float
    thread: str = ""
    end: float = _NEVER
    result: str = ""
    failed: bool = False
    disturbed: bool = False
    seen: float = _NEVER

    @property
    def answered(self) -> bool:
        """Whether its last bytes were the server's, and those were for it."""
        if self.action == "look up":
            return re.match(rf"order {self.about}\b", self.result) is not None
        alone = self.action in ASKING and not self.disturbed
        return (alone or self.action == "connect") and not self.failed

    def under_way(self, at: float) -> bool:
        """Whether it was going on at a moment."""
        return self.begin <= at <= self.end

    def may_send(self, at: float) -> bool:
        """Whether bytes that came at a moment may have been sent in this step, a little earlier."""
        return self.action not in PASSIVE and self.begin <= at <= (self.end if self.answered else self.seen)

    def may_use(self, connection: Connection) -> bool:
        """Whether the step may send on a connection: some use none but those that they open."""
        return self.action not in OWN or self.begin <= connection.opened_at <= self.end


@dataclass
class Process:
    """A process and its steps.

    It was started between `started_from` and `started_by`, does not leave before `leaves_from`, and was seen to be gone
    at `gone`; the relay had seen its last bytes by `seen`. A worker of an executor may act before its first step.
    """

    name: str
    pid: int
    first: float
    last: float
    is_worker: bool = False
    started_from: float = -_NEVER
    started_by: float = _NEVER
    leaves_from: float = 0.0
    gone: float = _NEVER
    seen: float = _NEVER
    steps: list[Step] = field(default_factory=list)

    @property
    def is_parent(self) -> bool:
        """Whether it is the program's first process."""
        return self.name == "parent"

    @property
    def threads_from(self) -> float:
        """When its first thread may have started beside the main one."""
        return min((s.begin for s in self.steps if s.thread or s.action in _POOLING), default=_NEVER)

    @property
    def pool_from(self) -> float:
        """When it may have opened a pool, whose threads act outside of the steps."""
        return min((s.begin for s in self.steps if s.action in _POOLING), default=_NEVER)

    def sending(self, at: float) -> list[Step]:
        """Return the steps in which the process may have sent what came at a moment."""
        return [step for step in self.steps if step.may_send(at)]

    def starting(self, at: float) -> bool:
        """Whether the process is a worker that may have been started and had no work yet."""
        return self.is_worker and self.started_from <= at <= self.first

    def idle(self, at: float) -> bool:
        """Whether the process may have existed at a moment, outside of its steps."""
        exists = self.is_parent or self.started_from <= at <= self.gone
        return exists and not any(s.action in PASSIVE and s.under_way(at) for s in self.steps if not s.thread)

    def leaving(self, at: float) -> bool:
        """Whether the process was past its last step and not known to be gone."""
        return max(self.last, self.leaves_from) <= at <= self.seen and not self.stuck(at)

    def stuck(self, at: float) -> bool:
        """Whether the process was in a step that never ended, from which only a signal takes it."""
        return any(step.begin <= at and step.end == _NEVER for step in self.steps)

    def holds_until(self, at: float) -> float:
        """Return until when the process certainly holds what it used at a moment: a later step may let go of it."""
        keeping = ASKING | PASSIVE | HOLDING | {"prepare"}
        ends = [s.end if s.begin <= at else s.begin for s in self.steps if s.end >= at and s.failed]
        # The step that opened it does not let go of it.
        letting_go = [s for s in self.steps if s.action not in keeping and not (s.action in OWN and s.begin <= at)]
        ends += [max(s.begin, at) for s in letting_go if s.end >= at]
        return min([*ends, self.last])


def processes(lines: Sequence[Line], times: Sequence[float]) -> dict[str, Process]:
    """Return each process with its steps, the parent first, children by number."""
    found: dict[str, Process] = {}
    open_steps: dict[tuple[str, str, str], Step] = {}
    for line, at in zip(lines, times, strict=True):
        process = found.setdefault(line.who, Process(line.who, line.pid, at, at))
        process.last = max(process.last, at)
        key = (line.who, line.thread, line.step)
        if line.result is None:
            open_steps[key] = Step(line.action, line.about, at, line.thread)
            process.steps.append(open_steps[key])
        elif step := open_steps.pop(key, None):
            step.end, step.result, step.failed = at, line.result, line.error is not None
    if parent := found.get("parent"):
        children = [process for process in found.values() if not process.is_parent]
        for child in children:
            _place(child, parent)
        _see_off(children, parent)
    _find_disturbed(found.values())
    _wait_for_relay(found.values())
    order = sorted(found, key=lambda name: (name != "parent", [int(n) for n in re.findall(r"\d+", name)]))
    return {name: found[name] for name in order}


def _place(child: Process, parent: Process) -> None:
    """Set when a child was started, as far as its parent's steps tell."""
    child.started_by = child.first
    for step in sorted(parent.steps, key=lambda step: step.begin):
        if step.thread or step.action not in _ALONE or step.begin > child.first:
            continue
        if step.end >= child.first:
            child.started_by = min(child.started_by, step.begin)
        else:
            child.started_from = step.end


def _find_disturbed(everybody: Iterable[Process]) -> None:
    """Mark the steps during which another process asked."""
    asking = [(process, step) for process in everybody for step in process.steps if step.action in ASKING]
    asking.sort(key=lambda each: each[1].begin)
    for index, (process, step) in enumerate(asking):
        for other, later in asking[index + 1 :]:
            if later.begin > step.end:
                break
            if other is not process:
                step.disturbed = later.disturbed = True


def _wait_for_relay(everybody: Iterable[Process]) -> None:
    """Set by when the relay had seen what was sent before a moment.

    That is `SLACK` later, or when a question that was asked after that moment has been answered: one loop serves all
    connections, and has seen what came before the question by the time it passes on the answer.
    """
    everybody = list(everybody)
    answered = [
        (step.begin, step.end)
        for process in everybody
        for step in process.steps
        if step.action == "look up" and step.answered
    ]

    def seen(at: float) -> float:
        return min([at + SLACK, *(end for begin, end in answered if begin >= at)])

    for process in everybody:
        process.seen = seen(process.gone)
        for step in process.steps:
            step.seen = seen(step.end)


def _see_off(children: Sequence[Process], parent: Process) -> None:
    """Set when each child was gone: when its parent had waited for as many as had said their last by then."""
    waits = [s for s in parent.steps if s.action == "wait" and s.result.startswith(("exit ", "signal "))]
    if any(step.action == "wait" and step.result == "done" for step in parent.steps):
        # Workers of an executor, which are there before they have work, and stay as long as any of them is at work.
        results = [step.end for step in parent.steps if step.action == "wait" and step.result == "done"]
        said = sorted({time for step in parent.steps for time in (step.begin, step.end)})
        for child in children:
            following = next((at for at in said if at > child.last), _NEVER)
            child.is_worker = True
            child.started_from = max((end for end in results if end < child.first), default=-_NEVER)
            child.leaves_from = max(each.last for each in children if each.last <= max(following, child.last))
    staying, waited = set(map(id, children)), 0
    for step in sorted(waits, key=lambda step: step.end):
        waited += 1
        silent = [child for child in children if id(child) in staying and child.last <= step.end]
        if len(silent) <= waited:
            for child in silent:
                child.gone = step.end
                staying.discard(id(child))
            waited = 0


def first_event(connection: Connection) -> int:
    """Return the index of the first event once the session was open: what is said until then is always the same."""
    events = connection.events
    if connection.tls:
        sent = [i for i, e in enumerate(events) if e["from"] == "client" and e["name"] == "application_data"]
        return sent[1] if len(sent) > 1 else max(len(events) - 1, 0)
    for index, event in enumerate(events):
        if event["from"] == "server" and event["name"] in ("ReadyForQuery", "OK", "ERR", "ErrorResponse"):
            return index + (event["name"] in ("ReadyForQuery", "OK"))
        if event["from"] == "client" and event["kind"] in ("fin", "rst"):
            return index
    return 0


def is_socket(event: Event) -> bool:
    """Whether an event is something that happened to a socket and not something that was said."""
    return event["kind"] in _SOCKET


def undelivered(event: Event) -> bool:
    """Whether an event says that the other side had closed the connection before a message came."""
    return event["kind"] == "rst" and event["detail"].get("error") == "EPIPE"


@dataclass
class _Unit:
    """What one process sent at once: a whole question, a goodbye, a TLS record, or the end of a connection."""

    at: float
    indices: list[int]
    events: list[Event]
    asked: set[int]
    answered: set[int]

    @property
    def sealed(self) -> bool:
        """Whether what it says is hidden."""
        return self.events[0]["kind"] == "tls"

    @property
    def socket(self) -> bool:
        return is_socket(self.events[0])

    @property
    def goodbye(self) -> bool:
        """Whether it ends the session or may do so."""
        event = self.events[0]
        if self.sealed:
            return "could_be" in event["detail"] or "plaintext_at_most" not in event["detail"]
        return event["name"] in GOODBYES or self.socket


def attribute(
    connections: Sequence[Connection], known: Mapping[str, Process], users: Sequence[set[str]]
) -> list[Attribution]:
    """Return who did what on each connection; `users` are those who were answered on it, as far as is known.

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
    """Whether a process, having sent this, does nothing until the server says something."""
    steps = process.sending(unit.at)
    return (
        not unit.goodbye and unit.at < process.threads_from and bool(steps) and all(s.action in ASKING for s in steps)
    )


class _Wire:
    """One connection while it is being attributed."""

    def __init__(self, connection: Connection, known: Mapping[str, Process], users: set[str]) -> None:
        self._connection = connection
        self._known = known
        self._users = users & known.keys()
        self._result = Attribution(Sender(None, "cannot be told"), first_event(connection))
        # Only PostgreSQL's driver brings a pool with threads. MariaDB's protocol is the one with a greeting.
        self._may_be_pooled = all(event["name"] != "greeting" for event in connection.events[:3])
        self._inherited_from = self._first_fork()
        self._apart = any(
            step.action == "hold answers" and step.under_way(connection.opened_at)
            for process in known.values()
            for step in process.steps
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
            at = max(at, event["at"])
            if index in ours:
                yield at, self, ours[index]
            if event["from"] == "server" or event["kind"] == "rst":
                yield at, self, "heard"

    def opened(self, waiting: Mapping[str, tuple[_Wire, float]]) -> None:
        """Settle who opened the connection, now that it is known who was waiting then."""
        if self._connection.client_pid is not None:
            who = next(iter(self._openers)) if len(self._openers) == 1 else None
            self._result.opener = Sender(who, "the system names it" if who else "a process that said nothing")
            if who:
                self._used[who] = self._connection.opened_at
            return
        openers = self._openers - waiting.keys() or self._openers
        if len(openers) == 1:
            (who,) = openers
            alone = len(self._able_to_open()) == 1
            self._result.opener = Sender(who, "only it could" if alone else "only it fits what was said on it")
            self._openers, self._holders = openers, self._held_by(openers)
            self._used[who] = self._connection.opened_at
        elif openers:
            self._result.opener = _one_of(openers)

    def sent(self, unit: _Unit, waiting: Mapping[str, tuple[_Wire, float]]) -> Sender:
        """Say who sent a unit, and take note of what follows from that."""
        sender = self._sender(unit, waiting)
        for index in unit.indices:
            self._result.senders[index] = sender
        if sender.who is not None:
            heard = self._known[sender.who]
            self._used[heard.name] = unit.at
            since = min((step.begin for step in heard.sending(unit.at)), default=0.0)
            self._holders = {n for n in self._holders if n == heard.name or self._known[n].gone > since}
        return sender

    def finish(self) -> Attribution:
        """Return the result, once everything was sent."""
        if self._connection.tls:
            self._match_hidden_answers()
        else:
            self._match_answers()
        return self._result

    def _sender(self, unit: _Unit, waiting: Mapping[str, tuple[_Wire, float]]) -> Sender:
        if undelivered(unit.events[0]):
            return Sender(None, "seen by the relay")
        able = [process for process in self._known.values() if process.name in self._candidates(unit)]
        if not unit.socket:
            free = [process for process in able if not self._is_waiting(waiting.get(process.name), unit)]
            able = free or able
        if len(able) == 1:
            return Sender(able[0].name, "nobody else held it" if len(self._holders) == 1 else "only it could")
        for numbers in (unit.asked, unit.answered):
            asking = [
                process
                for process in able
                if any(step.about in numbers and step.action in ASKING for step in process.sending(unit.at))
            ]
            if len(asking) == 1:
                return Sender(asking[0].name, "the order it asked for")
        if unit.socket and len(last := self._last_to_hold(able, unit.at)) == 1:
            return Sender(last[0].name, "the last to hold it")
        return _one_of(process.name for process in able)

    def _is_waiting(self, place: tuple[_Wire, float] | None, unit: _Unit) -> bool:
        if place is None:
            return False
        wire, asked = place
        return wire is not self or unit.at - asked > BURST

    def _last_to_hold(self, able: Sequence[Process], at: float) -> list[Process]:
        """Return those whose leaving can have ended the connection: nobody else held it then for certain."""
        return [
            process
            for process in able
            if any(step.action == "shut down" for step in process.sending(at))
            or not any(
                self._known[name].holds_until(used) >= min(at, process.gone)
                for name, used in self._used.items()
                if name != process.name
            )
        ]

    def _candidates(self, unit: _Unit) -> set[str]:
        """Return who may have sent a unit: by its steps, else whoever was there and not waiting."""
        holders = [self._known[name] for name in self._holders if self._inherited(self._known[name], unit.at)]
        acting = {process.name for process in holders if self._acts(unit, process)}
        late = {process.name for process in holders if self._is_late(unit, process)}
        return acting | late if acting else late | self._outside(holders, unit)

    def _outside(self, holders: Iterable[Process], unit: _Unit) -> set[str]:
        return {process.name for process in holders if process.idle(unit.at)}

    def _inherited(self, process: Process, at: float) -> bool:
        """Whether a process can have the connection by then: none inherits it before the step that opened it ends."""
        return process.is_parent or process.name in self._openers or at >= self._inherited_from

    def _acts(self, unit: _Unit, process: Process) -> bool:
        """Whether a process was in a step that may have sent a unit, or has threads or an initializer that may."""
        at = unit.at
        steps = [step for step in process.steps if step.under_way(at) and step.may_send(at)]
        if self._fits(unit, steps) or process.starting(at):
            return True
        own = process.name in self._openers and self._may_be_pooled
        return own and process.pool_from <= self._connection.opened_at and at <= process.gone and not unit.goodbye

    def _is_late(self, unit: _Unit, process: Process) -> bool:
        """Whether the relay may have seen a unit late that a process sent in a step, or when it left."""
        at = unit.at
        if unit.goodbye and (process.leaving(at) or (unit.socket and process.stuck(at))):
            return True
        return self._fits(unit, [step for step in process.sending(at) if not step.under_way(at)])

    def _fits(self, unit: _Unit, steps: Sequence[Step]) -> bool:
        """Whether one of some steps may have sent a unit."""
        using = [s for s in steps if (s.action in HOLDING) is self._apart and s.may_use(self._connection)]
        if not unit.goodbye:
            return bool(using)
        # A step that connects may replace a connection, and so let go of it.
        parting = [*using, *(step for step in steps if step.action == "connect")]
        return any(step.action not in ASKING or step.failed for step in parting) or (unit.sealed and bool(using))

    def _first_fork(self) -> float:
        """Return when a process can have been started first that inherits the connection from the parent."""
        opened, parent = self._connection.opened_at, self._known.get("parent")
        if parent is None or parent.threads_from <= opened:
            return opened - SLACK
        return max((s.end for s in parent.steps if s.action in _ALONE and s.under_way(opened)), default=opened)

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
        fitting = {opener for opener in able if self._explains(opener)}
        return fitting or able

    def _explains(self, opener: str) -> bool:
        """Whether all that was sent and answered on the connection fits one who may have opened it."""
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
        """Return who can hold the connection: who opened it and, where that was the parent, children started since."""
        if not openers:
            return set(self._known)
        if "parent" not in openers:
            return set(openers)
        opened = self._connection.opened_at
        opened -= SLACK if self._known["parent"].threads_from <= opened else 0
        return openers | {n for n, p in self._known.items() if not p.is_parent and p.started_by >= opened}

    def _match_answers(self) -> None:
        """Say whose question each of the server's messages answers, by the number of the exchange."""
        asked: dict[int, set[str | None]] = {}
        for unit in self._units:
            for index, event in zip(unit.indices, unit.events, strict=True):
                if (exchange := _exchange(event)) is not None:
                    asked.setdefault(exchange, set()).add(self._result.senders[index].who)
        for index, event in self._heard():
            who = asked.get(_exchange(event) or 0, set())
            self._result.answers[index] = next(iter(who)) if len(who) == 1 else None

    def _match_hidden_answers(self) -> None:
        """Say whose question each of the server's records answers, where nothing but their order can be seen.

        The first answer is for the first question. Once several were waiting for theirs it cannot be told how many
        answers a record holds, and all that can be said is whom any of them would be for.
        """
        unsure: set[str | None] = set()
        asking: list[str | None] = []
        answering = False
        ours = {unit.indices[0]: unit for unit in self._units if not unit.socket}
        heard = dict(self._heard())
        last = 0.0
        for index, event in enumerate(self._connection.events):
            if index in ours:
                if answering:
                    unsure |= set(asking) if len(asking) > 1 else set()
                    asking, answering = [], False
                who = self._result.senders[index].who
                asking += [who] if asking[-1:] != [who] else []
            elif index in heard:
                # What comes later than the first answer may be another one, where several are due.
                more = answering and event["at"] - last > BURST
                due = unsure | set(asking if unsure or more else asking[:1])
                self._result.answers[index] = next(iter(due)) if len(due) == 1 else None
                answering, last = True, event["at"]

    def _heard(self) -> Iterable[tuple[int, Event]]:
        for index in range(self._result.first, len(self._connection.events)):
            event = self._connection.events[index]
            if event["from"] == "server" and not is_socket(event):
                yield index, event


def _units(connection: Connection, first: int) -> Iterable[_Unit]:
    """Return what the client sent, the parts of one question together."""
    answered: dict[int, set[int]] = {}
    for event in connection.events:
        if event["from"] == "server" and (exchange := _exchange(event)) is not None:
            answered.setdefault(exchange, set()).update(_rows(event))
    unit: _Unit | None = None
    closed = False
    for index, event in enumerate(connection.events[first:], first):
        if event["from"] != "client":
            closed = closed or event["kind"] == "fin"
            continue
        if closed and event["kind"] == "fin" and connection.client_pid is not None:
            # On a Unix socket the relay passes on that the server has closed by shutting both ways, and sees this.
            continue
        exchange = _exchange(event)
        numbers = {int(number) for number in _NUMBER.findall(describe(event))} if event["kind"] != "tls" else set()
        if unit and exchange is not None and exchange == _exchange(unit.events[0]):
            unit.indices.append(index)
            unit.events.append(event)
            unit.asked |= numbers
            continue
        if unit:
            yield unit
        unit = _Unit(event["at"], [index], [event], numbers, answered.get(exchange or 0, set()))
    if unit:
        yield unit


def _exchange(event: Event) -> int | None:
    """Return the number of the question that a message belongs to, None where there is none."""
    number = event["detail"].get("exchange")
    if event["name"] in GOODBYES or not isinstance(number, int) or is_socket(event):
        return None
    return number if number > 0 else None


def _rows(event: Event) -> set[int]:
    """Return the numbers that the first and the last row of an answer begin with."""
    if not event["detail"].get("rows"):
        return set()
    return {int(n) for key in ("first", "last") if re.fullmatch(r"\d{1,4}", n := str(event["detail"].get(key, "")))}


def _one_of(names: Iterable[str]) -> Sender:
    names = list(names)
    if not names:
        return Sender(None, "nobody was in a step then")
    return Sender(None, f"{' or '.join(names)}: cannot be told")
