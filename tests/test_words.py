"""The words of pages, docstrings, comments, messages and names: none of those that readers stumbled over."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from matrix.records.reading import ROOT, read_toml

#: What people read or search in; of results and of reports that people pasted the words are theirs.
KINDS = ("*.md", "*.py", "*.toml", "*.j2", "*.js", "*.css", "*.svg", "*.yml", "*.cff")
OTHERS_WORDS = ("tests/reports/*", "tests/corpus/*", "matrix/results/*", "requirements/*")


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word that is not used, what to write instead, and the files that the rule is for."""

    pattern: str
    instead: str
    where: tuple[str, ...] = ("*",)

    def found(self, file: str, line: str) -> str | None:
        """Return the word if it is in a line; as a part of a name it ends at an underscore too."""
        if not any(fnmatchcase(file, glob) for glob in self.where):
            return None
        found = re.search(rf"(?<![a-z])(?:{self.pattern})(?![a-z])", line, re.IGNORECASE)
        return found[0] if found else None


class Exempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines that may hold such a word: of a file, those that contain a text, and why."""

    file: str
    text: str
    reason: Annotated[str, msgspec.Meta(min_length=1)]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything in words.toml."""

    word: tuple[Word, ...]
    exception: tuple[Exempt, ...] = ()


@cache
def rules() -> Rules:
    return read_toml(Path(__file__).with_name("words.toml"), Rules)


@cache
def files() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *KINDS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (line for line in listed.stdout.splitlines() if (ROOT / line).is_file())
    return tuple(path for path in paths if not any(fnmatchcase(path, glob) for glob in OTHERS_WORDS))


def exempt(file: str, line: str) -> bool:
    return any(file == one.file and one.text in line for one in rules().exception)


@pytest.mark.parametrize("word", rules().word, ids=lambda word: word.pattern)
def test_a_word_that_readers_stumbled_over_is_not_used(word: Word) -> None:
    found = [
        f"{file}:{number}: {hit!r}: {line.strip()[:100]}"
        for file in files()
        for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), 1)
        if (hit := word.found(file, line)) and not exempt(file, line)
    ]
    assert found == [], f"write instead: {word.instead}"


@pytest.mark.parametrize("exception", rules().exception, ids=lambda one: f"{one.file}: {one.text}")
def test_every_exception_is_needed(exception: Exempt) -> None:
    lines = (ROOT / exception.file).read_text(encoding="utf-8").splitlines()
    assert any(exception.text in line and any(w.found(exception.file, line) for w in rules().word) for line in lines)


@pytest.mark.parametrize(
    ("line", "hit"),
    [("it says goodbye", True), ("def say_goodbye():", True), ("a goodbyeish word", False), ("Goodbye", True)],
)
def test_a_word_is_found_in_a_sentence_and_in_a_name(line: str, hit: bool) -> None:
    word = Word(pattern="goodbyes?", instead="the termination message")
    assert bool(word.found("README.md", line)) == hit
