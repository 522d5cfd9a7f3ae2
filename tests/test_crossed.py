"""Hazards with remedies in place: what is run, what is claimed, and what pages make of it."""

from __future__ import annotations

import json
import re
import symtable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from matrix.catalogue import ROOT, drivers, examples
from matrix.catalogue import crossed as catalogue
from matrix.catalogue.crossed_claims import because, crossed_claims
from matrix.catalogue.remedies import remedies
from matrix.pages import crossed
from matrix.pages.facts import Facts, load
from matrix.pages.render import address, render
from matrix.records import crossed_results, results
from matrix.records.outcomes import GOOD

if TYPE_CHECKING:
    from matrix.records.observation import Coordinates, Observation

CELLS = catalogue.crossed_cells()
#: One cell of each hazard with each remedy, in each stack.
PAIRS = list({(cell.stack, cell.example): cell for cell in CELLS}.values())


@pytest.fixture(scope="module")
def observed() -> dict[str, Observation]:
    return crossed_results.read(results.RESULTS)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load()


@pytest.mark.parametrize("cell", PAIRS, ids=lambda cell: f"{cell.stack}/{cell.example}")
def test_a_remedys_statements_and_code_compile(cell: Coordinates) -> None:
    module, environ = catalogue.command(cell)
    asked = json.loads(environ[catalogue.VARIABLE])
    assert module == catalogue.MODULE
    assert asked["points"]
    compile(asked["code"], cell.example, "exec")
    for statements in asked["points"].values():
        for statement in statements:
            compile(statement, cell.example, "exec")
    hazard, _ = crossed_results.parts(cell)
    assert asked["module"] == examples()[cell.stack, hazard].module


@pytest.mark.parametrize("cell", PAIRS, ids=lambda cell: f"{cell.stack}/{cell.example}")
def test_what_statements_name_is_the_remedys_or_the_programs(cell: Coordinates) -> None:
    asked = json.loads(catalogue.command(cell)[1][catalogue.VARIABLE])
    remedy = remedies()[cell.stack, crossed_results.parts(cell)[1]]
    opens = (asked["opens"] or "").rpartition(":")[2]
    known = {"DATABASE_URL", opens, asked["opened"], asked["holder"], *asked["names"]}
    table = symtable.symtable(asked["code"], cell.example, "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    assert remedy.names <= known | defined


def test_every_observed_cell_is_as_claimed(observed: dict[str, Observation]) -> None:
    claimed = {cell.id: claim for cell, claim in crossed_claims().items()}
    assert observed.keys() <= {cell.id for cell in CELLS}
    assert [key for key in observed if key not in claimed] == []
    assert [key for key, seen in observed.items() if not set(seen.seen) <= set(claimed[key].outcomes)] == []


def test_every_reason_is_a_sentence_and_is_used() -> None:
    assert all(sentence.endswith(".") for sentence in because().values())
    assert set(because()) == {claim.reason for claim in crossed_claims().values()} - {""}


def test_every_hazard_keeps_a_remedy_with_which_the_parent_works(facts: Facts) -> None:
    assert crossed.unproven(facts) == []


def test_a_hazard_without_such_a_remedy_is_named(facts: Facts) -> None:
    stack, driver = next(place for place in facts.protecting if drivers()[place[1]].facts.descriptor != "none")
    hazard, _ = facts.protecting[stack, driver][0]
    wrong = {
        pair: [
            seen if seen.cell.driver != driver else replace(seen, outcome="hang", seen={"hang": 1}) for seen in cells
        ]
        for pair, cells in facts.crossed.items()
    }
    other = load()
    other.__dict__["crossed"] = wrong
    assert f"{hazard}: no remedy keeps the parent working in {stack} with {driver}" in crossed.unproven(other)


def test_every_for_hazard_on_a_page_is_a_crossed_cell_that_protects(facts: Facts) -> None:
    pages = render(facts)
    for name in facts.names():
        (line,) = (one for one in pages[address(facts, name)].splitlines() if re.match(r"\*(Hazard|Remedy)\.\*", one))
        named = re.findall(r"\[`(\w+)`\]", line)
        for other in named:
            pair = (name, other) if facts.example(name).kind == "hazard" else (other, name)
            places = {(seen.cell.stack, seen.cell.driver) for seen in facts.crossed[pair]}
            assert any(
                all(outcome in GOOD for seen in facts.crossings(*pair, stack=s, driver=d) for outcome in seen.seen)
                for s, d in places
            ), f"{name}: {other}"
        assert bool(named) == any(name in pair for pairs in facts.protecting.values() for pair in pairs), name


def test_a_page_says_what_a_child_sees_and_why(facts: Facts) -> None:
    pages = render(facts)
    (hazard, _), cells = next(
        (pair, cells) for pair, cells in facts.crossed.items() if any(seen.outcome == "child error" for seen in cells)
    )
    seen = next(seen for seen in cells if seen.outcome == "child error")
    page = pages[address(facts, hazard)]
    assert because()[facts.crossed_claims[seen.id].reason] in page
    raised = next(step for step in seen.steps if step.result == "raised" and step.who != "parent")
    assert (raised.exception or "")[:40] in page


def test_a_remedy_is_crossed_with_hazards_that_have_what_it_needs() -> None:
    for cell in CELLS:
        hazard, remedy = (examples()[cell.stack, name] for name in crossed_results.parts(cell))
        assert set(remedy.needs) <= {*hazard.needs, "descriptor"}
        assert drivers()[cell.driver].facts.runs(cell.stack, (*hazard.needs, *remedy.needs))


def test_the_files_of_results_hold_no_steps_that_went_well(observed: dict[str, Observation]) -> None:
    steps = [step for seen in observed.values() for step in seen.steps if step.result is not None]
    assert steps
    assert all(step.went_wrong for step in steps)
    assert (ROOT / "matrix" / "results" / crossed_results.FOLDER).is_dir()
