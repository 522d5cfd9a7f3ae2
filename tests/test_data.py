"""The data of this repository fits its schemas, and every claim has a reason and a cell."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from matrix import catalogue
from matrix.catalogue import ROOT, STACKS, cells, drivers, examples
from matrix.catalogue.claims import claims, reasons
from matrix.records import results
from matrix.records.evidence import Evidence

#: Bytes of results that the repository may hold, with all the drivers there are.
LIMIT = 3_000_000
EXAMPLES = list(examples().values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.module)
def test_an_example_says_what_it_is(example: catalogue.Example) -> None:
    assert example.problem is None
    assert example.title.endswith(".")
    assert not re.search(r"^(Remedies|Remedy for):", example.body, re.MULTILINE), "that is what crossed cells say"


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
    observed = results.read(results.RESULTS / f"{driver}.json")
    claimed = {cell.id: claim for cell, claim in claims(driver).items()}
    assert {cell.id for cell in cells() if cell.driver == driver} <= set(observed) <= set(claimed)
    assert [key for key, each in observed.items() if not set(each.seen) <= set(claimed[key].outcomes)] == []


def test_no_results_are_left_of_a_driver_that_is_gone() -> None:
    observations = {path.stem for path in results.RESULTS.glob("*.json")} - {"costs"}
    evidence = {path.parents[1].name for path in results.RESULTS.glob("*/*/*.json")}
    assert observations | evidence <= set(drivers())


@pytest.mark.parametrize("driver", drivers())
def test_results_are_written_as_this_version_writes_them(driver: str, tmp_path: Path) -> None:
    observed = results.read(results.RESULTS / f"{driver}.json")
    committed = [path.relative_to(results.RESULTS) for path in results.RESULTS.glob(f"{driver}/**/*.json")]
    for path in (Path(f"{driver}.json"), *committed):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(results.RESULTS / path, tmp_path / path)
    some = next(iter(observed.values()))
    extra = replace(some, cell=replace(some.cell, example="extra"))
    results.write(tmp_path, driver, [extra], {extra.id: Evidence()})
    evidence = {key: found for key in observed if (found := results.read_evidence(results.RESULTS, key))}
    results.write(tmp_path, driver, [], evidence, current=observed)
    for path in tmp_path.rglob("*.json"):
        assert path.read_bytes() == (results.RESULTS / path.relative_to(tmp_path)).read_bytes()


def test_results_stay_small_enough_to_clone() -> None:
    assert sum(path.stat().st_size for path in results.RESULTS.rglob("*.json")) < LIMIT


def test_every_reason_is_used() -> None:
    used = {claim.reason for driver in drivers() for claim in claims(driver).values()}
    assert set(reasons()) == used


def test_parallel_files_have_the_same_kind_and_idea() -> None:
    for name in {name for _, name in examples()}:
        assert len({example.kind for example in EXAMPLES if example.name == name}) == 1, name
