"""What is known of one run of one cell, before anybody judges it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.records.server import LogLine, Session
    from matrix.records.steps import Step
    from matrix.records.wire import Connection


@dataclass(frozen=True)
class Run:
    """What is known of one run: what its processes did, how the program ended, and what the server reported.

    `steps` are in the order in which they were reported. `signal` is the name of the signal the program died by.
    `sessions_before` and `sessions_after` count the sessions in the cell's database before it started and after every
    process had exited. `committed` holds the orders on the server that were written by the example (numbers from 1001),
    None where nothing was written. `seconds` is how long the program ran, `began` when, in seconds since the epoch, and
    `ended` when every process had exited, 0 where that is not known. `connections` is what went over the wire, where
    recorded; `log_lines` what the server's log says; `views` the sessions that the server reported after steps that
    matter, and when; `counters` by how much the server's counts of badly ended connections grew.
    """

    steps: list[Step] = field(default_factory=list)
    timed_out: bool = False
    signal: str | None = None
    sessions_before: int = 0
    sessions_after: int = 0
    committed: frozenset[int] | None = None
    seconds: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    connections: list[Connection] = field(default_factory=list)
    log_lines: list[LogLine] = field(default_factory=list)
    views: list[tuple[float, list[Session]]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
