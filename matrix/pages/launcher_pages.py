"""What pages say of launchers, worked out from launcher cells; `launcher.md.j2` and `choosing.md.j2` print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue.launchers import launchers
from matrix.pages.launched import failure
from matrix.records.outcomes import OUTCOMES, worst
from matrix.report.table import markdown_table, marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.catalogue.launchers import Application, Launcher
    from matrix.pages.facts import Facts
    from matrix.pages.launched import Answer, Offer


@dataclass(frozen=True)
class File:
    """A file to paste; `drivers` are those that it is for, none where it is for all of the remedy's."""

    name: str
    text: str
    drivers: tuple[str, ...]

    @property
    def language(self) -> str:
        """The language of its block."""
        return language(self.name)


@dataclass(frozen=True)
class Remedy:
    """A remedy of an application under a launcher, with every driver with which it holds."""

    name: str
    title: str
    results: str
    cost: tuple[str, ...]
    files: tuple[File, ...]


def language(name: str) -> str:
    """Return what a file's block is marked with."""
    return "python" if name.endswith(".py") else "ini" if name.endswith(".ini") else "text"


def every_launcher(facts: Facts) -> list[Launcher]:
    """Return all launchers, in order."""
    return list(launchers(facts.root).values())


def by_application(found: Iterable[Answer]) -> list[list[Answer]]:
    """Return answers in lists, one for each application."""
    names: dict[str, list[Answer]] = {}
    for answer in found:
        names.setdefault(answer.application.name, []).append(answer)
    return list(names.values())


def launcher_summary(found: Sequence[Answer]) -> str:
    """Return the page's first sentence: whether a remedy is needed, and for what."""
    run = [answer for answer in found if answer.was_run]
    if not run:
        return "Nothing was run under this launcher yet, so there is nothing to recommend."
    fine = [answer for answer in run if answer.nothing_needed]
    if len(fine) == len(run):
        return "Nothing is needed: every program that was run works as it is."
    if not fine:
        return "Every program that was run fails without a remedy. The smallest change that works is listed below."
    names = "; ".join(
        f"{some[0].application.facts.title} ({', '.join(answer.driver for answer in some)})"
        for some in by_application(fine)
    )
    return f"Nothing is needed for {names}. The other programs that were run fail without a remedy."


def launcher_table(found: Sequence[Answer], page: str = "") -> str:
    """Return a table of what to do, the worst that happens without a remedy first, with links to a page."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for answer in sorted(found, key=_severity):
        rows.setdefault(_row(answer, page), []).append(answer.driver)
    cells = [[title, ", ".join(sorted(drivers)), *rest] for (title, *rest), drivers in rows.items()]
    return markdown_table(
        ["application", "driver", "without a remedy", "the smallest change that works", "cost"], cells
    )


def _severity(answer: Answer) -> int:
    """Return a number that is smaller the worse what happens without a remedy is; what was not run comes last."""
    return _order(answer.without) if answer.without else len(OUTCOMES)


def _order(offer: Offer) -> int:
    return list(OUTCOMES).index(worst(seen.outcome for seen in offer.cells))


def _row(answer: Answer, page: str) -> tuple[str, ...]:
    """Return what a table says of an answer, but for the driver."""
    name, title = answer.application.name, answer.application.facts.title
    if not answer.was_run:
        return title, "not run here", "", ""
    without = marked(list(OUTCOMES)[_order(answer.without)]) if answer.without else ""
    best = answer.best
    if best is None:
        return title, without, "no remedy that was run works here", ""
    if answer.nothing_needed:
        return title, without, f"[nothing is needed]({page}#{name}-program): {best.results}", ""
    return title, without, f"[`{best.remedy}`]({page}#{name}-{best.remedy}): {best.results}", best.cost[0]


def seen_without(found: Iterable[Answer]) -> dict[str, list[str]]:
    """Return what happens without a remedy, with the drivers for which it does."""
    seen: dict[str, list[str]] = {}
    for answer in found:
        if answer.without:
            text = answer.without.results if answer.without.holds else failure(answer.without)
            seen.setdefault(text, []).append(answer.driver)
    return seen


def seen_failing(found: Iterable[Answer]) -> dict[str, list[str]]:
    """Return what remedies that do not hold do, with the drivers for which they do not."""
    seen: dict[str, list[str]] = {}
    for answer in found:
        for offer in answer.failing:
            seen.setdefault(f"`{offer.remedy}`: {failure(offer)}", []).append(answer.driver)
    return dict(sorted(seen.items()))


def launcher_remedies(found: Sequence[Answer]) -> list[Remedy]:
    """Return the remedies of one application, the smallest first; files that several drivers have are there once."""
    offers: dict[str, dict[str, Offer]] = {}
    for answer in found:
        for offer in answer.offers:
            offers.setdefault(offer.remedy, {})[answer.driver] = offer
    ordered = sorted(offers.items(), key=lambda item: (min(each.size for each in item[1].values()), item[0]))
    return [_remedy(name, by_driver) for name, by_driver in ordered]


def _remedy(name: str, offers: dict[str, Offer]) -> Remedy:
    results: dict[str, list[str]] = {}
    costs: dict[str, list[str]] = {}
    files: dict[tuple[str, str], list[str]] = {}
    for driver, offer in offers.items():
        results.setdefault(offer.results, []).append(driver)
        for sentence in offer.cost:
            costs.setdefault(sentence, []).append(driver)
        for file, text in offer.advice.files.items():
            files.setdefault((file, text), []).append(driver)
    return Remedy(
        name=name,
        title=next(iter(offers.values())).advice.title,
        results="; ".join(f"{', '.join(drivers)} {text}" for text, drivers in results.items()),
        cost=tuple(
            sentence if len(drivers) == len(offers) else f"{sentence} ({', '.join(drivers)})"
            for sentence, drivers in costs.items()
        ),
        files=tuple(_files(files, len(offers))),
    )


def program(found: Iterable[Answer]) -> list[File]:
    """Return the files of an application under a launcher, without a remedy."""
    run = [answer for answer in found if answer.was_run]
    files: dict[tuple[str, str], list[str]] = {}
    for answer in run:
        offer = next(each for each in (answer.without, *answer.offers, *answer.failing) if each)
        for name, text in sorted(offer.advice.base.items()):
            files.setdefault((name, text), []).append(answer.driver)
    return _files(files, len(run))


def _files(drivers: dict[tuple[str, str], list[str]], every: int) -> list[File]:
    """Return files, given the drivers that each name and text is for; `every` is how many drivers there are."""
    order = list(dict.fromkeys(name for name, _ in drivers))
    return [
        File(name, text.rstrip("\n"), () if len(some) == every else tuple(some))
        for (name, text), some in sorted(drivers.items(), key=lambda item: order.index(item[0][0]))
    ]


def variables(launcher: Launcher, application: Application) -> list[str]:
    """Return the environment variables of a program: with their values, if these do not depend on the machine."""
    known = {**application.facts.environ, **launcher.facts.environ}
    return [name if "{" in value else f"{name}={value}" for name, value in known.items()]


def command(launcher: Launcher, application: Application, words: Iterable[str]) -> str:
    """Return a command of a launcher's as a user writes it."""
    uses = {"python": "python", "bin": "", "socket": "app.sock", **application.facts.uses, **launcher.facts.uses}
    return " ".join(word.replace("{bin}/", "").format_map(uses) for word in words)
