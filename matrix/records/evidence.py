"""How an outcome came about: everything that happened in one run of a cell, in order."""

from __future__ import annotations

from typing import Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that happened.

    `at` is milliseconds since the first step began. `kind`: a step's `begin` or `end`; a `message` on the wire; what
    happened to a `socket`; what the `server` showed or logged; `omitted` entries. `who` is a process, `server`, or
    None where it cannot be told; `session` is a letter. For what a client sent, `how` says what it was attributed by;
    for what the server sent, `reply_to` is the process whose query it answers, None where it cannot be told.
    """

    at: float
    kind: Literal["begin", "end", "message", "socket", "server", "omitted"]
    text: str
    who: str | None = None
    session: str | None = None
    how: str | None = None
    reply_to: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run in order: its processes, its sessions by letter, how the server's counters grew, and the entries."""

    processes: list[str] = []
    sessions: list[str] = []
    counters: dict[str, int] = {}
    timeline: list[Entry] = []
