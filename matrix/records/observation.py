"""What was observed of a cell: one record for each, by machine."""

from __future__ import annotations

from typing import Literal

import msgspec

from matrix.records.facts import Transport
from matrix.records.outcomes import Outcome
from matrix.records.steps import Step


class Coordinates(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """Where a cell is in the matrix.

    `server` is the name of a product, such as `postgresql`, with the version where it is not the default one:
    `postgresql17`.
    """

    stack: str
    example: str
    driver: str
    server: str
    transport: Transport

    @property
    def id(self) -> str:
        """`<stack>/<example>/<driver>/<server>/<transport>`."""
        return f"{self.stack}/{self.example}/{self.driver}/{self.server}/{self.transport}"


class View(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one process saw in the run that is shown.

    `right` counts reads that got the order they asked for, `wrong` those that got something else and no exception.
    `errors` holds class and code of each kind of exception, `unanswered` the steps that never ended. `session` says
    about the process's server session, for the parent: `same` as before the fork, `new`, `shared` with a child, `lost`
    or `none`; for a child: `own`, `shared` or `none`. `signal` is the signal that it died by.
    """

    name: str
    session: Literal["same", "new", "shared", "lost", "none", "own"]
    right: int = 0
    wrong: int = 0
    errors: list[str] = []
    unanswered: list[str] = []
    signal: str | None = None


class ServerView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the server showed in the run that is shown.

    `sessions_before` and `sessions_after` count the sessions in the cell's database before the program started and
    after every process had exited. `sessions_used` names those that answered, by letter. `committed` holds the orders
    written by the program that are on the server, None where it wrote none; `lost` those whose commit was confirmed and
    that are not there; `unwanted` those that were rolled back and are there.
    """

    sessions_before: int = 0
    sessions_after: int = 0
    sessions_used: list[str] = []
    committed: list[int] | None = None
    lost: list[int] = []
    unwanted: list[int] = []


class Observation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was observed of a cell.

    `outcome` is the worst of all runs, `seen` says in how many runs each outcome was the worst. `parent`, `children`,
    `server` and `steps` describe one run: the first that is not as expected, else the first of the worst. In `steps`,
    sessions are letters, and times and pids are left out; a long run without its uneventful middle, `omitted` steps
    after index `omitted_after`. `versions` names everything that took part. `note` says why a cell is not applicable.
    """

    cell: Coordinates
    outcome: Outcome
    seen: dict[Outcome, int]
    parent: View
    server: ServerView
    children: list[View] = []
    steps: list[Step] = []
    omitted: int = 0
    omitted_after: int = 0
    versions: dict[str, str] = {}
    note: str | None = None

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.cell.id

    @property
    def count(self) -> int:
        """The number of its runs."""
        return sum(self.seen.values())

    @property
    def applies(self) -> bool:
        """Whether the cell could be run."""
        return self.outcome != "not applicable"

    @property
    def transcript(self) -> list[str]:
        """The lines of the transcript, with one that counts the steps that are left out."""
        lines = [str(step) for step in self.steps]
        if self.omitted:
            lines.insert(self.omitted_after + 1, f"... {self.omitted} lines left out ...")
        return lines
