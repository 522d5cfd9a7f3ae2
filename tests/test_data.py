"""The data of this repository fits its schemas, and every claim has a reason and a cell."""

from __future__ import annotations

import re

import pytest

from matrix import catalogue
from matrix.catalogue import STACKS, cells, drivers, examples
from matrix.catalogue.claims import claims, reasons
from matrix.records import results as observations
from matrix.records.reading import ROOT

EXAMPLES = list(examples().values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.module)
def test_an_example_says_what_it_is(example: catalogue.Example) -> None:
    assert example.problem is None
    assert example.title.endswith(".")
    assert example.counterparts, "the last line of the docstring names `Remedies:` or `Remedy for:`"
    known = {name for _, name in examples()}
    assert set(example.counterparts) <= known


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.module)
def test_a_hazard_names_remedies_and_a_remedy_names_hazards(example: catalogue.Example) -> None:
    kinds = {other.name: other.kind for other in EXAMPLES}
    assert {kinds[name] for name in example.counterparts} == {"remedy" if example.kind == "hazard" else "hazard"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.module)
def test_an_example_imports_nothing_of_the_harness(example: catalogue.Example) -> None:
    source = (ROOT / example.path).read_text()
    imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", source, re.MULTILINE)
    own = {name for name in imported if name.split(".")[0] in {"matrix", "tests", *STACKS.values()}}
    assert own <= {f"{STACKS[example.stack]}.helper", f"{STACKS[example.stack]}.models"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.module)
def test_an_example_never_sleeps_to_win_a_race(example: catalogue.Example) -> None:
    assert not re.search(r"\btime\.sleep\(|\bimport time\b", (ROOT / example.path).read_text())


@pytest.mark.parametrize("driver", drivers())
def test_every_cell_has_a_claim_with_a_reason(driver: str) -> None:
    claimed = claims(driver)
    missing = [cell.id for cell in cells() if cell.driver == driver and cell not in claimed]
    assert missing == []


@pytest.mark.parametrize("driver", drivers())
def test_every_cell_was_observed_as_claimed(driver: str) -> None:
    observed = observations.read(observations.RESULTS / f"{driver}.json")
    assert set(observed) == {cell.id for cell in cells() if cell.driver == driver}
    claimed = claims(driver)
    for cell in (cell for cell in cells() if cell.driver == driver):
        assert set(observed[cell.id]["seen"]) <= set(claimed[cell].outcomes), cell.id
        assert observed[cell.id]["expected"] == list(claimed[cell].outcomes), cell.id
        assert observed[cell.id]["reason"] == claimed[cell].reason, cell.id


def test_every_reason_is_used() -> None:
    used = {claim.reason for driver in drivers() for claim in claims(driver).values()}
    assert set(reasons()) == used


def test_parallel_files_have_the_same_kind_and_idea() -> None:
    for name in {name for _, name in examples()}:
        assert len({example.kind for example in EXAMPLES if example.name == name}) == 1, name


def test_a_driver_has_a_dependency_group_of_its_name() -> None:
    groups = catalogue.read_toml(ROOT / "pyproject.toml", {"type": "object"})["dependency-groups"]
    assert set(drivers()) <= set(groups)
