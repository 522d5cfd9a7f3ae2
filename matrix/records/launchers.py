"""What is known of launchers and applications before anything runs: `launcher.toml` and `application.toml`.

A *launcher* starts processes: gunicorn, a process pool. An *application* is a small program of one stack that opens a
connection before it forks. A *remedy* says what runs at which *point*; launcher and application say where that is.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from matrix.records.claim import Link
from matrix.records.facts import Transport
from matrix.records.outcomes import GOOD, OUTCOMES, Outcome

#: Where code of a remedy can run: once before the first connection; where the program connects or creates its engine;
#: before the fork; first thing in the child; in the parent, after the fork.
Point = Literal["start", "connect", "before", "child", "parent"]
POINTS: tuple[Point, ...] = get_args(Point)


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where something goes: `code` into `file`, in place of the text `replace`, or at the file's end.

    `{code}` in `code` is what the remedy runs there. What that needs is imported at the top of the file if `{code}` is
    not indented or `top` says so, else beside it, because the file is read before the application can be imported. A
    file that is not there is made.
    """

    file: str
    code: str
    replace: str | None = None
    top: bool = False


class Alternative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remedy that is no code but another way to start processes or to configure the program.

    `title` is a sentence, `cost` what it costs. Without `edits` nothing has to be changed.
    """

    title: str
    cost: str
    edits: tuple[Edit, ...] = ()


class Name(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an application calls something that remedies name, such as `engine`.

    `imports` is the statement that brings it; `expression` stands for it where that differs from the name; `within` is
    the context manager in which it can be used.
    """

    imports: str
    expression: str = ""
    within: str = ""


class ApplicationFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An application, from `launchers/applications/<name>/application.toml`; its files stand beside it.

    `stack` is the stack whose remedies apply. `needs` are capabilities that a driver must have there, `pool` says
    whether it keeps a pool of connections of its ORM's or driver's. `like` names an application whose files and facts
    it has too, where its own do not replace them. `hazard` says in a sentence where it opens a connection before the
    fork. `environ` are variables that it needs, `uses` what launchers fill into their commands and files, such as the
    WSGI callable. `names` are what remedies may name.
    """

    title: str
    order: int
    stack: str
    hazard: str
    needs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    pool: bool = False
    like: str | None = None
    environ: dict[str, str] = {}
    uses: dict[str, str] = {}
    names: dict[str, Name] = {}
    points: dict[Point, tuple[Edit, ...]] = {}
    instead: dict[str, Alternative] = {}


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a launcher is started and given work.

    `command` is run in the application's folder, after `setup`, if there is any, has ended; `{python}`, `{bin}` (the
    folder of its programs), `{socket}` (where to listen) and what the application `uses` are filled in. `work` says how
    it gets it: `http`, requests on the socket; `tasks`, numbers that the program `send` (a command too) reads from its
    standard input and hands to the broker; `program`, it does all of it by itself and ends. `replace` are the signals
    that replace a worker, one worker each: its own, then that of another; nothing where workers are replaced by
    themselves. `stop` is the signal that ends it. `up` is a text in its log that says that it takes work; without one
    it does when it listens.
    """

    command: tuple[str, ...]
    work: Literal["http", "tasks", "program"]
    setup: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    stop: str = "SIGTERM"
    up: str | None = None


class LauncherFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A launcher, from `launchers/<name>/launcher.toml`; files that every application gets stand beside it.

    `requires` are the requirements that install it, `build_requires` those of compiling it, `service` names a server
    that it needs, and `environ` are variables that say where that is: `{redis}` is its socket, `{database}` the number
    of a database of the program's own there. `common_names` are what else forks in the same way, each with a sentence
    about what it does besides, if anything. `like` names a launcher whose files and facts it has too, where its own do
    not replace them. `applications` are those that can be run under it. `forks` says when and how it forks, `inherits`
    what a worker has of its parent, `hooks` which hooks run, in their order, `leaves` how workers exit. `absent` says
    of a point that the launcher does not have why.
    """

    title: str
    order: int
    forks: str
    inherits: str
    leaves: str
    hooks: tuple[str, ...]
    applications: tuple[str, ...]
    serving: Serving
    links: dict[str, Link] = {}
    requires: tuple[str, ...] = ()
    build_requires: tuple[str, ...] = ()
    common_names: dict[str, str] = {}
    service: Literal["redis"] | None = None
    environ: dict[str, str] = {}
    like: str | None = None
    uses: dict[str, str] = {}
    points: dict[Point, tuple[Edit, ...]] = {}
    absent: dict[Point, str] = {}
    instead: dict[str, Alternative] = {}


Count = Annotated[int, msgspec.Meta(ge=0)]


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the work of a launcher cell went: orders asked for, and how many of them came back right.

    `first` counts the first of each worker, `workers` all processes that worked, `replaced` those that began after a
    worker was replaced.
    """

    asked: Count
    right: Count
    first_asked: Count
    first_right: Count
    workers: Count
    replaced: Count


class LauncherCell(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """Where a launcher cell is; `remedy` is `none` where the user's program is run as it is."""

    application: str
    launcher: str
    remedy: str
    driver: str
    server: str
    transport: Transport

    @property
    def id(self) -> str:
        """`<application>/<launcher>/<remedy>/<driver>/<server>/<transport>`."""
        return "/".join((self.application, self.launcher, self.remedy, self.driver, self.server, self.transport))


class LauncherObservation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was observed of a launcher cell.

    `outcome` is the worst of all runs, `seen` says in how many runs each outcome was the worst; the rest describes the
    first of the worst runs. `program` is the digest of the files that ran, as `Advice.digest` makes it; nothing if that
    was not recorded. `parent` says what became of the session of the process that imported the application,
    `none` where each worker imported it. `wrong` counts rows that another process had asked for, `errors` exceptions by
    class, code and text.
    """

    cell: LauncherCell
    outcome: Outcome
    seen: dict[Outcome, int]
    load: Load
    program: str = ""
    parent: Literal["same", "new", "shared", "lost", "none"] = "none"
    wrong: int = 0
    errors: dict[str, int] = {}
    versions: dict[str, str] = {}
    note: str | None = None

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.cell.id

    @property
    def applies(self) -> bool:
        """Whether the cell could be run."""
        return self.outcome != "not applicable"

    @property
    def holds(self) -> bool:
        """Whether every row was right, on sessions that no two processes shared."""
        return self.outcome in GOOD

    @property
    def count(self) -> str:
        """How many were right: `60 of 60`."""
        return f"{self.load.right} of {self.load.asked}"


class LauncherClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is claimed of launcher cells: the outcomes that they may have, and why, in a sentence for the reader.

    `fails` stands for every outcome but `works` and `new session`: which it is differs from run to run.
    """

    outcome: Outcome | Literal["fails"] | tuple[Outcome, ...]
    because: str

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes that are claimed."""
        if self.outcome == "fails":
            return tuple(outcome for outcome in OUTCOMES if outcome not in (*GOOD, "not applicable"))
        return self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)
