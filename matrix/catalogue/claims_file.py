"""Edits a file of claims in place: what does not change stays as it is, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.items import KeyType, SingleKey, Whitespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomlkit import TOMLDocument
    from tomlkit.items import InlineTable

    from matrix.records.claim import Claim


def edited(text: str, changes: Mapping[str, Claim]) -> str:
    """Return a file's text with other claims under some keys; new keys stand with those of their example."""
    document = tomlkit.parse(text if text.endswith("\n") else f"{text}\n")
    for key in changes.keys() & document.keys():
        document[key] = _entry(changes[key])
    for key in changes:
        if key not in document:
            _insert(document, key, _entry(changes[key]))
    return document.as_string()


def _entry(claim: Claim) -> InlineTable:
    entry = tomlkit.inline_table()
    entry["outcome"] = claim.outcomes[0] if len(claim.outcomes) == 1 else list(claim.outcomes)
    entry["reason"] = claim.reason
    if claim.note:
        entry["note"] = claim.note
    return entry


def _insert(document: TOMLDocument, key: str, entry: InlineTable) -> None:
    """Add a line: below those of its stack, of its example, or as a paragraph below the example before it."""
    nearness, place = 0, len(document.body)
    for index, (other, _) in enumerate(document.body, 1):
        near = _nearness(key, other.key) if other is not None else 0
        if near and near >= nearness:
            nearness, place = near, index
    paragraph = [] if nearness > 1 else [(None, Whitespace("\n"))]
    # `append` knows no places; `body` is what is written, in order.
    document.body[place:place] = [*paragraph, (SingleKey(key, KeyType.Basic), entry)]


def _nearness(key: str, other: str) -> int:
    """Return 3 for keys of one stack and example, 2 of one example, 1 if the other's example comes first, else 0."""
    (stack, example), (other_stack, other_example) = ((*each.split("/"), "")[:2] for each in (key, other))
    if example != other_example:
        return int(other_example < example)
    return 3 if stack == other_stack else 2
