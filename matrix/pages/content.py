"""What the pages say, worked out from what is known; the templates put it into words."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from matrix.catalogue import STACKS, TRANSPORTS
from matrix.pages import choice, symptoms, tables, timeline
from matrix.pages.facts import describe, outcomes
from matrix.pages.source import pattern
from matrix.pages.statements import test

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.pages.facts import Facts


def legend(facts: Facts) -> list[tuple[str, str]]:
    """Return the outcomes that were observed, with signs and meanings."""
    seen = {outcome for observation in facts.observed.values() for outcome in observation["seen"]}
    return tables.legend(seen | ({"not applicable"} if facts.skipped else set()))


def findings(facts: Facts) -> list[dict[str, Any]]:
    """Return the findings that have results, each with the outcomes of its cells and the cell that shows it."""
    found = []
    for finding in facts.prose["findings"]:
        results = [test(facts, statement) for statement in finding["rests_on"]]
        if finding["show"] not in facts.observed or not all(result.among for result in results):
            continue
        groups = outcomes({o["id"]: o for result in results for o in result.among}.values())
        words = ", ".join(f"{outcome} {len(some)}" for outcome, some in groups.items())
        found.append(finding | {"words": words, "cells": sum(map(len, groups.values()))})
    return found


def article(facts: Facts) -> list[dict[str, Any]]:
    """Return the article's claims, each with what the results say of it."""
    found = []
    for claim in facts.prose["article"]:
        result = test(facts, claim)
        found.append(
            claim
            | {
                "result": result,
                "groups": {outcome: describe(some, result.among) for outcome, some in outcomes(result.among).items()},
                "examples": sorted({o["example"] for o in result.among}),
            }
        )
    return found


def all_symptoms(facts: Facts) -> list[dict[str, Any]]:
    """Return every symptom with its messages and causes."""
    found = []
    for symptom in symptoms.collect(facts):
        causes: list[dict[str, Any]] = []
        for name, cells in symptoms.by_example(symptom.cells).items():
            reasons = dict.fromkeys(filter(None, map(facts.reason, cells)))
            causes.append(
                {
                    "example": facts.example(name),
                    "cells": cells,
                    "where": describe(cells, facts.of(example=name)) or "everywhere",
                    "reasons": list(reasons),
                    "remedies": remedies_everywhere(facts, name, cells),
                }
            )
        causes.sort(key=lambda cause: cause["example"].kind)
        messages = [
            {
                "text": text,
                "kinds": sorted({sighting.kind for sighting in some}),
                "drivers": sorted({sighting.observation["driver"] for sighting in some}),
                "who": sorted({sighting.who for sighting in some}, reverse=True),
                "cells": len({sighting.observation["id"] for sighting in some}),
            }
            for text, some in symptom.messages().items()
        ]
        found.append(
            {
                "symptom": symptom,
                "messages": messages,
                "hazards": [cause for cause in causes if cause["example"].kind != "remedy"],
                "remedies": [cause for cause in causes if cause["example"].kind == "remedy"],
            }
        )
    return found


def remedies_everywhere(facts: Facts, hazard: str, cells: Iterable[dict[str, Any]]) -> list[str]:
    """Return the remedies of a hazard that are proven wherever these cells stand, at most two, the better first."""
    places = {(cell["stack"], cell["driver"], cell["transport"]) for cell in cells}
    proven = [[proof.remedy for proof in choice.remedies_for(facts, hazard, *place)] for place in sorted(places)]
    return [name for name in (proven[0] if proven else []) if all(name in names for names in proven)][:2]


def topics(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the sections of a driver's page, each with its hazards; a hazard stands in the first that names it."""
    left = facts.names("hazard")
    found = []
    for topic in facts.prose["topics"]:
        names = [name for name in left if any(fnmatchcase(name, glob) for glob in topic["examples"])]
        left = [name for name in left if name not in names]
        found.append((topic["title"], names))
    return [*found, ("Otherwise", left)] if left else found


def versions(facts: Facts, *, driver: str | None = None) -> list[tuple[str, str]]:
    """Return every version that the results were made with, by what it is the version of."""
    seen: dict[str, set[str]] = {}
    for observation in facts.of(driver=driver):
        for what, version in observation["versions"].items():
            seen.setdefault(what, set()).add(version)
    # A version that does not say what it is the version of is that of Python, OpenSSL or the like.
    return [
        (
            what,
            ", ".join(sorted(version if " " in version else f"{_NAMES.get(what, what)} {version}" for version in some)),
        )
        for what, some in seen.items()
    ]


_NAMES = {"python": "Python", "openssl": "OpenSSL"}


def recommended(facts: Facts, launcher: dict[str, Any], stack: str, driver: str) -> list[tuple[str, list[str]]]:
    """Return the remedies recommended under a launcher, each with its transports; "" where none is proven."""
    found: dict[str, list[str]] = {}
    for transport in TRANSPORTS:
        best = choice.advise(facts, launcher, stack, driver, transport).best
        found.setdefault(f"{best.remedy} {best.quality}" if best else "", []).append(transport)
    return list(found.items())


def folklore(facts: Facts) -> list[dict[str, Any]]:
    """Return what is often recommended, each with the cells that say whether it protects."""
    found = []
    for advice in facts.prose["advice"]:
        cells = facts.of(example=advice["example"])
        if cells:
            found.append(advice | {"cells": cells})
    return found


def about_driver(facts: Facts, name: str) -> dict[str, Any]:
    """Return what the page of a driver needs beside what every page has."""
    driver = facts.drivers[name]
    sections = []
    for title, names in topics(facts):
        entries = []
        for example in names:
            if not (cells := facts.of(example=example, driver=name)):
                continue
            why: dict[str, list[dict[str, Any]]] = {}
            for cell in cells:
                if reason := facts.reason(cell):
                    why.setdefault(reason, []).append(cell)
            notes = dict.fromkeys(
                claim.note for cell in cells if (claim := facts.claimed.get(cell["id"])) and claim.note
            )
            entries.append(
                {
                    "example": facts.example(example),
                    "what": tables.cell(cells),
                    "why": [(reason, describe(some, cells)) for reason, some in why.items()],
                    "notes": list(notes),
                    "remedies": remedies_everywhere(facts, example, cells),
                }
            )
        sections.append((title, entries))
    differing = [
        example
        for example in facts.names("hazard")
        if _by_transport(facts, example, name, "tls") != _by_transport(facts, example, name, "tcp")
    ]
    sources: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for reason, table in facts.reasons.items():
        for source in table.get("sources", []):
            if source["package"].lower() == driver.facts.distributions[0].lower():
                sources.setdefault(source["url"], []).append((reason, source))
    return {
        "driver": driver,
        "about": driver.facts.page,
        "sections": sections,
        "differing": [
            (
                example,
                tables.cell(facts.of(example=example, driver=name, transport="tcp")),
                tables.cell(facts.of(example=example, driver=name, transport="tls")),
            )
            for example in differing
        ],
        "remedies": [(stack, _proofs(facts, stack, name)) for stack in STACKS],
        "descriptor": _descriptor(facts, name),
        "sources": sources,
        "versions_here": versions(facts, driver=name),
    }


def _proofs(facts: Facts, stack: str, driver: str) -> list[choice.Proof]:
    names = (name for name in facts.names("remedy") if (stack, name) in facts.examples)
    return [choice.prove(facts, name, stack, driver) for name in names]


def _by_transport(facts: Facts, example: str, driver: str, transport: str) -> list[tuple[str, str, str]]:
    return [
        (o["stack"], o["server"]["family"], o["outcome"])
        for o in facts.of(example=example, driver=driver, transport=transport)
    ]


def _descriptor(facts: Facts, driver: str) -> str:
    """Return the source of the driver's function that returns the descriptor, from its connection.py."""
    path = facts.root / "drivers" / driver / "connection.py"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    match = re.search(r"^def descriptor\(.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return match[0].strip() if match else ""


def about_example(facts: Facts, name: str) -> dict[str, Any]:
    """Return what the page of an example needs beside what every page has."""
    example = facts.example(name)
    stacks: list[dict[str, Any]] = []
    for stack in facts.stacks(name):
        one = facts.examples[stack, name]
        stacks.append(
            {"name": stack, "example": one, "body": _body(one.body), "pattern": pattern(facts.root / one.path)}
        )
    shown = _illustration(facts, name)
    observed = facts.of(example=name)
    return {
        "name": name,
        "example": example,
        "in_stacks": stacks,
        "observed": observed,
        "shown": shown,
        "drawing": timeline.draw(shown, facts.evidence(shown)) if shown else "",
        "has_evidence": bool(shown and facts.evidence(shown)),
        "counterparts": facts.remedies(name) if example.kind != "remedy" else facts.hazards(name),
        "seen_symptoms": [s for s in symptoms.collect(facts) if any(cell["example"] == name for cell in s.cells)],
    }


def _body(text: str) -> str:
    """Return a docstring's body without the word that says which kind the example is; the page says it already."""
    return re.sub(r"^(Hazard|Remedy)\. +", "", text, flags=re.MULTILINE)


def _illustration(facts: Facts, name: str) -> dict[str, Any] | None:
    """Return the cell that a page shows: one that a finding names, else the first of those with the worst outcome."""
    named = [facts.observed.get(finding["show"]) for finding in facts.prose["findings"]]
    for observation in named:
        if observation and observation["example"] == name:
            return observation
    groups = outcomes(facts.of(example=name))
    return next(iter(groups.values()))[0] if groups else None


def reason_cells(facts: Facts, reason: str) -> dict[str, list[dict[str, Any]]]:
    """Return the observations whose claim names a reason, by example."""
    found: dict[str, list[dict[str, Any]]] = {}
    for observation in facts.observed.values():
        if facts.reason(observation) == reason:
            found.setdefault(observation["example"], []).append(observation)
    return found
