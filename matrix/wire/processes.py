"""What each process was doing when, from its steps: which processes can have sent something at a moment.

Times are seconds since the epoch, by the wall clock of one machine. The relay sees bytes a little after they were sent,
so a step that may have left bytes behind counts for a while after its end: for as long as the relay measured that it
was late at most, and `SLACK`, which it cannot measure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.records.steps import HOLDING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matrix.records.steps import Step
    from matrix.records.wire import Connection

#: Seconds that bytes may take to where the relay sees them.
SLACK = 0.05

#: Steps that run statements, and so send no termination message unless they fail.
QUERYING = {"look up", "read", "insert", "begin", "commit", "rollback", "ping"}
#: Steps that work on connections opened in them.
OWN = {"prepare", "connect"}
#: Steps in which a process waits for others or looks at itself, and sends nothing.
PASSIVE = {"wait", "join", "transaction state", "meet"}
#: Steps in which no process is started.
WITHOUT_FORK = {*QUERYING, *OWN, *HOLDING, *PASSIVE}
#: Steps that keep whatever connection they use, unless they fail.
KEEPING = {*QUERYING, *HOLDING, *PASSIVE, "prepare"}
#: Steps that open a pool, whose threads then open connections at any time.
POOLING = {"open"}
NEVER = float("inf")


@dataclass
class Span:
    """A step from its begin to its end, which is `NEVER` if it was not seen, and then `result` is None.

    What was sent before its end the relay had seen by `seen`. It is `disturbed` if another process ran a query
    meanwhile, because then the result it got may have been that one's.
    """

    step: Step
    begin: float
    end: float = NEVER
    result: Step | None = None
    disturbed: bool = False
    seen: float = NEVER

    @property
    def action(self) -> str:
        """What the step does, such as `look up`."""
        return self.step.action

    @property
    def failed(self) -> bool:
        """Whether it raised."""
        return self.result is not None and self.result.result == "raised"

    @property
    def answered(self) -> bool:
        """Whether the last bytes in it were the server's, and were the reply to its own query."""
        if self.action == "look up":
            return self.result is not None and self.result.right
        return not self.failed and (self.action == "connect" or (self.action in QUERYING and not self.disturbed))

    def under_way(self, at: float) -> bool:
        """Whether it was going on at a moment."""
        return self.begin <= at <= self.end

    def may_send(self, at: float) -> bool:
        """Whether bytes that came at a moment may have been sent in this step, a little earlier."""
        return self.action not in PASSIVE and self.begin <= at <= (self.end if self.answered else self.seen)

    def may_use(self, connection: Connection) -> bool:
        """Whether the step may send on a connection: some use only those that they open."""
        return self.action not in OWN or self.under_way(connection.opened_at)


@dataclass
class Process:
    """A process and its steps.

    It was started between `started_from` and `started_by`, its first and last records are of `first` and `last`, it
    does not exit before `exits_from`, and its parent had waited for it by `gone`; the relay had seen its last bytes by
    `seen`. A worker of an executor may act before its first step.
    """

    name: str
    pid: int
    first: float
    last: float
    is_worker: bool = False
    started_from: float = -NEVER
    started_by: float = NEVER
    exits_from: float = 0.0
    gone: float = NEVER
    seen: float = NEVER
    spans: list[Span] = field(default_factory=list)

    @property
    def is_parent(self) -> bool:
        """Whether it is the program's first process."""
        return self.name == "parent"

    @property
    def pool_from(self) -> float:
        """When it may have opened a pool, whose threads act outside of the steps."""
        return min((span.begin for span in self.spans if span.action in POOLING), default=NEVER)

    @property
    def threads_from(self) -> float:
        """When its first thread may have started beside the main one."""
        return min([self.pool_from, *(span.begin for span in self.spans if span.step.thread)])

    def sending(self, at: float) -> list[Span]:
        """Return the steps in which the process may have sent what came at a moment."""
        return [span for span in self.spans if span.may_send(at)]

    def starting(self, at: float) -> bool:
        """Whether the process is a worker that may have been started and had no work yet."""
        return self.is_worker and self.started_from <= at <= self.first

    def idle(self, at: float) -> bool:
        """Whether the process may have existed at a moment, outside of its steps."""
        exists = self.is_parent or self.started_from <= at <= self.gone
        return exists and not any(s.action in PASSIVE and s.under_way(at) for s in self.spans if not s.step.thread)

    def exiting(self, at: float) -> bool:
        """Whether the process was past its last step and not known to be gone."""
        return max(self.last, self.exits_from) <= at <= self.seen and not self.stuck(at)

    def stuck(self, at: float) -> bool:
        """Whether the process was in a step that never ended, so that only a signal ends it."""
        return any(span.begin <= at and span.end == NEVER for span in self.spans)

    def holds_until(self, at: float) -> float:
        """Return until when the process certainly holds what it used at a moment: a later step may drop it."""
        ends = [self.last]
        for span in self.spans:
            if span.end < at:
                continue
            if span.failed:
                ends.append(span.end if span.begin <= at else span.begin)
            # The step that opened the connection does not drop it.
            if span.action not in KEEPING and not (span.action in OWN and span.begin <= at):
                ends.append(max(span.begin, at))
        return min(ends)


def slack(connections: Iterable[Connection]) -> float:
    """Return by how many seconds the relay may have seen anything on some connections after it was sent."""
    return SLACK + max((connection.late for connection in connections), default=0.0)


def processes(steps: Sequence[Step], slack: float = SLACK) -> dict[str, Process]:
    """Return each process with its steps, the parent first, children by number; see `slack`."""
    found: dict[str, Process] = {}
    open_spans: dict[tuple[str, str, str], Span] = {}
    for step in sorted(steps, key=lambda step: step.at):
        process = found.setdefault(step.who, Process(step.who, step.pid, step.at, step.at))
        process.last = step.at
        key = (step.who, step.thread, step.name)
        if step.result is None:
            open_spans[key] = Span(step, step.at)
            process.spans.append(open_spans[key])
        elif span := open_spans.pop(key, None):
            span.end, span.result = step.at, step
    if parent := found.get("parent"):
        children = [process for process in found.values() if not process.is_parent]
        for child in children:
            _set_start(child, parent)
        _set_workers(children, parent)
        _set_gone(children, parent)
    _find_disturbed(found.values())
    _wait_for_relay(found.values(), slack)
    order = sorted(found, key=lambda name: (name != "parent", [int(n) for n in re.findall(r"\d+", name)]))
    return {name: found[name] for name in order}


def _set_start(child: Process, parent: Process) -> None:
    """Set when a child was started, as far as its parent's steps say."""
    child.started_by = child.first
    for span in parent.spans:
        if span.step.thread or span.action not in WITHOUT_FORK or span.begin > child.first:
            continue
        if span.end >= child.first:
            child.started_by = min(child.started_by, span.begin)
        else:
            child.started_from = max(child.started_from, span.end)


def _waits(parent: Process, *results: str) -> list[float]:
    """Return when the parent had waited with one of some results, in order."""
    return sorted(
        span.end for span in parent.spans if span.action == "wait" and span.result and span.result.result in results
    )


def _set_workers(children: Sequence[Process], parent: Process) -> None:
    """Find workers of an executor, which exist before they have work and stay until all of them are done."""
    done = _waits(parent, "done")
    if not done:
        return
    moments = sorted({at for span in parent.spans for at in (span.begin, span.end)})
    for child in children:
        following = next((at for at in moments if at > child.last), NEVER)
        child.is_worker = True
        child.started_from = max((end for end in done if end < child.first), default=-NEVER)
        child.exits_from = max(each.last for each in children if each.last <= following)


def _set_gone(children: Sequence[Process], parent: Process) -> None:
    """Set when each child was gone: when its parent had waited for as many as had ended their last step by then."""
    staying, waited = list(children), 0
    for end in _waits(parent, "exit", "signal"):
        waited += 1
        silent = [child for child in staying if child.last <= end]
        if len(silent) <= waited:
            for child in silent:
                child.gone = end
                staying.remove(child)
            waited = 0


def _find_disturbed(known: Collection[Process]) -> None:
    """Mark the steps during which another process ran a query."""
    querying = [(process, span) for process in known for span in process.spans if span.action in QUERYING]
    querying.sort(key=lambda each: each[1].begin)
    for index, (process, span) in enumerate(querying):
        for other, later in querying[index + 1 :]:
            if later.begin > span.end:
                break
            if other is not process:
                span.disturbed = later.disturbed = True


def _wait_for_relay(known: Collection[Process], slack: float) -> None:
    """Set by when the relay had seen what was sent before a moment.

    That is `slack` later, or when a query that was sent after that moment had its result: one loop serves all
    connections, and has seen what came before the query by the time it passes on the reply.
    """
    answered = [
        (span.begin, span.end)
        for process in known
        for span in process.spans
        if span.action == "look up" and span.answered
    ]

    def seen(at: float) -> float:
        return min([at + slack, *(end for begin, end in answered if begin >= at)])

    for process in known:
        process.seen = seen(process.gone)
        for span in process.spans:
            span.seen = seen(span.end)
