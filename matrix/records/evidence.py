"""How an outcome came about: everything that happened in one run of a cell, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from matrix.records.steps import READING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.records.steps import Step

#: The one `how` that is an inference: a process is in a step about the order that a message names.
BY_ORDER = "its step is about this order"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that happened.

    `at` is milliseconds since the first step began. `kind`: a step's `begin` or `end`; a `message` on the wire; what
    happened to a `socket`; what the `server` reported or logged; `omitted` entries. `who` is a process, with its thread
    if that is not the main one (`parent/reader`), or `server`, or None where it is unknown; `session` is a letter.
    `text` says what happened; for the end of a step it is the result, `step` is the step's name, and `went_wrong` says
    whether it raised, read a wrong row, or saw a child die by a signal. `closes` says that a socket was closed or
    reset. For what a client sent, `how` says what it was attributed by; for what the server sent, `reply_to` is the
    process whose query it answers, None where that is unknown.
    """

    at: float
    kind: Literal["begin", "end", "message", "socket", "server", "log", "omitted"]
    text: str
    who: str | None = None
    session: str | None = None
    how: str | None = None
    reply_to: str | None = None
    step: str | None = None
    went_wrong: bool = False
    closes: bool = False


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run in order: its processes, its sessions by letter, how the server's counters grew, and the entries."""

    processes: list[str] = []
    sessions: list[str] = []
    counters: dict[str, int] = {}
    timeline: list[Entry] = []


def step_entries(steps: Sequence[Step]) -> list[Entry]:
    """Return an entry for each step that began or ended; sessions are letters, and `at` is the step's.

    A step that read the row that another process, or an earlier step, alone had queried says so.
    """
    readers = _readers(steps)
    entries = []
    for step in steps:
        who = f"{step.who}/{step.thread}" if step.thread else step.who
        session = None if step.session is None else str(step.session)
        if step.result is None:
            entries.append(Entry(at=step.at, kind="begin", text=step.name, who=who, session=session))
            continue
        text = step.outcome
        if step.wrong and step.action in READING and (reader := readers.get(step.order or 0)):
            text += f" (reply to {'its own earlier' if reader == step.who else f'{possessive(reader)}'} query)"
        entries.append(
            Entry(
                at=step.at,
                kind="end",
                text=text,
                who=who,
                session=session,
                step=step.name,
                went_wrong=step.went_wrong,
            )
        )
    return entries


def possessive(process: str) -> str:
    """Return `the parent's` or `child 1's`."""
    return "the parent's" if process == "parent" else f"{process}'s"


def _readers(steps: Iterable[Step]) -> dict[int, str]:
    """Return which process queried each order; one that several processes queried is left out."""
    found: dict[int, set[str]] = {}
    for step in steps:
        if step.action == "look up" and step.about is not None:
            found.setdefault(step.about, set()).add(step.who)
    return {number: next(iter(who)) for number, who in found.items() if len(who) == 1}
