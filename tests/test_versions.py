"""Configurations: what differs from the pins, what was observed there, and since when, from results alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from matrix.__main__ import main
from matrix.catalogue.configurations import Configuration, configurations
from matrix.errors import MatrixError
from matrix.pages import compat
from matrix.pages.facts import load
from matrix.provision import environment, pins
from matrix.records import results, version_results
from matrix.records.facts import ConfigurationFacts
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.reading import ROOT
from tests.test_results import observation, over

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.outcomes import Outcome

NAMES = sorted(configurations())


# The configurations that are committed.


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_has_cells_and_pins_for_each_of_its_drivers(name: str) -> None:
    one = configurations()[name]
    pinned = {key.partition("@")[0] for key in pins.configurations() if key.endswith(f"@{name}")}
    assert {cell.driver for cell in one.cells()} == set(one.drivers) == pinned


@pytest.mark.parametrize("name", NAMES)
def test_what_a_configuration_requires_is_what_its_pins_have(name: str) -> None:
    if configurations()[name].facts.unable:
        return
    for text in configurations()[name].facts.requires:
        wanted = Requirement(text)
        for driver in configurations()[name].drivers:
            found = {pin.name: pin.version for pin in pins.configurations()[f"{driver}@{name}"].check()}
            assert wanted.specifier.contains(found[wanted.name.lower()])


def test_what_is_built_for_a_configuration_is_its_own_version_or_nothing() -> None:
    for name, one in pins.configurations().items():
        facts = configurations()[name.partition("@")[2]].facts
        replaced = {Requirement(text).name.lower() for text in facts.requires}
        if one.build and one.names[0] in replaced and not facts.unable:
            assert one.build.prebuilt is None, name


def test_no_file_is_left_over_of_a_configuration_that_is_gone() -> None:
    listed = {one.path for one in pins.files()}
    assert [path for path in (ROOT / "versions").rglob("*.txt") if path not in listed] == []
    assert {path.stem for path in (results.RESULTS / "versions").glob("*.json")} <= set(NAMES)


# What a person does wrong.


def project(folder: Path, **files: str) -> Path:
    (folder / "versions").mkdir()
    for name, text in files.items():
        (folder / "versions" / f"{name}.toml").write_text(text)
    for part in ("drivers", "matrix"):
        (folder / part).symlink_to(ROOT / part)
    for path in ROOT.glob("*/stack.toml"):
        if not (folder / path.parent.name).exists():
            (folder / path.parent.name).symlink_to(path.parent)
    return folder


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('about = "x"\n', "nothing differs from the pins"),
        ('about = "x"\nrequires = ["a"]\ndrivers = ["psycopg22"]\n', "there is no driver 'psycopg22'; did you mean"),
        ('about = "x"\nrequires = ["a"]\nstacks = ["djagno"]\n', "there is no stack 'djagno'; did you mean django?"),
        ('about = "x"\nrequires = ["a"]\nwithout = { poool = "none" }\n', "there is no capability or example 'poool'"),
        ('about = "x"\npython = "2.7"\n', "python"),
        ('about = "x"\nversion = 1\n', "version"),
    ],
)
def test_a_configuration_that_says_nothing_or_names_what_is_not_there_is_one_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(MatrixError) as caught:
        configurations(project(tmp_path, some=text))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "versions/some.toml" in str(caught.value)


def test_a_configuration_that_is_another_one_again_is_an_error(tmp_path: Path) -> None:
    text = 'about = "{}"\nrequires = ["SQLAlchemy==2.0.*"]\nstacks = ["sqlalchemy"]\n'
    root = project(tmp_path, one=text.format("x"), two=text.format("y"))
    with pytest.raises(MatrixError, match=r"two\.toml: it says the same as one"):
        configurations(root)


def test_a_configuration_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["versions", "--configuration", f"{NAMES[0]}x", "--list"]) == 2
    assert f"did you mean {NAMES[0]}" in capsys.readouterr().err
    assert environment.main(["@nothing"]) == 2
    assert "there is no configuration 'nothing'" in capsys.readouterr().err


def test_a_python_that_is_not_here_leaves_the_others_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(
        name for name in NAMES if configurations()[name].facts.python and len(configurations()[name].drivers) > 1
    )
    first, *others = sorted(key for key in pins.configurations() if key.endswith(f"@{name}"))

    def make(key: str, **_: Any) -> str:
        if key == first:
            raise MatrixError("there is no Python 3.99 here")
        return "/some/python"

    monkeypatch.setattr(environment, "environment", make)
    assert environment.main([f"@{name}"]) == 2
    printed = capsys.readouterr()
    expected = {first: {"missing": "there is no Python 3.99 here"}} | dict.fromkeys(others, "/some/python")
    assert json.loads(printed.out) == expected
    assert printed.err == "there is no Python 3.99 here\n"


def test_cells_without_a_capability_or_an_example_are_left_out() -> None:
    whole = Configuration("x", ConfigurationFacts(about="x", python="3.12"))
    example = whole.cells()[0].example
    less = Configuration("x", ConfigurationFacts(about="x", python="3.12", without={example: "y", "pool": "z"}))
    gone = set(whole.cells()) - set(less.cells())
    assert {cell.example for cell in gone} > {example}
    assert example not in {cell.example for cell in less.cells()}


# What was observed.


def seen_in(cell: Coordinates, version: str, **seen: int) -> Observation:
    counts: dict[Outcome, int] = {name.replace("_", " "): count for name, count in seen.items()}  # type: ignore[misc]
    return Observation(
        cell=cell,
        outcome=next(iter(counts)),
        seen=counts,
        parent=View(name="parent", session="same"),
        server=ServerView(),
        versions={"driver": f"some {version} (c)"},
    )


CELL = Coordinates("bare", "closed_in_child", "some", "postgresql", "tcp")
TLS = Coordinates("bare", "closed_in_child", "some", "postgresql", "tls")


def record(folder: Path, configuration: str, *observations: Observation, **options: Any) -> None:
    options = {"missing": {}} | options
    version_results.write(folder, configuration, observations, drivers=["some"], **options)


def test_what_was_observed_in_a_configuration_is_read_and_stays_the_same_bytes(tmp_path: Path) -> None:
    record(tmp_path, "some-1", seen_in(CELL, "1.0", works=1), seen_in(TLS, "1.0", works=1))
    path = tmp_path / "versions" / "some-1.json"
    text = path.read_text()
    assert '"bare/closed_in_child/some/postgresql/tcp,tls":{"works":1}' in text
    record(tmp_path, "some-1", seen_in(CELL, "1.0", works=1))
    assert path.read_text() == text
    assert version_results.read(tmp_path, "some-1").observed() == {CELL: {"works": 1}, TLS: {"works": 1}}
    record(tmp_path, "some-1", seen_in(CELL, "1.0", hang=1))
    assert version_results.read(tmp_path, "some-1").observed() == {CELL: {"hang": 1}, TLS: {"works": 1}}


def test_what_was_observed_with_another_version_goes(tmp_path: Path) -> None:
    record(tmp_path, "some-1", seen_in(CELL, "1.0", works=1), seen_in(TLS, "1.0", works=1))
    record(tmp_path, "some-1", seen_in(CELL, "1.1", works=1))
    assert version_results.read(tmp_path, "some-1").observed() == {CELL: {"works": 1}}


def test_a_driver_that_cannot_be_installed_is_recorded_until_it_can(tmp_path: Path) -> None:
    record(tmp_path, "some-1", missing={"some": "withdrawn"})
    assert version_results.read(tmp_path, "some-1").missing == {"some": "withdrawn"}
    record(tmp_path, "some-1", seen_in(CELL, "1.0", works=1))
    assert version_results.read(tmp_path, "some-1").missing == {}


# Since when.


def ranges(tmp_path: Path, **seen: dict[str, int]) -> list[str]:
    """Return the ranges of a cell that was seen in these versions; `now` is the pins'."""
    now = seen_in(CELL, "3.0", **seen.pop("now"))
    for version, counts in seen.items():
        record(tmp_path, f"some-{version}", seen_in(CELL, version.removeprefix("v").replace("_", "."), **counts))
    found = compat.compute({CELL: (now.versions, tuple(now.seen))}, tmp_path)
    return [str(each) for one in found.findings for each in one.ranges]


def test_versions_that_did_the_same_are_one_range(tmp_path: Path) -> None:
    found = ranges(tmp_path, v2_10={"works": 1}, v2_9={"hang": 1}, v1_0={"hang": 1}, now={"works": 1})
    assert found == ["hang in 1.0 to 2.9", "works in 2.10 to 3.0"]


def test_a_race_that_was_seen_once_is_no_change(tmp_path: Path) -> None:
    assert ranges(tmp_path, v1_0={"works": 1}, now={"hang": 2, "works": 3}) == ["hang or works in 1.0 to 3.0"]


def test_a_cell_that_only_the_pins_have_says_nothing_about_since_when(tmp_path: Path) -> None:
    assert ranges(tmp_path, now={"works": 1}) == []


def test_the_committed_record_is_what_the_results_say() -> None:
    facts = load()
    committed = msgspec.json.decode((ROOT / compat.PAGE).read_bytes(), type=compat.Record)
    assert committed == compat.record(facts)
    for one in committed.findings:
        bounds = [Version(bound) for each in one.ranges for bound in (each.first, each.last)]
        assert bounds == sorted(bounds)
        for transport in one.transports:
            seen = facts.observed[f"{one.stack}/{one.example}/{one.driver}/{one.server}/{transport}"]
            assert any(set(seen.seen) <= set(each.outcomes) for each in one.ranges)


# Counts.


def test_runs_are_added_to_those_of_the_same_versions(tmp_path: Path) -> None:
    results.write(tmp_path, "some", [over("tcp"), over("tls")])
    more = [over("tcp", seen={"child error": 19}), over("tls", seen={"works": 5}, outcome="works")]
    results.write(tmp_path, "some", more, add_counts=True)
    found = results.read(tmp_path / "some.json")
    assert {each.cell.transport: (each.outcome, each.seen) for each in found.values()} == {
        "tcp": ("child error", {"child error": 20}),
        "tls": ("child error", {"child error": 1, "works": 5}),
    }


def test_a_cell_with_other_versions_is_counted_from_the_start(tmp_path: Path) -> None:
    results.write(tmp_path, "some", [observation(seen={"child error": 50})])
    results.write(tmp_path, "some", [observation(versions={"driver": "some 2"})], add_counts=True)
    (found,) = results.read(tmp_path / "some.json").values()
    assert (found.seen, found.versions) == ({"child error": 1}, {"driver": "some 2"})


def test_an_outcome_that_is_worse_is_the_one_that_is_shown(tmp_path: Path) -> None:
    results.write(tmp_path, "some", [observation()])
    results.write(tmp_path, "some", [observation(outcome="hang", seen={"hang": 1}, note="worse")], add_counts=True)
    (found,) = results.read(tmp_path / "some.json").values()
    assert (found.outcome, found.seen, found.note) == ("hang", {"child error": 1, "hang": 1}, "worse")


def test_a_folder_is_merged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(tmp_path / "more", "psycopg", [observation(Coordinates("bare", "a", "psycopg", "postgresql", "tcp"))])
    command = ["merge", "--output", str(tmp_path / "into"), str(tmp_path / "more")]
    (tmp_path / "into").mkdir()
    main(command)
    assert "1 runs added" in capsys.readouterr().out
    assert main(command) == 2
    assert "its runs were added before" in capsys.readouterr().err
    (found,) = results.read(tmp_path / "into" / "psycopg.json").values()
    assert found.seen == {"child error": 1}
