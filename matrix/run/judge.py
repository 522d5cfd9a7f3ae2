"""Says what happened in one run of one cell, from the steps of its processes and from the server.

Judged are facts: which order a result held, which session it came from, which exception ended a step, which rows are
on the server. Texts of messages are kept as evidence and decide nothing, because they differ between client libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matrix.records.observation import ServerView, View
from matrix.records.outcomes import OUTCOMES
from matrix.records.stable import Letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.records.outcomes import Outcome
    from matrix.records.run import Run
    from matrix.records.steps import Step

#: Steps in which the parent starts children: what it reads after them is after the fork, whichever process is first.
_FORKS = ("fork", "start")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one run, all outcomes seen in it, and the three points of view that support it.

    `steps` are the run's, without what differs from run to run.
    """

    outcome: Outcome
    seen: list[Outcome]
    parent: View
    children: list[View]
    server: ServerView
    steps: list[Step]


def judge(run: Run) -> Verdict:
    """Return what happened, as OUTCOMES names it."""
    steps = run.steps
    letters = Letters()
    by_process: dict[str, list[Step]] = {"parent": []}
    for step in steps:
        by_process.setdefault(step.who, []).append(step)
    parent = by_process["parent"]
    children = sorted(by_process.keys() - {"parent"}, key=lambda name: int(name.split()[1]))
    shared = _shared_sessions(by_process.values())
    lost, unwanted = _writes(by_process.values(), run.committed)
    before, after = _parent_sessions(steps)
    new = bool(before) and bool(after - before)
    failed_in_parent = any(step.result == "raised" for step in parent)
    happened: dict[Outcome, bool] = {
        "wrong row": any(step.wrong for step in steps),
        "lost write": bool(lost),
        "unwanted write": bool(unwanted),
        "crash": bool(run.signal) or any(step.signal for step in steps),
        "hang": run.timed_out,
        "parent error": failed_in_parent,
        "child error": not failed_in_parent and any(step.result == "raised" for step in steps),
        "leak": bool(run.sessions_after),
        "shared session": bool(shared),
        "new session": new,
    }
    seen: list[Outcome] = [outcome for outcome in OUTCOMES if happened.get(outcome)] or ["works"]
    session: Literal["shared", "new", "same", "lost", "none"] = "none"
    if _sessions(parent) & shared:
        session = "shared"
    elif new:
        session = "new"
    elif before:
        session = "same" if after else "lost"
    return Verdict(
        outcome=seen[0],
        seen=seen,
        parent=_view("parent", parent, session, run.signal),
        children=[
            _view(
                name,
                by_process[name],
                "shared" if _sessions(by_process[name]) & shared else "own" if _sessions(by_process[name]) else "none",
            )
            for name in children
        ],
        steps=[letters.plain(step) for step in steps],
        server=ServerView(
            sessions_before=run.sessions_before,
            sessions_after=run.sessions_after,
            sessions_used=list(dict.fromkeys(letters.letter(s.session) for s in steps if s.session is not None)),
            committed=None if run.committed is None else sorted(run.committed),
            lost=sorted(lost),
            unwanted=sorted(unwanted),
        ),
    )


def _view(
    name: str,
    steps: Sequence[Step],
    session: Literal["same", "new", "shared", "lost", "none", "own"],
    signal: str | None = None,
) -> View:
    """Return what one process saw: rows right and wrong, exceptions, and steps that never ended."""
    still_open: dict[tuple[str, str], int] = {}
    for step in steps:
        key = (step.thread, step.name)
        still_open[key] = still_open.get(key, 0) + (1 if step.result is None else -1)
    return View(
        name=name,
        session=session,
        right=sum(step.right for step in steps),
        wrong=sum(step.wrong for step in steps),
        errors=sorted({step.exception for step in steps if step.exception}),
        unanswered=[step for (_, step), count in still_open.items() if count > 0],
        signal=signal,
    )


def _sessions(steps: Iterable[Step]) -> set[int | str]:
    """Return the server sessions that the steps name."""
    return {step.session for step in steps if step.session is not None}


def _shared_sessions(processes: Iterable[Sequence[Step]]) -> set[int | str]:
    """Return the sessions on which more than one process got a reply."""
    used: dict[int | str, int] = {}
    for steps in processes:
        for session in _sessions(steps):
            used[session] = used.get(session, 0) + 1
    return {session for session, count in used.items() if count > 1}


def _parent_sessions(steps: Sequence[Step]) -> tuple[set[int | str], set[int | str]]:
    """Return the parent's sessions before the first child, and those after."""
    turn = next(
        (index for index, step in enumerate(steps) if step.who != "parent" or step.action in _FORKS),
        len(steps),
    )
    before, after = (_sessions(step for step in part if step.who == "parent") for part in (steps[:turn], steps[turn:]))
    return before, after


def _writes(processes: Iterable[Sequence[Step]], committed: frozenset[int] | None) -> tuple[set[int], set[int]]:
    """Return the orders whose commit was confirmed but which are not there, and those rolled back that are.

    A process's inserts belong to the transaction that its next `commit` or `rollback` ends, as the process was told.
    """
    lost: set[int] = set()
    unwanted: set[int] = set()
    if committed is None:
        return lost, unwanted
    for steps in processes:
        pending: list[int] = []
        for step in steps:
            if step.result != "done":
                continue
            if step.action == "insert" and step.about is not None:
                pending.append(step.about)
            elif step.action == "commit":
                lost.update(number for number in pending if number not in committed)
                pending = []
            elif step.action == "rollback":
                unwanted.update(number for number in pending if number in committed)
                pending = []
    return lost, unwanted
