"""Checks what people say about cells against what was observed, and puts the result into words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from matrix.catalogue import stacks
from matrix.pages.prose import Verdict
from matrix.report.table import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matrix.pages.facts import Facts
    from matrix.pages.prose import Statement
    from matrix.records.observation import Observation

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)(\.stacks)?\}")


@dataclass(frozen=True)
class Result:
    """What became of a statement: the observed cells for which it holds, and those for which it does not."""

    holds: list[Observation]
    fails: list[Observation]

    @property
    def among(self) -> list[Observation]:
        """All cells that were looked at."""
        return [*self.holds, *self.fails]

    @property
    def verdict(self) -> Verdict | None:
        """What the results say of the statement, None if no cell was observed."""
        if not self.among:
            return None
        return VERDICTS[0] if not self.fails else VERDICTS[2] if not self.holds else VERDICTS[1]

    @property
    def condition(self) -> str:
        """Where it holds and where not, in words; empty if there is no difference."""
        if not self.holds or not self.fails:
            return ""
        return f"holds: {describe(self.holds, self.among)}; does not: {describe(self.fails, self.among)}"

    def throughout(self, axis: str) -> list[str]:
        """Return the values of an axis, such as `driver`, in all of whose cells the statement holds."""
        failing = {getattr(seen.cell, axis) for seen in self.fails}
        return [v for v in dict.fromkeys(getattr(seen.cell, axis) for seen in self.holds) if v not in failing]


def test(facts: Facts, statement: Statement) -> Result:
    """Return for which of the observed cells a statement holds."""
    cells = facts.matching(statement.cells)
    holding = {seen.id for seen in cells if statement.holds(seen)}
    return Result([s for s in cells if s.id in holding], [s for s in cells if s.id not in holding])


def fill(facts: Facts, text: str, results: Mapping[str, Result]) -> str:
    """Return a text with `{name}` and `{name.stacks}` replaced by the drivers and stacks for which a result holds."""

    def words(match: re.Match[str]) -> str:
        result = results.get(match[1])
        if result is None:
            return match[0]
        drivers = result.throughout("driver")
        if match[2]:
            # Those of the drivers that the sentence names: one driver that differs takes no stack from the others.
            under = dict.fromkeys(seen.cell.stack for seen in result.holds if seen.cell.driver in drivers)
            return listed(map(_under, under))
        every = set(drivers) == set(facts.drivers) and len(drivers) > 1
        return "every driver" if every else listed(facts.title(name) for name in drivers)

    return _PLACEHOLDER.sub(words, text)


def _under(stack: str) -> str:
    facts = stacks()[stack].facts
    return f"under {facts.title}" if facts.distribution else "without an ORM"


def listed(words: Iterable[str]) -> str:
    """Return words as a sentence lists them: `a`, `a and b`, `a, b and c`; `none` if there are none."""
    *most, last = list(words) or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def problems(facts: Facts) -> list[str]:
    """Say which findings and verdicts the results do not show, and which prose names what is not there."""
    return [*_summary(facts), *_findings(facts), *_article(facts), *_unknown_examples(facts)]


def _summary(facts: Facts) -> Iterator[str]:
    for row in facts.prose.summary:
        yield from _unknown_cells(facts, f"docs/prose/summary.toml: {row.does}", row.cells)


def _findings(facts: Facts) -> Iterator[str]:
    for finding in facts.prose.findings:
        where = f"docs/prose/findings.toml: {finding.id}"
        if not facts.exists(finding.show):
            yield f"{where}: there is no cell {finding.show}"
        names = {ground.name for ground in finding.rests_on if ground.name}
        for name, _ in _PLACEHOLDER.findall(finding.title + finding.text):
            if name not in names:
                yield f"{where}: names {{{name}}}, and nothing that it rests on is called so"
        for ground in finding.rests_on:
            yield from _unknown_cells(facts, where, ground.cells)
            result = test(facts, ground)
            if not result.among:
                yield f"{where}: no results of {', '.join(ground.cells)}"
            elif ground.how_many == "some-drivers" and not result.throughout("driver"):
                yield f"{where}: no driver does what `{ground.name}` says in all of {', '.join(ground.cells)}"
            elif not result.holds or (ground.how_many == "all" and result.fails):
                shown = [f"{seen.id}: {seen.outcome}" for seen in result.fails[:3]]
                yield f"{where}: results do not show it: {'; '.join(shown)}"


def _article(facts: Facts) -> Iterator[str]:
    for claim in facts.prose.article:
        where = f"docs/prose/article.toml: {claim.id}"
        yield from _unknown_cells(facts, where, claim.cells)
        verdict = test(facts, claim).verdict
        if verdict != claim.verdict:
            yield f"{where}: its text is written for {claim.verdict!r}, and results say {verdict or 'nothing yet'!r}"


def _unknown_cells(facts: Facts, where: str, globs: Iterable[str]) -> list[str]:
    return [f"{where}: {glob} matches no cell" for glob in globs if not facts.exists(glob)]


def _unknown_examples(facts: Facts) -> Iterator[str]:
    """Say which examples that prose names are not there."""
    known = facts.names()
    for advice in facts.prose.advice:
        if advice.example not in known:
            yield f"docs/prose/advice.toml: names {advice.example}, which is no example"
