"""What launcher cells say of an application under a launcher: what happens without a remedy, and what to paste.

`files_for` answers for one driver, application and launcher. The files that it returns are those that the cells ran:
`matrix.catalogue.assemble` makes both. A combination that no cell covers has no offers, only the nearest that has.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import drivers
from matrix.catalogue.assemble import NONE, assemble, offered
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.errors import MatrixError
from matrix.pages.costs import costs_of
from matrix.records.facts import TRANSPORTS
from matrix.records.outcomes import worst

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matrix.catalogue.assemble import Advice
    from matrix.catalogue.launchers import Application, Launcher
    from matrix.pages.facts import Facts
    from matrix.records.launchers import LauncherObservation

#: What a result has beside it if its cell did not run the files as they are printed now.
EARLIER = " with earlier files"

#: What became of the session of the process that imported the application, in words.
PARENTS = {
    "same": "The process that imports the application keeps its database session.",
    "new": (
        "The process that imports the application loses its database session, with temporary tables, settings, locks"
        " and an open transaction, and reconnects."
    ),
    "lost": "The connection of the process that imports the application is closed, and it does not reconnect.",
    "shared": "The process that imports the application shares its database session with a worker.",
    "none": "The process that starts the workers opens no connection.",
}


@dataclass(frozen=True)
class Offer:
    """A remedy, its files, and the cells that ran them; `none` is a remedy without files.

    `figures` are sentences about what it costs, as measured.
    """

    remedy: str
    advice: Advice
    cells: tuple[LauncherObservation, ...]
    figures: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every row was right in every cell, on sessions that no two processes shared."""
        return bool(self.cells) and all(seen.holds for seen in self.cells)

    @functools.cached_property
    def size(self) -> int:
        """How many lines of the program the remedy adds or changes."""
        count = 0
        for file, text in self.advice.files.items():
            before, after = self.advice.base.get(file, "").splitlines(), text.splitlines()
            same = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
            count += len(after) - sum(block.size for block in same)
        return count

    @property
    def cost(self) -> list[str]:
        """What the remedy costs, in sentences: the cells say what becomes of the parent's session."""
        found = [self.advice.cost] if self.advice.cost else []
        found += [PARENTS[parent] for parent in dict.fromkeys(seen.parent for seen in self.cells)]
        return [*found, "Each worker opens connections of its own.", *self.figures]

    @property
    def results(self) -> str:
        """What was seen, by transport: `150 of 150 (tcp, tls)`; a cell that fails has its outcome."""
        found: dict[str, list[str]] = {}
        for seen in self.cells:
            text = seen.count if seen.holds else f"{seen.outcome}, {seen.count} right"
            text += "" if seen.program == self.advice.digest else EARLIER
            found.setdefault(text, []).append(seen.cell.transport)
        return "; ".join(f"{text} ({', '.join(dict.fromkeys(which))})" for text, which in found.items())


@dataclass(frozen=True)
class Answer:
    """What is known of a driver and an application under a launcher, from its cells.

    `without` is what happens without a remedy. `offers` are the remedies that hold there, the smallest first, `failing`
    those that do not. All are empty if no cell was run; `nearest` then names the combination most like it that was.
    """

    driver: str
    application: Application
    launcher: Launcher
    without: Offer | None
    offers: tuple[Offer, ...]
    failing: tuple[Offer, ...]
    nearest: tuple[str, str, str, str] | None

    @property
    def was_run(self) -> bool:
        """Whether any cell covers it."""
        return bool(self.without or self.offers or self.failing)

    @property
    def nothing_needed(self) -> bool:
        """Whether the program works as it is."""
        return self.without is not None and self.without.holds

    @property
    def best(self) -> Offer | None:
        """What to do: nothing, if that works, else the smallest remedy that does."""
        return self.without if self.nothing_needed else next(iter(self.offers), None)


def files_for(
    facts: Facts, driver: str, application: str, launcher: str, *, pool: bool = False, transport: str | None = None
) -> Answer:
    """Return what to paste for a driver, an application or stack and a launcher, as its cells ran it.

    `application` is the name of an application or of a stack: `django`, `flask_sqlalchemy`, `bare`; `pool` asks for
    the stack's application that keeps a pool. `launcher` may be a common name: `airflow`. With `transport` only cells
    over that count; without, a remedy has to hold in all that were run. Each `Offer` in `offers` has `advice.files`,
    complete texts by file name, with `advice.title`, `cost` and `results`.

    Raises MatrixError, with the nearest name, for a name that nothing has.
    """
    one, other = find_application(application, pool=pool, root=facts.root), find_launcher(launcher, facts.root)
    cells: dict[str, list[LauncherObservation]] = {}
    for seen in facts.launched.values():
        cell = seen.cell
        same = (cell.driver, cell.application, cell.launcher) == (driver, one.name, other.name)
        if same and transport in (None, cell.transport):
            cells.setdefault(cell.remedy, []).append(seen)
    found = []
    for remedy in offered(one.name, other.name, facts.root):
        if remedy in cells:
            run = sorted(cells[remedy], key=lambda seen: TRANSPORTS.index(seen.cell.transport))
            figures = costs_of(
                facts.costs,
                facts.cost_sentences,
                remedy,
                stack=one.facts.stack,
                driver=driver,
                server=run[0].cell.server,
                transport=transport or run[0].cell.transport,
            )
            pasted = assemble(one.name, other.name, remedy, driver, facts.root)
            found.append(Offer(remedy, pasted, tuple(run), tuple(figures)))
    remedies = [offer for offer in found if offer.remedy != NONE]
    return Answer(
        driver=driver,
        application=one,
        launcher=other,
        without=next((offer for offer in found if offer.remedy == NONE), None),
        offers=tuple(sorted((offer for offer in remedies if offer.holds), key=lambda each: (each.size, each.remedy))),
        failing=tuple(offer for offer in remedies if not offer.holds),
        nearest=None if found else _nearest(facts, driver, one, other, transport),
    )


def problems(facts: Facts) -> list[str]:
    """Return a line for each cell whose files, as they would be printed and run now, are not those that ran.

    What ran is not known of cells that were run before it was recorded; pages say of these that they are earlier.
    """
    found = []
    for key, seen in facts.launched.items():
        cell = seen.cell
        if seen.program and seen.program != _digest(
            cell.application, cell.launcher, cell.remedy, cell.driver, facts.root
        ):
            found.append(f'{key}: did not run as printed; nox -s "launchers({cell.launcher})" -- --only {key} runs it')
    return found


@functools.cache
def _digest(application: str, launcher: str, remedy: str, driver: str, root: Path) -> str:
    return assemble(application, launcher, remedy, driver, root).digest


@functools.lru_cache(maxsize=32)
def answers(facts: Facts, launcher: str) -> tuple[Answer, ...]:
    """Return the answers for a launcher: every application with every driver that it can be run with."""
    known, names = applications(facts.root), launchers(facts.root)[launcher].facts.applications
    return tuple(
        files_for(facts, driver, application.name, launcher)
        for application in map(known.__getitem__, names)
        for driver in _drivers(facts, application)
    )


def _drivers(facts: Facts, application: Application) -> list[str]:
    """Return the drivers that an application can be run with."""
    return [name for name, driver in drivers(facts.root).items() if works_with(application, driver)]


def failure(offer: Offer) -> str:
    """Return what a user sees where something does not hold: wrong rows, and the exceptions with their counts."""
    worst_of = worst(seen.outcome for seen in offer.cells)
    seen = next(seen for seen in offer.cells if seen.outcome == worst_of)
    parts = [f"{seen.load.right} of {seen.load.asked} right"]
    if seen.wrong:
        parts.append(f"{seen.wrong} got another process's row")
    parts += [
        f"{'once' if count == 1 else f'{count} times'} `{_short(error)}`"
        for error, count in list(seen.errors.items())[:2]
    ]
    return f"{seen.outcome}: " + ", ".join(parts)


def _short(error: str, width: int = 100) -> str:
    line = " ".join(error.replace("`", "'").split())
    return line if len(line) <= width else line[: width - 1] + "…"


def find_launcher(name: str, root: Path) -> Launcher:
    """Return a launcher by its name or by a common name of what forks like it; raise MatrixError if there is none."""
    known = launchers(root)
    wanted = _plain(name)
    for launcher in known.values():
        if wanted in map(_plain, (launcher.name, *launcher.facts.common_names)):
            return launcher
    names = {
        _plain(each): each for launcher in known.values() for each in (launcher.name, *launcher.facts.common_names)
    }
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"; did you mean {names[near[0]]}?" if near else ""
    raise MatrixError(f"there is no launcher {name!r}{hint}; there are {', '.join(names.values())}")


def find_application(name: str, *, pool: bool, root: Path) -> Application:
    """Return an application by its own name or its stack's; raise MatrixError if there is none."""
    known = applications(root)
    wanted = _plain("bare" if name == "none" else name)
    found = next((one for one in known.values() if _plain(one.name) == wanted), None)
    if found is None:
        raise unknown("application", name, ["none", *known])
    if not pool or found.facts.pool:
        return found
    stack = found.facts.stack
    for one in known.values():
        if one.facts.pool and one.facts.stack == stack:
            return one
    raise MatrixError(f"{found.facts.title} with a pool: not run here; without --pool there are cells")


def unknown(what: str, name: str, known: Iterable[str]) -> MatrixError:
    """Return the error for a name that nothing has; it names the nearest and all that there are."""
    known = list(known)
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return MatrixError(f"there is no {what} {name!r}{hint}; there are {', '.join(known)}")


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _nearest(
    facts: Facts, driver: str, application: Application, launcher: Launcher, transport: str | None
) -> tuple[str, str, str, str] | None:
    """Return driver, application, launcher and transport of the cells that have most in common with these."""

    def common(seen: LauncherObservation) -> tuple[int, ...]:
        cell, theirs = seen.cell, applications(facts.root)[seen.cell.application].facts
        stack = theirs.stack == application.facts.stack
        return (
            cell.application == application.name,
            stack and theirs.pool == application.facts.pool,
            cell.launcher == launcher.name,
            cell.driver == driver,
            cell.server in facts.drivers[driver].servers,
            transport in (None, cell.transport),
        )

    best = max(facts.launched.values(), key=common, default=None)
    return (best.cell.driver, best.cell.application, best.cell.launcher, best.cell.transport) if best else None
