"""Writes the pages, and says what is wrong with those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.catalogue.reproductions import FOLDER as REPRODUCTIONS
from matrix.files import write_text
from matrix.pages import costs, crossed, launched, links, statements
from matrix.pages.render import ERRORS, EXAMPLES, LAUNCHERS, render

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.pages.facts import Facts


def write(facts: Facts) -> list[str]:
    """Write every page that is not as it should be, remove those of what is gone, and return their paths."""
    pages = render(facts)
    changed = []
    for page, text in pages.items():
        path = facts.root / page
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed.append(page)
    for page in _left_over(facts.root, pages):
        (facts.root / page).unlink()
        changed.append(page)
    return changed


def problems(facts: Facts) -> list[str]:
    """Return what is wrong, a line each: stale pages, dead links, statements that the results do not show."""
    pages = render(facts)
    found = []
    for page, text in pages.items():
        path = facts.root / page
        if not path.exists():
            found.append(f"{page}: missing; python -m matrix pages writes it")
        elif (there := path.read_text(encoding="utf-8")) != text:
            found.append(f"{page}: stale, line {_first_difference(there, text)}; python -m matrix pages rewrites it")
    found += [
        f"{page}: what it is about is gone; python -m matrix pages removes it" for page in _left_over(facts.root, pages)
    ]
    found += links.dead(pages | hand_written(facts.root, pages), facts.root)
    found += launched.problems(facts)
    found += [*crossed.unproven(facts), *crossed.unseen(facts)]
    return found + statements.problems(facts) + costs.problems(facts.costs, facts.cost_sentences, facts.names("remedy"))


def _first_difference(one: str, other: str) -> int:
    """Return the number of the first line in which two texts differ."""
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    shorter = min(len(one.splitlines()), len(other.splitlines()))
    return next((number for number, (a, b) in enumerate(pairs, 1) if a != b), shorter + 1)


def _left_over(root: Path, pages: dict[str, str]) -> list[str]:
    found = (
        f"{folder}/{path.name}"
        for folder in (EXAMPLES, ERRORS, LAUNCHERS, REPRODUCTIONS)
        for path in sorted((root / folder).glob("*.md"))
    )
    return [page for page in found if page not in pages]


def hand_written(root: Path, pages: dict[str, str]) -> dict[str, str]:
    """Return the pages that nothing generates: those at the repository's root and in docs/, by path."""
    paths = [*sorted(root.glob("*.md")), *sorted((root / "docs").glob("*.md"))]
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return {name: path.read_text(encoding="utf-8") for name, path in names.items() if name not in pages}
