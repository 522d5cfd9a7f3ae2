"""The reproductions on disk: a script and its facts, `reproductions/<name>.py` and `.toml`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.catalogue import drivers
from matrix.catalogue.claims import reasons
from matrix.errors import MatrixError
from matrix.records.reading import ROOT, read_toml, shown
from matrix.records.reproductions import MOST_LINES, Reproduction

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "reproductions"


@dataclass(frozen=True)
class Script:
    """A reproduction: its `facts`, and the path of its script."""

    name: str
    path: Path
    facts: Reproduction

    @property
    def code(self) -> str:
        """The script's text."""
        return self.path.read_text(encoding="utf-8")

    @property
    def control(self) -> str:
        """The script's text with its control's change."""
        return self.code.replace(self.facts.control.replace, self.facts.control.by)


@functools.cache
def reproductions(root: Path = ROOT) -> dict[str, Script]:
    """Return every reproduction by name; raise MatrixError where one is malformed or refers to what is not there."""
    found = {}
    for path in sorted((root / FOLDER).glob("*.toml")):
        script = Script(path.stem, path.with_suffix(".py"), read_toml(path, Reproduction))
        if problem := _problem(script, root):
            raise MatrixError(f"{shown(path)}: {problem}")
        found[script.name] = script
    return found


def _problem(script: Script, root: Path) -> str:
    facts = script.facts
    if not script.path.exists():
        return f"there is no {shown(script.path)}"
    if facts.driver not in drivers(root):
        return f"driver: there is no driver {facts.driver!r}"
    if unknown := set(facts.reasons) - reasons(root).keys():
        return f"reasons: there is no {min(unknown)!r}"
    if (lines := len(script.code.splitlines())) > MOST_LINES:
        return f"the script has {lines} lines, and may have {MOST_LINES}"
    if script.code.count(facts.control.replace) != 1:
        return f"control: {facts.control.replace!r} is in the script {script.code.count(facts.control.replace)} times"
    return ""
