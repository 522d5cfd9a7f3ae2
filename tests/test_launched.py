"""What is recommended under launchers: only what cells ran, and the same bytes on pages, in answers and in cells."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from matrix.__main__ import main
from matrix.catalogue import drivers, stacks
from matrix.catalogue.assemble import Advice, assemble
from matrix.catalogue.launcher_claims import launcher_cells
from matrix.catalogue.launchers import launchers
from matrix.errors import MatrixError
from matrix.pages.commands import advice
from matrix.pages.facts import Facts, load
from matrix.pages.launched import EARLIER, answers, files_for, find_launcher, problems
from matrix.pages.launcher_pages import launcher_table
from matrix.pages.render import render
from matrix.records import launcher_results
from matrix.records.launchers import LauncherCell, LauncherObservation, Load
from matrix.records.reading import ROOT
from matrix.run import launching
from matrix.run.environment import environment, interpreter
from matrix.run.launcher_runner import run
from matrix.run.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.outcomes import Outcome

#: A combination that needs nothing but a driver: the launcher is Python's own.
LAUNCHER, APPLICATION, REMEDY = "process_pool", "bare", "discarded_in_child"

#: The drivers that have cells there.
DRIVERS = list(
    dict.fromkeys(
        cell.driver
        for cell in launcher_cells()
        if (cell.launcher, cell.application, cell.remedy) == (LAUNCHER, APPLICATION, REMEDY)
    )
)


def observed(cell: LauncherCell, outcome: Outcome = "works", root: Path = ROOT) -> LauncherObservation:
    program = assemble(cell.application, cell.launcher, cell.remedy, cell.driver, root).digest
    right = 60 if outcome in ("works", "new session") else 7
    load = Load(asked=60, right=right, first_asked=6, first_right=6, workers=6, replaced=3)
    return LauncherObservation(cell=cell, outcome=outcome, seen={outcome: 1}, load=load, parent="same", program=program)


def known(folder: Path, outcomes: dict[str, Outcome], *, driver: str | None = None, root: Path = ROOT) -> Facts:
    """Return facts in which some remedies, or none, were run over tcp for one application under one launcher."""
    cells = [
        observed(cell, outcomes[cell.remedy], root)
        for cell in launcher_cells(root)
        if (cell.launcher, cell.application, cell.transport) == (LAUNCHER, APPLICATION, "tcp")
        and cell.remedy in outcomes
        and driver in (None, cell.driver)
    ]
    launcher_results.write(folder, LAUNCHER, cells)
    return load(folder, root)


@pytest.fixture(scope="module")
def driver() -> str:
    """A driver that is installed where its cells are run."""
    for name in DRIVERS:
        if environment(interpreter(name)).has(drivers()[name]):
            return name
    pytest.skip("no driver is installed here")


def pasted_from(page: str, driver: str) -> dict[str, str]:
    """Return the program that a reader makes of a page's text: its files, then the remedy's for a driver."""
    _, _, section = page.partition(f'<a id="{APPLICATION}"></a>')
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    files: dict[str, str] = {}
    for anchor in (f"{APPLICATION}-program", f"{APPLICATION}-{REMEDY}"):
        _, _, part = section.partition(f'<a id="{anchor}"></a>')
        part = re.split(r"^### ", part, flags=re.MULTILINE)[0]
        for name, which, text in re.findall(
            r"^`([^`]+)`(?: with ([\w, ]+))?:\n\n```\w+\n(.*?)\n```$", part, re.MULTILINE | re.DOTALL
        ):
            if not which or driver in which.split(", "):
                files[name] = text + "\n"
    return files


def test_files_that_are_copied_from_the_page_work_with_60_rows_of_60(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = render(known(tmp_path / "made", {"none": "wrong row", REMEDY: "works"}))[f"docs/launchers/{LAUNCHER}.md"]
    files = pasted_from(page, driver)
    assert "main.py" in files
    assert "shop/forks.py" in files
    monkeypatch.setattr(launching, "assemble", lambda *_: Advice("", "", {}, files))
    cell = next(
        cell
        for cell in launcher_cells()
        if (cell.launcher, cell.application, cell.remedy, cell.driver, cell.transport)
        == (LAUNCHER, APPLICATION, REMEDY, driver, "tcp")
    )
    summary = run([cell], Options(drivers=(driver,), repeat=1, output=tmp_path / "run"))
    if cell.id in summary.observations and not summary.observations[cell.id].applies:
        pytest.skip(summary.observations[cell.id].note or "")
    assert not summary.broken
    seen = summary.observations[cell.id]
    assert seen.holds
    assert seen.count == "150 of 150"


def test_a_wiring_that_changes_changes_the_page_the_answer_and_the_cell(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".git", ".nox", ".venv", "*cache*", "evidence"))
    driver = DRIVERS[0]
    path = root / "launchers" / LAUNCHER / "launcher.toml"
    path.write_text(path.read_text().replace("start_worker", "begin_worker"))
    for where, name in ((ROOT, "start_worker"), (root, "begin_worker")):
        facts = known(tmp_path / name, {"none": "wrong row", REMEDY: "works"}, root=where)
        found = files_for(facts, driver, APPLICATION, LAUNCHER)
        cell = assemble(APPLICATION, LAUNCHER, REMEDY, driver, where).files
        assert f"initializer={name}" in cell["main.py"]
        assert found.offers[0].advice.files == cell
        assert f"initializer={name}" in render(facts)[f"docs/launchers/{LAUNCHER}.md"]
        assert f"initializer={name}" in "\n".join(advice(found, LAUNCHER, "tcp"))


def test_what_no_cell_covers_is_not_offered_and_the_nearest_is_named(tmp_path: Path) -> None:
    one, other, *_ = DRIVERS
    facts = known(tmp_path, {"none": "wrong row", REMEDY: "works"}, driver=one)
    for found in (
        files_for(facts, other, APPLICATION, LAUNCHER),
        files_for(facts, one, APPLICATION, LAUNCHER, transport="tls"),
    ):
        assert not found.offers
        assert found.nearest == (one, APPLICATION, LAUNCHER, "tcp")
        lines = "\n".join(advice(found, LAUNCHER, "tls"))
        assert "Not run here" in lines
        assert "shop/" not in lines.partition("Not run here")[2]


def test_nothing_is_needed_where_the_program_works_without_a_remedy(tmp_path: Path) -> None:
    driver = DRIVERS[0]
    found = files_for(known(tmp_path, {"none": "works", REMEDY: "works"}), driver, APPLICATION, LAUNCHER)
    lines = advice(found, LAUNCHER, "tcp")
    assert "Nothing is needed." in lines
    assert not any("shop/forks.py" in line for line in lines)


def test_a_remedy_that_fails_is_not_offered_and_the_smallest_comes_first(tmp_path: Path) -> None:
    driver = DRIVERS[0]
    outcomes: dict[str, Outcome] = {
        "none": "wrong row",
        REMEDY: "works",
        "closed_before_fork": "new session",
        "spawned_children": "child error",
    }
    found = files_for(known(tmp_path, outcomes), driver, APPLICATION, LAUNCHER)
    assert [offer.remedy for offer in found.offers] == ["closed_before_fork", REMEDY]
    assert [offer.size for offer in found.offers] == sorted(offer.size for offer in found.offers)
    assert [offer.remedy for offer in found.failing] == ["spawned_children"]
    assert "  spawned_children: child error: 7 of 60 right" in advice(found, LAUNCHER, "tcp")


def test_a_result_that_fails_over_one_transport_takes_the_remedy_away_where_both_count(tmp_path: Path) -> None:
    facts = known(tmp_path, {REMEDY: "works"})
    driver = DRIVERS[0]
    (seen,) = (each for each in facts.launched.values() if each.cell.driver == driver)
    cell = LauncherCell(
        **{**{name: getattr(seen.cell, name) for name in seen.cell.__struct_fields__}, "transport": "tls"}
    )
    launcher_results.write(tmp_path, LAUNCHER, [observed(cell, "hang")])
    facts = load(tmp_path)
    assert not files_for(facts, driver, APPLICATION, LAUNCHER).offers
    assert files_for(facts, driver, APPLICATION, LAUNCHER, transport="tcp").offers


def test_a_table_has_the_worst_first_and_the_smallest_fix_with_its_cost(tmp_path: Path) -> None:
    fine, bad, *_ = DRIVERS
    known(tmp_path, {"none": "works"}, driver=fine)
    facts = known(tmp_path, {"none": "wrong row", "closed_before_fork": "new session", REMEDY: "works"}, driver=bad)
    mine = [answer for answer in answers(facts, LAUNCHER) if answer.application.name == APPLICATION]
    rows = [line.split(" | ") for line in launcher_table(mine).splitlines()[2:]]
    assert [row[1] for row in rows[:2]] == [bad, fine]
    assert "wrong row" in rows[0][2]
    assert "`closed_before_fork`" in rows[0][3]
    assert "loses its database session" in rows[0][4] or "keeps its database session" in rows[0][4]
    assert "nothing is needed" in rows[1][3]
    assert all("not run here" in row[2] for row in rows[2:])


def test_what_another_launcher_does_besides_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for launcher in launchers().values():
        for name, besides in launcher.facts.common_names.items():
            assert main(["advise", "--driver", DRIVERS[0], "--orm", "django", "--launcher", name]) == 0
            text = " ".join(capsys.readouterr().out.split())
            assert f"{name} was not run: it forks as {launcher.name} does" in text
            assert besides in text


def test_common_names_of_launchers_are_known_and_a_mistyped_one_names_the_nearest() -> None:
    assert find_launcher("airflow", ROOT).name == "os_fork"
    assert find_launcher("Process-Pool", ROOT).name == "process_pool"
    with pytest.raises(MatrixError, match="did you mean gunicorn"):
        find_launcher("gunicron", ROOT)


def test_a_pool_has_an_answer_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["advise", "--driver", "psycopg", "--orm", "django", "--launcher", "gunicorn"]
    assert main([*command, "--pool"]) == 0
    with_pool = capsys.readouterr().out
    assert main(command) == 0
    without = capsys.readouterr().out
    assert with_pool.splitlines()[0] == 'gunicorn with preload_app, Django with OPTIONS["pool"], psycopg, tcp'
    assert "(discarded_in_child:" in without
    assert "(discarded_in_child:" not in with_pool


# What ran is what is printed.


def test_a_changed_wiring_makes_results_those_of_earlier_files(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    for path in [*{ROOT / stack.folder for stack in stacks().values()}, ROOT / "launchers", ROOT / "example_support"]:
        shutil.copytree(path, root / path.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    facts = known(tmp_path / "results", {"none": "hang", REMEDY: "works"}, driver=DRIVERS[0])
    assert problems(facts) == []
    (offer,) = files_for(facts, DRIVERS[0], APPLICATION, LAUNCHER).offers
    assert EARLIER not in offer.results

    path = root / "launchers" / LAUNCHER / "launcher.toml"
    path.write_text(path.read_text().replace("First thing in each worker.", "What each worker does first."))
    changed = load(tmp_path / "results", root)
    (line,) = problems(changed)
    key = next(key for key in changed.launched if f"/{REMEDY}/" in key)
    assert line == f'{key}: did not run as printed; nox -s "launchers({LAUNCHER})" -- --only {key} runs it'
    (offer,) = files_for(changed, DRIVERS[0], APPLICATION, LAUNCHER).offers
    assert EARLIER in offer.results


def test_what_ran_is_not_known_of_a_result_without_a_digest(tmp_path: Path) -> None:
    facts = known(tmp_path, {"none": "hang", REMEDY: "works"}, driver=DRIVERS[0])
    seen = [msgspec.structs.replace(each, program="") for each in facts.launched.values()]
    launcher_results.write(tmp_path, LAUNCHER, seen)
    facts = load(tmp_path)
    assert problems(facts) == []
    assert all(EARLIER in offer.results for offer in files_for(facts, DRIVERS[0], APPLICATION, LAUNCHER).offers)


def test_the_committed_results_that_say_what_ran_ran_what_is_printed() -> None:
    assert problems(load()) == []
