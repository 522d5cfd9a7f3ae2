"""What people write for the pages: the records in `docs/prose/*.toml`, and the texts in `docs/prose/*.md`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from matrix.errors import MatrixError
from matrix.records.claim import Link
from matrix.records.outcomes import Outcome
from matrix.records.reading import read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.observation import Observation

#: Where the prose stands, from the repository's root.
FOLDER = "docs/prose"

Verdict = Literal["holds", "holds with a condition", "does not hold"]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
Outcomes = Annotated[tuple[Outcome, ...], msgspec.Meta(min_length=1)]
Id = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]+$")]
Links = dict[str, Link]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement about the cells that match one of some globs. Every field that is given must hold.

    `outcome`: the cell's is one of these; `seen`: one of these was seen in a run. `parent_session`, `child_session`:
    what the parent's, and every child's, session was at the end. `error`: an exception whose class, code and text
    match. `silent`: whether no exception was raised anywhere. `children_get_rows`: whether there are children and each
    got every row it asked for.
    """

    cells: Texts
    outcome: Outcomes | None = None
    seen: Outcomes | None = None
    parent_session: Texts | None = None
    child_session: Texts | None = None
    error: Text | None = None
    silent: bool | None = None
    children_get_rows: bool | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if `error` is no regular expression."""
        _compile(self.error or "")

    def holds(self, seen: Observation) -> bool:
        """Whether every field that is given holds for a cell."""
        children = seen.children
        raised = [f"{step.exception}: {step.text}" for step in seen.steps if step.result == "raised"]
        right = bool(children) and not any(child.errors or child.wrong or child.unanswered for child in children)
        return all(
            (
                self.outcome is None or seen.outcome in self.outcome,
                self.seen is None or any(outcome in self.seen for outcome in seen.seen),
                self.parent_session is None or seen.parent.session in self.parent_session,
                self.child_session is None
                or (bool(children) and all(child.session in self.child_session for child in children)),
                self.error is None or any(re.search(self.error, text) for text in raised),
                self.silent is None or self.silent == (not raised),
                self.children_get_rows is None or self.children_get_rows == right,
            )
        )


class Ground(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement that a finding rests on: about `all` of the cells, about `some`, or about `some-drivers`.

    The last holds if it does in all cells of a driver, for one driver or more. With a `name`, the finding's words can
    say for whom it holds: `{name}` becomes the drivers in all of whose cells it does, `{name.stacks}` the stacks.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z_]+$")] | None = None
    how_many: Literal["all", "some", "some-drivers"] = "all"


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the summary: what the child does with an inherited connection, and the cells in which it does."""

    does: Text
    cells: Texts


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sentence for the results page, what it rests on, and the cell that shows it."""

    id: Id
    title: Text
    text: Text
    show: Text
    rests_on: Annotated[tuple[Ground, ...], msgspec.Meta(min_length=1)]


class ArticleClaim(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim of the article, and the verdict that the text is written for."""

    id: Id
    claim: Text
    verdict: Verdict
    text: Text


class Symptom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages that match one of some patterns, or cells with one of some outcomes, under one name.

    `message` is the text that its causes are weighed by, if it is not the title; `reported` says where people reported
    it.
    """

    id: Id
    title: Text
    patterns: tuple[Text, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    reported: Links = {}
    meaning: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError if a pattern is no regular expression."""
        for pattern in self.patterns:
            _compile(pattern)


class Advice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is often recommended, the example that does it, and the stacks that it is for, if not all."""

    says: Text
    example: Text
    stacks: tuple[Text, ...] = ()
    links: Links = {}


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of a driver's page, and globs of the hazards in it."""

    title: Text
    examples: Texts


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word of the glossary."""

    word: Text
    meaning: Text


class Prose(msgspec.Struct, frozen=True):
    """All that people wrote; `texts` are the Markdown files by name."""

    summary: tuple[SummaryRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    article: tuple[ArticleClaim, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    advice: tuple[Advice, ...] = ()
    topics: tuple[Topic, ...] = ()
    glossary: tuple[Word, ...] = ()
    texts: dict[str, str] = {}


_T = TypeVar("_T")


def read_prose(root: Path) -> Prose:
    """Read all prose; raise MatrixError, with file and line, if it is malformed."""
    folder = root / FOLDER

    def read(name: str, key: str, record: type[_T]) -> tuple[_T, ...]:
        path = folder / f"{name}.toml"
        if not path.exists():
            return ()
        tables = read_toml(path, dict[str, tuple[record, ...]])  # type: ignore[valid-type]
        if unknown := tables.keys() - {key}:
            raise MatrixError(f"{path.relative_to(root)}: unknown table `{min(unknown)}`; it holds `[[{key}]]`")
        return tables.get(key, ())

    return Prose(
        summary=read("summary", "row", SummaryRow),
        findings=read("findings", "finding", Finding),
        article=read("article", "claim", ArticleClaim),
        symptoms=read("symptoms", "symptom", Symptom),
        advice=read("advice", "advice", Advice),
        topics=read("topics", "topic", Topic),
        glossary=read("glossary", "word", Word),
        texts={path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.md"))},
    )


def _compile(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
