"""The files of results of crossed cells: `<folder>/remedies/<driver>.json`, in the format of `results`.

They hold what pages say of a hazard with a remedy in place: the outcome, what each process saw, and the first step that
went wrong in each. There is no evidence beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from matrix.records import results
from matrix.records.observation import Observation, ServerView
from matrix.records.outcomes import GOOD

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from matrix.records.observation import Coordinates
    from matrix.records.outcomes import Outcome
    from matrix.records.steps import Step

#: The folder in a folder of results.
FOLDER = "remedies"
#: Between the names of a hazard and a remedy.
PLUS = "+"


def parts(cell: Coordinates) -> tuple[str, str]:
    """Return the names of a crossed cell's hazard and remedy; of another cell its example's, and nothing."""
    hazard, _, remedy = cell.example.partition(PLUS)
    return hazard, remedy


def protecting(observations: Iterable[Observation]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return which remedies protect from which hazards, pairs of both, by stack and driver.

    A remedy protects if every process gets its rows, and none shares a session, in all the cells that were run. Those
    that keep the parent's session come first.
    """
    groups: dict[tuple[str, str], dict[tuple[str, str], list[Observation]]] = {}
    for seen in observations:
        if seen.applies:
            place = groups.setdefault((seen.cell.stack, seen.cell.driver), {})
            place.setdefault(parts(seen.cell), []).append(seen)
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for where, pairs in groups.items():
        ranks = {pair: max(_rank(outcome) for seen in some for outcome in seen.seen) for pair, some in pairs.items()}
        good = [pair for pair, rank in ranks.items() if rank < len(GOOD)]
        found[where] = sorted(good, key=lambda pair: ranks[pair])
    return found


def _rank(outcome: Outcome) -> int:
    return GOOD.index(outcome) if outcome in GOOD else len(GOOD)


def read(folder: Path) -> dict[str, Observation]:
    """Return the observations of crossed cells in a folder of results, by cell id; see `results.read`."""
    return results.read_folder(folder / FOLDER)


def write(folder: Path, driver: str, observations: Iterable[Observation], current: Collection[str]) -> set[str]:
    """Add a driver's observations to a folder and return the ids of those that changed.

    What is there of other cells stays, unless they are not among `current`, the ids of the cells that exist.
    """
    return results.write(folder / FOLDER, driver, map(brief, observations), current=current)


def brief(seen: Observation) -> Observation:
    """Return an observation with the first step alone that went wrong in each process, and what pages say besides."""
    first: dict[str, Step] = {}
    for step in seen.steps:
        if step.went_wrong:
            first.setdefault(step.who, step)
    return replace(
        seen,
        steps=[replace(step, session=None, thread="") if step.result != "order" else step for step in first.values()],
        parent=replace(seen.parent, right=0),
        children=[replace(view, right=0) for view in seen.children if view.errors or view.wrong or view.unanswered],
        server=ServerView(lost=seen.server.lost, unwanted=seen.server.unwanted),
        omitted=0,
        omitted_after=0,
    )
