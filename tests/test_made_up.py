"""Whole runs in a made-up repository: what is filed, under which name, and what never is."""

from __future__ import annotations

import shutil
import sys
import tempfile
import venv
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
import pytest

from matrix import catalogue
from matrix.catalogue import crossed, crossed_claims
from matrix.catalogue.remedies import remedies
from matrix.errors import MatrixError
from matrix.records import crossed_results, results
from matrix.records.reading import ROOT
from matrix.run.environment import environment
from matrix.run.options import Options
from matrix.run.runner import run
from matrix.servers import products
from tests.made_up import product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.records.summary import Summary

FOLDER = Path(__file__).parent / "made_up"
WRONG = "bare/shares/first/made_up/tcp"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter for which both made-up drivers are installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    for driver in ("first", "second"):
        add_distribution(python, driver)
    return python


def add_distribution(python: Path, driver: str) -> None:
    """Have an interpreter believe that a made-up driver is installed."""
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    metadata = packages / f"made_up_{driver}-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: made-up-{driver}\nVersion: 1.0\n")
    environment.cache_clear()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the made-up repository, whose server is among the known ones."""
    root = tmp_path / "repository"
    shutil.copytree(FOLDER / "repository", root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "example_support" / "with_remedy.py", root / "example_support")
    made_up = products.products(FOLDER / "servers")
    monkeypatch.setattr(products, "products", lambda *_: made_up)
    products.known.cache_clear()
    observer = ModuleType("matrix.servers.made_up.observer")
    observer.__dict__.update(connect=product.connect, version=product.version)
    monkeypatch.setitem(sys.modules, "matrix.servers.made_up", product)
    monkeypatch.setitem(sys.modules, "matrix.servers.made_up.observer", observer)
    monkeypatch.setenv("MATRIX_SERVERS", "machine")
    with tempfile.TemporaryDirectory() as programs:
        Path(programs).chmod(0o755)  # root's servers run as another user
        found = [product.write_program(Path(programs) / f"made-up-{n}", f"{n}.1") for n in (7, 8)]
        monkeypatch.setattr(product, "programs", found)
        yield root
    caches = (catalogue.stacks, catalogue.drivers, catalogue.examples, catalogue.cells, products.known)
    for cached in (*caches, crossed.crossed_cells, crossed_claims.because, remedies):
        cached.cache_clear()


@pytest.fixture
def matrix(repository: Path, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """Run the made-up matrix."""

    def start(*only: str, made_up: str = "", **options: object) -> Summary:
        monkeypatch.setenv("MADE_UP", made_up)
        usual: dict[str, object] = {
            "drivers": tuple(catalogue.drivers(repository)),
            "output": tmp_path / "results",
            "direct": True,
        }
        usual["pythons"] = dict.fromkeys(catalogue.drivers(repository), python)
        return run(Options(only=only, root=repository, **(usual | options)))  # type: ignore[arg-type]

    return start


def test_every_cell_is_as_claimed(matrix: Callable[..., Summary], repository: Path) -> None:
    summary = matrix()
    assert (summary.status, summary.deviations, summary.broken) == (0, [], {})
    assert set(summary.observations) == {cell.id for cell in catalogue.cells(repository)}
    assert summary.observations["bare/shares/second/made_up/tls"].outcome == "wrong row"
    assert summary.observations[WRONG].versions["driver"] == "made-up-first 1.0 (python)"


def test_a_second_run_changes_no_byte(matrix: Callable[..., Summary], tmp_path: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted((tmp_path / "results").rglob("*.json"))}

    matrix()
    first = files()
    assert first
    matrix()
    assert files() == first


def test_another_outcome_than_claimed_fails(matrix: Callable[..., Summary]) -> None:
    summary = matrix(WRONG, made_up="wrong row")
    assert summary.status == 1
    assert summary.deviations == [WRONG]


@pytest.mark.parametrize(
    ("made_up", "why"),
    [
        ("another driver", "module: the example used made_up_other, the cell is about made_up_first"),
        ("another version", "version: the example used 2.0, the cell is about 1.0"),
        ("another implementation", "implementation: the example used c, the cell is about python"),
        ("another server", "server: the example used 8.0, the cell is about 7.1"),
        ("no identity", "the example did not report which driver it used"),
        ("unreadable", "record 4 cannot be read: Object contains unknown field `rows`"),
        ("failure", "the example itself failed with exit status 1: ValueError: made-up failure"),
    ],
)
def test_what_is_no_evidence_is_broken_and_never_filed(
    matrix: Callable[..., Summary], tmp_path: Path, made_up: str, why: str
) -> None:
    summary = matrix(WRONG, made_up=made_up)
    assert summary.status == 2
    assert summary.broken == {WRONG: why}
    assert summary.observations == {}
    assert results.read_folder(tmp_path / "results") == {}


def test_a_transport_that_was_not_used_is_broken(matrix: Callable[..., Summary]) -> None:
    key = WRONG.replace("/tcp", "/tls")
    summary = matrix(key, made_up="no identity")
    assert summary.broken == {key: "transport: the example used tcp, the cell is about tls"}


@pytest.mark.parametrize(("made_up", "outcome"), [("hang", "hang"), ("crash", "crash")])
def test_programs_that_end_badly_are_outcomes(matrix: Callable[..., Summary], made_up: str, outcome: str) -> None:
    summary = matrix(WRONG, made_up=made_up, deadline=0.3)
    assert summary.observations[WRONG].outcome == outcome
    assert summary.status == 1


def test_cells_are_repeated_as_often_as_asked(matrix: Callable[..., Summary]) -> None:
    assert matrix(WRONG, repeat=7).observations[WRONG].seen == {"works": 7}


def test_two_versions_of_a_product_run_side_by_side(matrix: Callable[..., Summary]) -> None:
    summary = matrix("*/keeps_apart/first/*/tcp", servers=("made_up7", "made_up8"))
    assert set(summary.observations) == {"bare/keeps_apart/first/made_up7/tcp"}
    assert summary.broken == {
        "bare/keeps_apart/first/made_up8/tcp": "server: the example used 7.1, the cell is about 8.1"
    }


def test_a_server_that_cannot_be_had_makes_its_cells_not_applicable(
    matrix: Callable[..., Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "programs", product.programs[:1])
    summary = matrix("*/keeps_apart/first/*/tcp", servers=("made_up8",))
    (seen,) = summary.observations.values()
    assert seen.outcome == "not applicable"
    assert seen.note is not None
    assert "Made-up 8" in seen.note
    assert summary.status == 2


def test_a_run_without_one_of_its_servers_fails_unless_that_is_allowed(
    matrix: Callable[..., Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "programs", product.programs[:1])
    summary = matrix("*/keeps_apart/first/*/tcp", servers=("made_up7", "made_up8"))
    assert (summary.runs, summary.as_claimed, summary.not_applicable) == (1, 1, 1)
    assert summary.status == 2
    summary.allow_missing = True
    assert summary.status == 0
    nothing = matrix("*/keeps_apart/first/*/tcp", servers=("made_up8",))
    nothing.allow_missing = True
    assert nothing.status == 2


def test_an_environment_without_the_driver_is_one_line(matrix: Callable[..., Summary]) -> None:
    with pytest.raises(MatrixError, match=r'second is not installed for .*; nox -s "matrix\(second\)" makes'):
        matrix("*/*/second", pythons={"second": Path(sys.executable)})


def test_a_driver_is_added_by_its_folder_alone(matrix: Callable[..., Summary], repository: Path, python: Path) -> None:
    third = repository / "drivers" / "third"
    shutil.copytree(repository / "drivers" / "second", third)
    facts = third / "driver.toml"
    facts.write_text(facts.read_text().replace("second", "third"))
    add_distribution(python, "third")
    summary = matrix("*/*/third")
    assert summary.status == 0
    assert {seen.cell.driver for seen in summary.observations.values()} == {"third"}
    assert len(summary.observations) == len(matrix("*/*/second").observations)


def test_two_drivers_that_claim_one_scheme_are_refused(matrix: Callable[..., Summary], repository: Path) -> None:
    third = repository / "drivers" / "third"
    shutil.copytree(repository / "drivers" / "second", third)
    with pytest.raises(MatrixError, match="second and third both claim the scheme 'made-up-second'"):
        matrix()


def test_an_unchanged_run_leaves_the_claims_as_they_are(matrix: Callable[..., Summary], repository: Path) -> None:
    files = sorted(repository.glob("drivers/*/expected.toml"))
    before = [path.read_bytes() for path in files]
    matrix(update=True)
    assert [path.read_bytes() for path in files] == before


def test_a_changed_cell_changes_its_own_line_alone(matrix: Callable[..., Summary], repository: Path) -> None:
    path = repository / "drivers" / "first" / "expected.toml"
    before = path.read_text().splitlines()
    summary = matrix(WRONG, made_up="wrong row", update=True)
    assert [Path(name).name for name in summary.reviewed] == ["expected.toml"]
    after = path.read_text().splitlines()
    assert [line for line in before if line not in after] == []
    (added,) = [line for line in after if line not in before]
    assert added == '"bare/shares/made_up/tcp" = {outcome = "wrong row", reason = "to-be-reviewed"}'


def test_what_waits_for_its_reason_fails(matrix: Callable[..., Summary]) -> None:
    matrix(WRONG, made_up="wrong row", update=True)
    with pytest.raises(MatrixError, match="is to-be-reviewed: name its reason"):
        matrix(WRONG)


def test_a_summary_can_be_written_and_read(matrix: Callable[..., Summary]) -> None:
    summary = matrix()
    assert msgspec.json.decode(msgspec.json.encode(summary), type=type(summary)) == summary


# Crossed cells: a hazard's own steps with a remedy in place.

CROSSED = "bare/shares+keeps_apart/second/made_up/tcp"


def test_a_hazard_runs_with_each_remedy_in_place(matrix: Callable[..., Summary], tmp_path: Path) -> None:
    without, summary = matrix("bare/shares/second/*/tcp"), matrix(remedies=True)
    assert [seen.outcome for seen in without.observations.values()] == ["wrong row"]
    assert (summary.status, summary.deviations, summary.broken) == (0, [], {})
    assert set(summary.observations) == {
        f"bare/shares+keeps_apart/{driver}/made_up/{transport}"
        for driver in ("first", "second")
        for transport in ("tcp", "tls")
    }
    assert summary.observations[CROSSED].outcome == "works"
    assert "parent   keep_apart(program): done" in summary.observations[CROSSED].transcript
    assert set(crossed_results.read(tmp_path / "results")) == set(summary.observations)


def test_what_is_run_is_the_code_that_is_printed(matrix: Callable[..., Summary], repository: Path) -> None:
    path = repository / "drivers" / "keeps_apart.py"
    path.write_text(path.read_text().replace("program.apart = True", "program.apart = False"))
    (cell,) = (cell for cell in crossed.crossed_cells(repository) if cell.id == CROSSED)
    assert "program.apart = False" in crossed.as_text(cell, repository)
    assert matrix(CROSSED, remedies=True).observations[CROSSED].outcome == "wrong row"


def test_a_remedy_without_points_is_crossed_with_nothing(repository: Path) -> None:
    path = repository / "drivers" / "keeps_apart.py"
    path.write_text(path.read_text().replace("Points:\n    start: keep_apart(program)\n", ""))
    assert crossed.crossed_cells(repository) == ()


def test_a_crossed_cell_that_changed_is_written_for_review(matrix: Callable[..., Summary], repository: Path) -> None:
    path = repository / "drivers" / "keeps_apart.py"
    path.write_text(path.read_text().replace("program.apart = True", "program.apart = False"))
    summary = matrix(CROSSED, remedies=True, update=True)
    assert [Path(name).name for name in summary.reviewed] == ["keeps_apart.toml"]
    lines = (repository / "matrix/crossed/keeps_apart.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith('"')] == [
        '"shares" = {outcome = "works"}',
        '"shares/second/tcp" = {outcome = "wrong row", because = "to-be-reviewed"}',
    ]
    with pytest.raises(MatrixError, match="is to-be-reviewed: name its reason, one of matrix/crossed/because"):
        matrix(CROSSED, remedies=True)


def test_an_unchanged_run_of_crossed_cells_changes_no_byte(matrix: Callable[..., Summary], repository: Path) -> None:
    path = repository / "matrix/crossed/keeps_apart.toml"
    before = path.read_bytes()
    assert matrix(remedies=True, update=True).reviewed == []
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('"share" = {outcome = "works"}', 'no cell with keeps_apart is called "share"; did you mean "shares"?'),
        ('"shares" = {outcome = "child error"}', "`because` has to say why it is not `works`"),
        ('"shares" = {outcome = "hang", because = "magic"}', "unknown reason 'magic'"),
    ],
)
def test_a_bad_claim_about_a_crossed_cell_is_one_line(repository: Path, line: str, problem: str) -> None:
    path = repository / "matrix/crossed/keeps_apart.toml"
    path.write_text(f"{line}\n")
    with pytest.raises(MatrixError) as caught:
        crossed_claims.crossed_claims(repository)
    assert problem in str(caught.value)
    assert "keeps_apart.toml, line 1: " in str(caught.value)
