"""Checks what people say about cells against what was observed, and puts the result into words.

A statement names cells by globs, and what is said of each: any of some outcomes (`outcome`), an outcome that was seen
in any run (`seen`), whose session the parent or every child ended up on (`parent_session`, `child_session`), an
exception whose class, code and text match (`error`), no exception anywhere (`silent`), every child answered rightly
(`children_served`). All that is said must hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.pages.facts import describe
from matrix.pages.prose import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.pages.facts import Facts

_RAISED = re.compile(r": raised (.*)")


@dataclass(frozen=True)
class Result:
    """What became of a statement: the observed cells for which it holds, and those for which it does not."""

    holds: list[dict[str, Any]]
    fails: list[dict[str, Any]]

    @property
    def among(self) -> list[dict[str, Any]]:
        """All cells that were looked at."""
        return [*self.holds, *self.fails]

    @property
    def verdict(self) -> str | None:
        """One of VERDICTS, None where no cell was observed."""
        if not self.among:
            return None
        return VERDICTS[0] if not self.fails else VERDICTS[2] if not self.holds else VERDICTS[1]

    @property
    def condition(self) -> str:
        """Where it holds and where not, in words; empty where there is no difference."""
        if not self.holds or not self.fails:
            return ""
        return f"holds: {describe(self.holds, self.among)}; does not: {describe(self.fails, self.among)}"


def test(facts: Facts, statement: dict[str, Any]) -> Result:
    """Return for which of the observed cells a statement holds."""
    holds: list[dict[str, Any]] = []
    fails: list[dict[str, Any]] = []
    for observation in facts.matching(statement["cells"]):
        (holds if _holds(statement, observation) else fails).append(observation)
    return Result(holds, fails)


def raised(observation: dict[str, Any]) -> list[str]:
    """Return class, code and text of every exception in a transcript, in order."""
    return [match[1] for line in observation["transcript"] if (match := _RAISED.search(line))]


def problems(facts: Facts) -> list[str]:
    """Say which findings and verdicts the results do not show, and which prose names what is not there."""
    found = []
    for finding in facts.prose["findings"]:
        where = f"docs/prose/findings.toml: {finding['id']}"
        if not facts.exists(finding["show"]):
            found.append(f"{where}: there is no cell {finding['show']}")
        for statement in finding["rests_on"]:
            found += _unknown(facts, where, statement["cells"])
            result = test(facts, statement)
            if not result.among:
                found.append(f"{where}: no results of {', '.join(statement['cells'])}")
            elif not result.holds or (statement.get("how_many", "all") == "all" and result.fails):
                shown = [f"{o['id']}: {o['outcome']}" for o in result.fails[:3]]
                found.append(f"{where}: results do not show it: {'; '.join(shown)}")
    for claim in facts.prose["article"]:
        where = f"docs/prose/article.toml: {claim['id']}"
        found += _unknown(facts, where, claim["cells"])
        verdict = test(facts, claim).verdict
        if verdict != claim["verdict"]:
            found.append(
                f"{where}: its text is written for {claim['verdict']!r}, and results say {verdict or 'nothing yet'!r}"
            )
    return found + _unknown_examples(facts)


def _unknown(facts: Facts, where: str, globs: list[str]) -> list[str]:
    return [f"{where}: {glob} matches no cell" for glob in globs if not facts.exists(glob)]


def _unknown_examples(facts: Facts) -> list[str]:
    """Say which examples that prose or docstrings name are not there."""
    known = {name for _, name in facts.examples}
    found = []
    for (_, name), example in facts.examples.items():
        found += [
            f"{example.path}: names {other}, which is {'itself' if other == name else 'no example'}"
            for other in example.counterparts
            if other not in known or other == name
        ]
    for launcher in facts.prose["launchers"]:
        names = [*launcher["hazards"], *launcher.get("prefer", []), *launcher.get("not_here", {})]
        found += [
            f"docs/prose/launchers.toml: {launcher['id']}: names {name}, which is no example"
            for name in names
            if name not in known
        ]
    for advice in facts.prose["advice"]:
        if advice["example"] not in known:
            found.append(f"docs/prose/advice.toml: names {advice['example']}, which is no example")
    return found


def _holds(statement: dict[str, Any], observation: dict[str, Any]) -> bool:
    children = observation["children"]
    tests: dict[str, Callable[[Any], bool]] = {
        "outcome": lambda said: observation["outcome"] in said,
        "seen": lambda said: bool(set(said) & set(observation["seen"])),
        "parent_session": lambda said: observation["parent"]["session"] in said,
        "child_session": lambda said: bool(children) and all(child["session"] in said for child in children),
        "error": lambda said: any(re.search(said, text) for text in raised(observation)),
        "silent": lambda said: said == (not raised(observation)),
        "children_served": lambda said: said == (bool(children) and not any(map(_unserved, children))),
    }
    return all(tests[name](said) for name, said in statement.items() if name in tests)


def _unserved(child: dict[str, Any]) -> bool:
    return bool(child["errors"] or child["wrong"] or child["unanswered"])
