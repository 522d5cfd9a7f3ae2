"""What is pasted: each remedy of an application under a launcher is a whole program, or there is a line why not."""

from __future__ import annotations

import ast
import builtins
import re
import shutil
import symtable
from pathlib import Path

import pytest

from matrix.catalogue import drivers, stacks
from matrix.catalogue.assemble import NONE, assemble, offered
from matrix.catalogue.driver_slots import with_driver
from matrix.catalogue.launcher_claims import launcher_cells, launcher_claims
from matrix.catalogue.launchers import applications, launchers, works_with
from matrix.catalogue.remedies import remedies
from matrix.errors import MatrixError
from matrix.records import launcher_results
from matrix.records.launchers import LauncherCell
from matrix.records.reading import ROOT
from matrix.records.results import RESULTS

UNDER = [(name, launcher.name) for launcher in launchers().values() for name in launcher.facts.applications]
#: What a module has without saying so.
GIVEN = {*vars(builtins), "__name__", "__file__"}


def undefined(text: str) -> set[str]:
    """Return the names that a module uses and that neither it nor Python defines."""
    top = symtable.symtable(text, "module", "exec")
    known = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}

    def missing(table: symtable.SymbolTable) -> set[str]:
        found = set().union(*(missing(child) for child in table.get_children()))
        for symbol in table.get_symbols():
            if symbol.is_global() or (table is top and not symbol.is_assigned() and not symbol.is_imported()):
                found.add(symbol.get_name())
        return found

    return missing(top) - known - GIVEN


def names_of(text: str) -> set[str]:
    """Return the names that others can import from a module."""
    return {
        symbol.get_name()
        for symbol in symtable.symtable(text, "module", "exec").get_symbols()
        if symbol.is_assigned() or symbol.is_imported()
    }


def imported(text: str) -> set[str]:
    """Return the top-level packages that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def check(program: dict[str, str]) -> None:
    """Check that all files compile, use no name that is not there, and import from each other what they define.

    Nothing may be imported from this repository.
    """
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for file, text in program.items():
        if not file.endswith(".py"):
            continue
        compile(text, file, "exec")
        assert undefined(text) == set(), file
        assert text == "" or text.endswith("\n")
        assert "{code}" not in text
        assert "noqa" not in text
        assert not imported(text) & ours
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = node.module.replace(".", "/") + ".py"
                if module in program:
                    assert {alias.name for alias in node.names} - {"*"} <= names_of(program[module]), file


@pytest.mark.parametrize(("application", "launcher"), UNDER)
def test_each_remedy_is_a_whole_program(application: str, launcher: str) -> None:
    facts = applications()[application].facts
    for remedy in offered(application, launcher):
        known = remedies().get((facts.stack, remedy))
        for driver in drivers().values():
            if works_with(applications()[application], driver) and driver.facts.runs(
                facts.stack, known.needs if known else ()
            ):
                advice = assemble(application, launcher, remedy, driver.name)
                check(advice.program)
                assert advice.title
                assert (advice.files == {}) == (remedy == NONE), "a remedy changes a file"
                assert all(advice.base.get(name) != text for name, text in advice.files.items())
                assert "harness" not in "".join(advice.files.values())


@pytest.mark.parametrize(("application", "launcher"), UNDER)
def test_a_remedy_is_offered_only_if_each_of_its_points_has_a_place(application: str, launcher: str) -> None:
    places = launchers()[launcher].facts.points.keys() | applications()[application].facts.points.keys()
    stack = applications()[application].facts.stack
    there = set(offered(application, launcher))
    driver = next(one.name for one in drivers().values() if works_with(applications()[application], one))
    for (known, name), remedy in remedies().items():
        instead = {*launchers()[launcher].facts.instead, *applications()[application].facts.instead}
        if known == stack and not remedy.points.keys() <= places and name not in instead:
            assert name not in there
            with pytest.raises(MatrixError, match=f"^{name} cannot be put in place under {launcher}: "):
                assemble(application, launcher, name, driver)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the drivers, stacks, launchers and applications of this one, to change."""
    for path in [*{ROOT / stack.folder for stack in stacks().values()}, ROOT / "launchers"]:
        shutil.copytree(path, tmp_path / path.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def some(root: Path) -> tuple[str, str, str, str]:
    """Return an application, a launcher with a place for what runs first in the child, a remedy there, and a driver."""
    return next(
        (name, launcher.name, remedy.name, driver.name)
        for launcher in launchers(root).values()
        for name in launcher.facts.applications
        for remedy in remedies(root).values()
        for driver in drivers(root).values()
        if "child" in launcher.facts.points
        and {"child"} == remedy.points.keys()
        and remedy.name in offered(name, launcher.name, root)
        and remedy.stack == applications(root)[name].facts.stack
        and works_with(applications(root)[name], driver)
        and driver.facts.runs(remedy.stack, remedy.needs)
    )


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_unknown_remedy_is_one_line(repository: Path) -> None:
    application, launcher, _, driver = some(repository)
    with pytest.raises(MatrixError, match=rf"^there is no remedy 'prayer' for {application} under {launcher}$"):
        assemble(application, launcher, "prayer", driver, repository)


def test_a_name_that_the_application_does_not_have_is_one_line(repository: Path) -> None:
    application, launcher, name, driver = some(ROOT)
    remedy = remedies()[applications()[application].facts.stack, name]
    statement = remedy.points["child"][0]
    path = repository / remedy.path.relative_to(ROOT)
    change(path, f"child: {statement}", "child: mend(thing_of_mine)")
    change(path, "# The pattern.\n", "# The pattern.\n\n\ndef mend(one):\n    return one\n\n")
    with pytest.raises(MatrixError) as caught:
        assemble(application, launcher, name, driver, repository)
    assert "thing_of_mine" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_point_that_is_not_known_is_one_line(repository: Path) -> None:
    application, _, name, _ = some(ROOT)
    remedy = remedies()[applications()[application].facts.stack, name]
    change(repository / remedy.path.relative_to(ROOT), "    child: ", "    cradle: ")
    with pytest.raises(
        MatrixError, match="there is no point 'cradle'; there are start, connect, before, child, parent"
    ):
        remedies(repository)


@pytest.mark.parametrize("times", [0, 2])
def test_what_an_edit_replaces_has_to_be_there_once(repository: Path, times: int) -> None:
    application, launcher, name, driver = some(repository)
    folder = repository / "launchers" / launcher
    (folder / "started.txt.py").write_text("# here\n" * times)
    with (folder / "launcher.toml").open("a") as file:
        file.write('\n[[points.child]]\nfile = "started.txt.py"\nreplace = "# here"\ncode = "# there"\n')
    launchers.cache_clear()  # it was read before it was changed
    with pytest.raises(MatrixError) as caught:
        assemble(application, launcher, name, driver, repository)
    assert str(caught.value) == f"started.txt.py has the text '# here' {times} times, not once"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("order = ", "ordre = ", "ordre"),
        ("title = ", "title = 1 #", "Expected `str`"),
        ("applications = [", 'applications = ["no_such_one", ', "there is no application 'no_such_one'"),
        ("title = ", "title = = ", "Invalid value"),
    ],
)
def test_bad_facts_of_a_launcher_are_one_line(repository: Path, old: str, new: str, problem: str) -> None:
    name = next(iter(launchers()))
    change(repository / "launchers" / name / "launcher.toml", old, new)
    with pytest.raises(MatrixError, match=problem) as caught:
        launchers(repository)
    assert f"launchers/{name}/launcher.toml: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_application_of_a_stack_that_is_not_there_is_one_line(repository: Path) -> None:
    path = next(iter(sorted(repository.glob("launchers/applications/*/application.toml"))))
    change(path, "stack = ", 'stack = "cobol" # ')
    with pytest.raises(MatrixError, match="there is no stack 'cobol'; there are "):
        applications(repository)


def test_a_launcher_like_another_has_its_facts_and_files_where_it_has_none_of_its_own(repository: Path) -> None:
    name = next(iter(launchers()))
    folder = repository / "launchers" / "another"
    folder.mkdir()
    (folder / "launcher.toml").write_text(f'like = "{name}"\ntitle = "Another"\ninstead = false\n')
    (folder / "extra.py").write_text("")
    one, other = launchers(repository)[name], launchers(repository)["another"]
    assert other.facts.title == "Another"
    assert other.facts.instead == {}
    assert other.facts.serving == one.facts.serving
    assert other.files == {**one.files, "extra.py": ""}


@pytest.mark.parametrize("driver", drivers())
def test_what_a_driver_puts_into_a_file_leaves_no_place_behind(driver: str) -> None:
    for application in applications().values():
        if works_with(application, drivers()[driver]):
            for text in with_driver(dict(application.files), application.facts.stack, driver, ROOT).values():
                assert not re.search(r"# ?\{\w+\}|\"\{\w+\}\"", text)
                assert undefined(text) == set()


# The claims.


@pytest.mark.parametrize("name", list(launchers()))
def test_each_claim_is_of_a_cell_and_says_why(name: str) -> None:
    claims = launcher_claims(name)
    assert all(claim.because.endswith(".") for claim in claims.values())
    assert all(claim.outcomes for claim in claims.values())


def test_each_committed_result_is_as_claimed() -> None:
    known = {cell.id: claim for name in launchers() for cell, claim in launcher_claims(name).items()}
    for key, seen in launcher_results.read(RESULTS).items():
        assert key in known, key
        assert set(seen.seen) <= set(known[key].outcomes), key
        assert seen.versions, key


def test_the_committed_results_are_of_cells_that_exist() -> None:
    cells: set[LauncherCell] = set(launcher_cells())
    assert {seen.cell for seen in launcher_results.read(RESULTS).values()} <= cells
