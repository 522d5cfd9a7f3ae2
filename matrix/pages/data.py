"""The results as data for other programs: one JSON file, and the JSON Schema that describes it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec

from matrix.records.outcomes import OUTCOMES, Outcome

if TYPE_CHECKING:
    from matrix.pages.facts import Facts

#: Raised by one whenever a program that reads older files would misunderstand newer ones.
FORMAT = 1


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case that was run: an example in a stack, with a driver, on a server, over a transport.

    `outcome` is the worst that was seen, `seen` says in how many runs each outcome was. `expected` are the outcomes
    that are expected, `reason` names the cause in `reasons`. `versions` names what was used.
    """

    stack: str
    example: str
    driver: str
    server: str
    transport: str
    outcome: Outcome
    seen: dict[Outcome, int]
    expected: tuple[Outcome, ...] = ()
    reason: str | None = None
    note: str | None = None
    versions: dict[str, str] = {}


class Launched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application under a launcher, with a fix or without one (`none`).

    `right` of `asked` requests or tasks got the row that they asked for.
    """

    application: str
    launcher: str
    remedy: str
    driver: str
    server: str
    transport: str
    outcome: Outcome
    seen: dict[Outcome, int]
    asked: int
    right: int
    errors: dict[str, int] = {}
    versions: dict[str, str] = {}


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why something happens, who can fix it, and the lines of source code behind it."""

    sentence: str
    fix_in: str
    sources: list[str] = []


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `outcomes` says what each outcome means, from the worst down."""

    format: int
    outcomes: dict[Outcome, str]
    cells: list[Cell]
    launched: list[Launched]
    reasons: dict[str, Cause]


def collect(facts: Facts) -> Results:
    """Return everything that was observed."""
    cells = []
    for key, seen in facts.observed.items():
        claim = facts.claimed.get(key)
        cells.append(
            Cell(
                **msgspec.structs.asdict(seen.cell),
                outcome=seen.outcome,
                seen=seen.seen,
                expected=claim.outcomes if claim else (),
                reason=facts.reason(seen),
                note=(claim.note if claim else "") or seen.note or None,
                versions=seen.versions,
            )
        )
    launched = [
        Launched(
            **msgspec.structs.asdict(one.cell),
            outcome=one.outcome,
            seen=one.seen,
            asked=one.load.asked,
            right=one.load.right,
            errors=one.errors,
            versions=one.versions,
        )
        for one in facts.launched.values()
    ]
    reasons = {
        name: Cause(sentence=one.sentence, fix_in=one.fix_in, sources=[source.url for source in one.sources])
        for name, one in facts.reasons.items()
    }
    return Results(format=FORMAT, outcomes=OUTCOMES, cells=cells, launched=launched, reasons=reasons)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Results)}


def fields() -> dict[str, str]:
    """Return what each kind of entry holds, by where it is in the file, for the page about the data."""
    kinds = {"the file": Results, "cells": Cell, "launched": Launched, "reasons": Cause}
    return {where: " ".join((inspect.getdoc(kind) or "").split()) for where, kind in kinds.items()}
