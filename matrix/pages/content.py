"""What the pages say, worked out from what is known; the templates put it into words."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from matrix.catalogue import STACKS, Example
from matrix.catalogue.pattern import driver_code, pattern
from matrix.catalogue.reproductions import reproductions
from matrix.pages import choice
from matrix.pages.statements import Result, fill, test
from matrix.records.lanes import drawing
from matrix.records.outcomes import OUTCOMES, PLAIN_WORDS, SIGNS, by_outcome
from matrix.report.show import named_version
from matrix.report.table import cell, describe, marked
from matrix.report.timeline import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.catalogue.reproductions import Script
    from matrix.pages.facts import Facts
    from matrix.pages.prose import Advice, ArticleClaim, Finding
    from matrix.records.claim import Source
    from matrix.records.observation import Observation
    from matrix.records.outcomes import Outcome

#: Characters that a drawing is wide at most, and lines that it is long at most.
WIDTH, LENGTH = 100, 70


def legend(facts: Facts) -> list[tuple[str, str]]:
    """Return the outcomes that were observed, with signs and meanings, from the worst down."""
    seen = {outcome for observation in facts.observed.values() for outcome in observation.seen}
    wanted = seen | ({"not applicable"} if facts.skipped else set())
    return [(marked(outcome), meaning) for outcome, meaning in OUTCOMES.items() if outcome in wanted]


#: A colour for each sign, where Markdown has no other.
_SQUARES = {"‼": "🟥", "✖": "🟥", "✗": "🟧", "~": "🟨", "✓": "🟩"}


class SummaryLine(NamedTuple):
    """A row of the summary: what the child does, the example that shows it, and how many cells ended how."""

    does: str
    example: str
    results: list[str]


def summary(facts: Facts, driver: str = "*") -> list[SummaryLine]:
    """Return the rows of the summary that have results, of all drivers or of one, from the worst down."""
    rows: list[tuple[int, SummaryLine]] = []
    for row in facts.prose.summary:
        cells = [seen for seen in facts.matching(row.cells) if driver in ("*", seen.cell.driver)]
        if cells:
            groups = by_outcome(cells)
            results = [_counted(facts, outcome, some, cells) for outcome, some in groups.items()]
            rank = list(OUTCOMES).index(next(iter(groups)))
            rows.append((rank, SummaryLine(row.does, row.cells[0].split("/")[1], results)))
    return [line for _, line in sorted(rows, key=lambda item: item[0])]


def _counted(facts: Facts, outcome: Outcome, some: list[Observation], among: list[Observation]) -> str:
    """Return an outcome in plain words, with the number of cells that had it, and which those are."""
    where = describe(some, among)
    drivers = list(dict.fromkeys(seen.cell.driver for seen in some))
    ids = {seen.id for seen in some}
    whole = [name for name in drivers if all(seen.id in ids for seen in among if seen.cell.driver == name)]
    if where and whole:
        partly = [facts.title(name) for name in drivers if name not in whole]
        where = ", ".join(map(facts.title, whole)) + (f"; in part: {', '.join(partly)}" if partly else "")
    count = f"{len(some)} of {len(among)}"
    return f"{_SQUARES[SIGNS[outcome]]} {PLAIN_WORDS[outcome]}: {count}" + (f" *({where})*" if where else "")


def runs_of_a_cell(facts: Facts) -> str:
    """Return how often each cell was run, in words: `once`, `20 times`, `1 to 20 times`."""
    counts = {sum(seen.seen.values()) for seen in facts.observed.values()} or {0}
    if counts == {1}:
        return "once"
    return f"{min(counts)} times" if len(counts) == 1 else f"{min(counts)} to {max(counts)} times"


def detection(facts: Facts) -> list[str]:
    """Return the remedies that detect and do not fix: wherever they were observed, only the child got an error."""
    cells = {name: facts.of(example=name) for name in facts.names("remedy")}
    return [name for name, some in cells.items() if some and all(set(seen.seen) == {"child error"} for seen in some)]


class ShownFinding(NamedTuple):
    """A finding as pages print it: its words filled in, and the outcomes of its cells."""

    finding: Finding
    title: str
    text: str
    outcomes: str


def findings(facts: Facts) -> list[ShownFinding]:
    """Return the findings that have results."""
    found = []
    for finding in facts.prose.findings:
        results = [(ground.name or "", test(facts, ground)) for ground in finding.rests_on]
        if finding.show not in facts.observed or not all(result.among for _, result in results):
            continue
        groups = by_outcome({seen.id: seen for _, result in results for seen in result.among}.values())
        words = ", ".join(f"{outcome} in {len(some)}" for outcome, some in groups.items())
        named = dict(results)
        title, text = (fill(facts, sentence, named) for sentence in (finding.title, finding.text))
        found.append(ShownFinding(finding, title, text, f"{words} cells"))
    return found


class Tested(NamedTuple):
    """A claim of the article, and what the results say of it."""

    claim: ArticleClaim
    text: str
    result: Result
    groups: dict[Outcome, str]
    examples: list[str]


def article(facts: Facts) -> list[Tested]:
    """Return the article's claims, each with what the results say of it."""
    found = []
    for claim in facts.prose.article:
        result = test(facts, claim)
        groups = {outcome: describe(some, result.among) for outcome, some in by_outcome(result.among).items()}
        examples = sorted({seen.cell.example for seen in result.among})
        found.append(Tested(claim, fill(facts, claim.text, {"cells": result}), result, groups, examples))
    return found


def remedies_everywhere(facts: Facts, hazard: str, cells: Iterable[Observation]) -> list[str]:
    """Return the remedies of a hazard that are tested wherever these cells stand, at most two, the better first."""
    places = sorted({(seen.cell.stack, seen.cell.driver, seen.cell.transport) for seen in cells})
    tested = [[proof.remedy for proof in choice.remedies_for(facts, hazard, *place)] for place in places]
    return [name for name in (tested[0] if tested else []) if all(name in names for names in tested)][:2]


def topics(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the sections of a driver's page, each with its hazards; a hazard stands in the first that names it."""
    left = facts.names("hazard")
    found = []
    for topic in facts.prose.topics:
        names = [name for name in left if any(fnmatchcase(name, glob) for glob in topic.examples)]
        left = [name for name in left if name not in names]
        found.append((topic.title, names))
    return [*found, ("Other hazards", left)] if left else found


def versions(facts: Facts, *, driver: str | None = None) -> list[tuple[str, str]]:
    """Return every version that the results were made with, by what it is the version of."""
    seen: dict[str, set[str]] = {}
    for observation in facts.of(driver=driver):
        for what, version in observation.versions.items():
            seen.setdefault(what, set()).add(named_version(what, version))
    return [(what, ", ".join(sorted(some))) for what, some in seen.items()]


def folklore(facts: Facts) -> list[tuple[Advice, list[Observation]]]:
    """Return what is often recommended, each with the cells that say whether it protects."""
    found = ((advice, facts.of(example=advice.example)) for advice in facts.prose.advice)
    return [(advice, cells) for advice, cells in found if cells]


class Entry(NamedTuple):
    """A hazard on a driver's page: what it does there, why, what people noted, and what fixes it."""

    example: Example
    what: str
    why: list[tuple[str, str]]
    notes: list[tuple[str, str]]
    remedies: list[str]


def entries(facts: Facts, driver: str, names: Iterable[str]) -> list[Entry]:
    """Return hazards as a driver's page has them; those that were not observed are left out."""
    found = []
    for name in names:
        if cells := facts.of(example=name, driver=driver):
            notes: dict[str, list[Observation]] = {}
            for seen in cells:
                if (claim := facts.claimed.get(seen.id)) and claim.note:
                    notes.setdefault(claim.note, []).append(seen)
            found.append(
                Entry(
                    example=facts.example(name),
                    what=cell(cells, facts.claimed),
                    why=[(reason, describe(some, cells)) for reason, some in facts.reasons_of(cells).items()],
                    notes=[(note, describe(some, cells)) for note, some in notes.items()],
                    remedies=remedies_everywhere(facts, name, cells),
                )
            )
    return found


def outcome(facts: Facts, **at: str) -> str:
    """Return what the cells at some coordinates did, as a cell of a table; empty if none was observed."""
    return cell(facts.of(**at), facts.claimed)


def runs(facts: Facts, example: str, driver: str) -> bool:
    """Whether an example has cells with a driver, observed or not."""
    return any((one.example, one.driver) == (example, driver) for one in facts.cells)


def changed_by_tls(facts: Facts, driver: str) -> list[str]:
    """Return the hazards that do something else with TLS than without it."""

    def did(name: str, transport: str) -> list[tuple[str, str, str]]:
        cells = facts.of(example=name, driver=driver, transport=transport)
        return [(seen.cell.stack, seen.cell.server, seen.outcome) for seen in cells]

    return [name for name in facts.names("hazard") if did(name, "tls") != did(name, "tcp")]


def proofs(facts: Facts, driver: str) -> dict[str, list[choice.Proof]]:
    """Return what a driver's cells say of each remedy, by stack; stacks that it is not run in are left out."""
    found = {
        stack: [choice.prove(facts, n, stack, driver) for n in facts.names("remedy") if (stack, n) in facts.examples]
        for stack in STACKS
        if stack in facts.drivers[driver].stacks
    }
    return {stack: some for stack, some in found.items() if some}


def sources(facts: Facts, driver: str) -> dict[str, list[tuple[str, Source]]]:
    """Return the lines of a driver's source that reasons name, by address, with the reasons."""
    names = {name.lower() for name in facts.drivers[driver].distributions}
    found: dict[str, list[tuple[str, Source]]] = {}
    for reason, facts_of_it in facts.reasons.items():
        for source in facts_of_it.sources:
            if source.package.lower() in names:
                found.setdefault(source.url, []).append((reason, source))
    return found


def scripts(facts: Facts, driver: str) -> list[Script]:
    """Return the reproductions that are run with a driver."""
    return [script for script in reproductions(facts.root).values() if script.facts.driver == driver]


def quoted(facts: Facts, script: Script) -> list[Source]:
    """Return the lines of source, of what a bug report is about, that its reasons rest on."""
    named = {name.lower() for name in script.facts.versions}
    found = [source for reason in script.facts.reasons for source in facts.reasons[reason].sources]
    return list({source.url: source for source in found if source.package.lower() in named}.values())


def descriptor(facts: Facts, driver: str) -> str:
    """Return the driver's function that returns the descriptor, as it is pasted; empty if there is none."""
    return "" if facts.drivers[driver].descriptor == "none" else driver_code(driver, ["descriptor"], facts.root)


def code_by_driver(facts: Facts, name: str) -> dict[str, str]:
    """Return what each driver has for the names that an example's patterns leave to it; empty if there are none."""
    found = {}
    for driver, of_driver in facts.drivers.items():
        names: set[str] = set()
        for stack in facts.stacks(name):
            example = facts.examples[stack, name]
            if of_driver.runs(stack, example.needs):
                names.update(pattern(facts.root / example.path, facts.root).from_driver)
        if names:
            found[driver] = driver_code(driver, sorted(names), facts.root)
    return found


def draw(facts: Facts, seen: Observation) -> str:
    """Return what happened in a cell as text: from its evidence, else from its steps.

    Sessions that serve only to hold results back are left to the steps; times are left out, as they differ from run to
    run.
    """
    return plain(drawing(seen, facts.evidence(seen), holding=False), width=WIDTH, length=LENGTH)


def body(example: Example) -> str:
    """Return a docstring's body without the word that says which kind the example is; the page says it already."""
    return re.sub(r"^(Hazard|Remedy)\. +", "", example.body, flags=re.MULTILINE)
