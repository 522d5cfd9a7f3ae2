"""Reproductions show what they say, on real servers, and stand alone."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from matrix import catalogue
from matrix.catalogue.claims import reasons
from matrix.catalogue.reproductions import FOLDER, Script, reproductions
from matrix.errors import MatrixError
from matrix.records import reproductions as records
from matrix.records.reading import ROOT
from matrix.records.reproductions import DEFECT, FIXED, Reproduced
from matrix.records.results import RESULTS
from matrix.run.reproductions import reproduce

SCRIPTS = [pytest.param(script, id=name) for name, script in reproductions().items()]


@pytest.fixture(scope="module")
def ran() -> dict[str, Reproduced | str]:
    """What every script does here."""
    return reproduce(list(reproductions().values()), {})


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_exits_1_today_and_0_without_its_defect(script: Script, ran: dict[str, Reproduced | str]) -> None:
    found = ran[script.name]
    assert isinstance(found, Reproduced), found
    assert (found.status, found.control_status) == (DEFECT, FIXED), f"{found.output}\n{found.control_output}"
    assert found.output
    assert "Traceback" not in found.output


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_bug_report_quotes_what_the_script_printed_with_the_versions_of_today(
    script: Script, ran: dict[str, Reproduced | str]
) -> None:
    kept, found = records.read(RESULTS, script.name), ran[script.name]
    assert kept, f"nox -s reproductions -- --only {script.name} --update"
    assert isinstance(found, Reproduced), found
    assert kept.output.split(":")[0] == found.output.split(":")[0]
    assert {name: kept.versions.get(name) for name in script.facts.versions} == {
        name: found.versions[name] for name in script.facts.versions
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_the_standard_library_and_what_its_report_names(script: Script) -> None:
    driver = catalogue.drivers()[script.facts.driver].facts
    named = {name.lower().replace("-", "_") for name in script.facts.versions} | {driver.module}
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(script.code))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {name.lower() for name in imported - sys.stdlib_module_names} <= {name.lower() for name in named}


def test_every_script_has_its_facts() -> None:
    assert {path.stem for path in (ROOT / FOLDER).glob("*.py")} == set(reproductions())


def test_every_reason_that_a_driver_or_an_orm_could_fix_has_a_script() -> None:
    fixable = {name for name, reason in reasons().items() if reason.fix_in not in ("you", "nothing")}
    assert fixable - {reason for script in reproductions().values() for reason in script.facts.reasons} == set()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without reproductions."""
    for path in ROOT.iterdir():
        if path.is_dir() and path.name != FOLDER and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / FOLDER).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('driver = "', 'driver = "no', "there is no driver"),
        ("reasons = [", 'reasons = ["no-such-reason", ', "there is no 'no-such-reason'"),
        ("replace = ", 'replace = "not there"\n# ', "is in the script 0 times"),
        ("fix = ", "# ", "missing required field"),
    ],
)
def test_facts_that_do_not_fit_are_named(checkout: Path, old: str, new: str, problem: str) -> None:
    scripts = reproductions().values()
    script = next(one for one in scripts if 'replace = "' in one.path.with_suffix(".toml").read_text("utf-8"))
    shutil.copy(script.path, checkout / FOLDER)
    text = script.path.with_suffix(".toml").read_text("utf-8")
    assert old in text
    (checkout / FOLDER / f"{script.name}.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(MatrixError, match=problem):
        reproductions(checkout)


def test_a_script_with_too_many_lines_is_named(checkout: Path) -> None:
    script = next(iter(reproductions().values()))
    (checkout / FOLDER / script.path.name).write_text(script.code + "\n" * records.MOST_LINES)
    shutil.copy(script.path.with_suffix(".toml"), checkout / FOLDER)
    with pytest.raises(MatrixError, match="lines, and may have"):
        reproductions(checkout)
