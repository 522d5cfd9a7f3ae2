"""Says what happened in one run of one cell, from the transcript and from the server.

Judged are facts: which order an answer held, which session it came from, which exception ended a step, which rows are
on the server. Texts of messages are kept as evidence and decide nothing, for they differ between client libraries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.records.transcript import Names, sessions

if TYPE_CHECKING:
    from matrix.records.run import Run
    from matrix.records.transcript import Line


@dataclass(frozen=True)
class Verdict:
    """The outcome of one run, all outcomes seen in it, and the three points of view that support it."""

    outcome: str
    seen: list[str]
    parent: dict[str, Any]
    children: list[dict[str, Any]]
    server: dict[str, Any]
    transcript: list[str] = field(default_factory=list)


def judge(run: Run) -> Verdict:
    """Return what happened, as OUTCOMES names it."""
    lines = run.lines
    names = Names()
    transcript = [names.plain(line) for line in lines]
    who = list(dict.fromkeys(line.who for line in lines))
    by = {name: [line for line in lines if line.who == name] for name in who}
    parent = by.pop("parent", [])
    shared = _shared_sessions([parent, *by.values()])
    lost, unwanted = _writes(by | {"parent": parent}, run.committed)

    seen = []
    if any(line.wrong for line in lines):
        seen.append("wrong row")
    if lost:
        seen.append("lost write")
    if unwanted:
        seen.append("unwanted write")
    if run.signal or any(line.signal for line in lines):
        seen.append("crash")
    if run.timed_out:
        seen.append("hang")
    if any(line.error for line in parent):
        seen.append("parent error")
    elif any(line.error for line in lines):
        seen.append("child error")
    if run.sessions_after:
        seen.append("leak")
    if shared:
        seen.append("shared session")
    before, after = _parent_sessions(lines)
    new = bool(before) and any(session not in before for session in after)
    if new:
        seen.append("new session")

    children = [
        {
            "name": name,
            **_view(part),
            "session": "shared" if set(sessions(part)) & shared else "own" if sessions(part) else "none",
        }
        for name, part in sorted(by.items(), key=lambda item: int(item[0].split()[1]))
    ]
    parent_session = (
        "shared"
        if set(sessions(parent)) & shared
        else "new"
        if new
        else "same"
        if before and after
        else "lost"
        if before
        else "none"
    )
    return Verdict(
        outcome=seen[0] if seen else "works",
        seen=seen or ["works"],
        parent={**_view(parent), "session": parent_session} | ({"signal": run.signal} if run.signal else {}),
        children=children,
        server={
            "sessions_before": run.sessions_before,
            "sessions_after": run.sessions_after,
            "sessions_used": [names.session(number) for number in sessions(lines)],
            "committed": None if run.committed is None else sorted(run.committed),
            "lost": sorted(lost),
            "unwanted": sorted(unwanted),
        },
        transcript=transcript,
    )


def _view(lines: list[Line]) -> dict[str, Any]:
    """Return what one process saw: answers right and wrong, exceptions, and steps that never ended."""
    open_steps: dict[tuple[str, str], int] = {}
    for line in lines:
        key = (line.thread, line.step)
        open_steps[key] = open_steps.get(key, 0) + (1 if line.result is None else -1)
    return {
        "right": sum(line.right for line in lines),
        "wrong": sum(line.wrong for line in lines),
        "errors": sorted({line.error for line in lines if line.error}),
        "unanswered": [step for (_, step), count in open_steps.items() if count > 0],
    }


def _shared_sessions(processes: list[list[Line]]) -> set[int]:
    """Return the sessions on which more than one process got an answer."""
    used: dict[int, int] = {}
    for lines in processes:
        for session in sessions(lines):
            used[session] = used.get(session, 0) + 1
    return {session for session, count in used.items() if count > 1}


#: Steps in which the parent starts children: what it is answered after them is after the fork, whoever speaks first.
_FORKS = ("fork", "start")


def _parent_sessions(lines: list[Line]) -> tuple[set[int], set[int]]:
    """Return the parent's sessions before it started a child or a child said a word, and those of its answers after."""
    turn = next(
        (index for index, line in enumerate(lines) if line.who != "parent" or line.action in _FORKS),
        len(lines),
    )
    before = {line.session for line in lines[:turn] if line.who == "parent" and line.session is not None}
    after = {line.session for line in lines[turn:] if line.who == "parent" and line.session is not None}
    return before, after


def _writes(processes: dict[str, list[Line]], committed: frozenset[int] | None) -> tuple[set[int], set[int]]:
    """Return the orders whose commit was confirmed but which are not there, and those rolled back that are.

    A process's inserts belong to the transaction that its next `commit` or `rollback` ends, as the process was told.
    """
    if committed is None:
        return set(), set()
    lost: set[int] = set()
    unwanted: set[int] = set()
    for lines in processes.values():
        pending: list[int] = []
        for line in lines:
            if line.result is None or not line.result.startswith("done"):
                continue
            if line.action == "insert" and line.about is not None:
                pending.append(line.about)
            elif line.action == "commit":
                lost.update(number for number in pending if number not in committed)
                pending = []
            elif line.action == "rollback":
                unwanted.update(number for number in pending if number in committed)
                pending = []
    return lost, unwanted
