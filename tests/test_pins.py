"""The pins: what is required is pinned, with hashes, and `nox -s lock` changes nothing that need not change."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from matrix.errors import MatrixError
from matrix.provision import pins
from tests.packages import wheel_of

HASH = "    --hash=sha256:" + "0" * 64
GOOD = f"some-driver==1.0 \\\n{HASH}\nsome-orm==2.5 ; sys_platform == 'linux' \\\n{HASH} \\\n{HASH}\n"


# What is committed.


@pytest.mark.parametrize("one", pins.files(), ids=str)
def test_the_pins_satisfy_the_ranges(one: pins.Pins) -> None:
    assert one.check()


@pytest.mark.parametrize("one", pins.files(), ids=str)
def test_no_address_is_in_a_file_of_pins(one: pins.Pins) -> None:
    header, *lines = one.path.read_text(encoding="utf-8").splitlines()
    assert header.startswith("# Written by `nox -s lock`")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    pinned = re.compile(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==[\w.]+( ; .+)? \\")
    assert [line for line in lines if not hashed.fullmatch(line) and not pinned.fullmatch(line)] == []


def test_no_file_of_pins_is_left_over() -> None:
    patterns = ("requirements/*", "drivers/*/requirements*.txt", "launchers/*/requirements*.txt", "versions/*/*.txt")
    found = {path for pattern in patterns for path in pins.ROOT.glob(pattern)}
    assert found == {one.path for one in pins.files()}


def test_the_noxfiles_header_asks_for_what_is_pinned() -> None:
    text = (pins.ROOT / "noxfile.py").read_text(encoding="utf-8")
    header = re.search(r"(?<=# /// script\n)(#.*\n)+?(?=# ///\n)", text)
    assert header is not None
    script = tomllib.loads(header[0].replace("# ", ""))
    assert tuple(script["dependencies"]) == pins.environments()["nox"].requires
    versions = {pin.name: pin.version for pin in pins.environments()["nox"].read()}
    assert all(
        Requirement(text).specifier.contains(versions[Requirement(text).name]) for text in script["dependencies"]
    )


@pytest.mark.parametrize("place", ["README.md", ".github/workflows/*.yml", ".ci/run"])
def test_whatever_installs_demands_hashes(place: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in pins.ROOT.glob(place)]
    assert texts
    installing = [line for text in texts for line in text.splitlines() if "pip install" in line]
    assert [line for line in installing if "--require-hashes -r requirements/nox.txt" not in line] == []


# What a person does wrong.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository with a driver, a stack and the pins of the driver's environment."""
    (tmp_path / "drivers" / "some").mkdir(parents=True)
    (tmp_path / "drivers" / "some" / "driver.toml").write_text('requires = ["some-driver~=1.0"]\n[stacks.orm]\n')
    (tmp_path / "drivers" / "some" / "requirements.txt").write_text(GOOD)
    (tmp_path / "orm").mkdir()
    (tmp_path / "orm" / "stack.toml").write_text('name = "orm"\nrequires = ["Some.ORM~=2.1"]\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.11"\n')
    return tmp_path


def test_good_pins_are_read_with_their_hashes(project: Path) -> None:
    driver, orm = pins.environments(project)["some"].check()
    assert (driver.name, driver.version, driver.line, len(driver.hashes)) == ("some-driver", "1.0", 1, 1)
    assert (orm.name, orm.version, orm.line, len(orm.hashes)) == ("some-orm", "2.5", 3, 2)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (f" \\\n{HASH}", "", "line 1: some-driver has no hash: `nox -s lock` writes them"),
        ("==1.0", "~=1.0", "line 1: some-driver is not pinned to one version: `nox -s lock` pins it"),
        ("==2.5", "==2.*", "line 3: some-orm is not pinned to one version: `nox -s lock` pins it"),
        ("some-driver==1.0", "--index-url=x", "line 1: '--index-url=x' is not a pin: `nox -s lock` writes them"),
        ("some-driver==1.0", "-e .", "line 1: '-e .' is not a pin: `nox -s lock` writes them"),
        (
            "==2.5",
            "==3.0",
            "line 3: some-orm 3.0 is outside the range in drivers/some/driver.toml (~=2.1): run `nox -s lock`",
        ),
        ("some-orm", "other", " has no pin of Some.ORM, which drivers/some/driver.toml requires: run `nox -s lock`"),
    ],
)
def test_a_bad_pin_is_one_line(project: Path, old: str, new: str, problem: str) -> None:
    path = project / "drivers" / "some" / "requirements.txt"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(MatrixError) as caught:
        pins.environments(project)["some"].check()
    assert str(caught.value).removeprefix("drivers/some/requirements.txt").removeprefix(", ") == problem


def test_missing_pins_are_one_line(project: Path) -> None:
    (project / "drivers" / "some" / "requirements.txt").unlink()
    with pytest.raises(MatrixError) as caught:
        pins.environments(project)["some"].check()
    assert str(caught.value) == (
        "drivers/some/requirements.txt cannot be read (No such file or directory): `nox -s lock` writes it"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('module = "some"', "drivers/some/driver.toml: `requires` is missing"),
        ('requires = ["some driver"]', "drivers/some/driver.toml: `requires`: "),
        ("requires = some", "drivers/some/driver.toml: "),
    ],
)
def test_a_bad_requirement_is_one_line(project: Path, text: str, problem: str) -> None:
    (project / "drivers" / "some" / "driver.toml").write_text(text + "\n")
    with pytest.raises(MatrixError) as caught:
        pins.environments(project)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_an_environment_has_the_orms_of_the_stacks_that_the_driver_serves(project: Path) -> None:
    (project / "drivers" / "some" / "driver.toml").write_text('requires = ["some-driver"]\n[stacks.bare]\n')
    assert pins.environments(project)["some"].requires == ("some-driver",)


def test_a_driver_may_not_have_the_name_of_a_group(project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write('[dependency-groups]\nsome = ["x"]\n')
    with pytest.raises(MatrixError, match="`some` is a dependency group"):
        pins.environments(project)


def test_groups_may_include_groups(project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write('[dependency-groups]\na = ["x", { include-group = "b" }]\nb = ["y"]\n')
    assert pins.environments(project)["a"].requires == ("x", "y")


# Locking, with uv's own compiler and a folder of wheels for an index.


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    wheel_of(folder, "some-driver", {}, version="1.0")
    wheel_of(folder, "some-orm", {}, version="2.5", requires=["shared"])
    wheel_of(folder, "shared", {}, version="7.0")
    wheel_of(folder, "shared", {}, version="7.1")
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


def versions(one: pins.Pins) -> dict[str, str]:
    return {pin.name: pin.version for pin in one.check()}


def test_locking_pins_what_is_required_and_what_that_requires(project: Path, index: Path) -> None:
    path = project / "drivers" / "some" / "requirements.txt"
    path.unlink()
    assert pins.lock(project) == [path]
    assert versions(pins.environments(project)["some"]) == {"some-driver": "1.0", "some-orm": "2.5", "shared": "7.1"}
    assert str(index) not in path.read_text()
    assert sum(line.lstrip().startswith("--hash") for line in path.read_text().splitlines()) == 3


def test_locking_again_touches_nothing_even_if_there_is_a_newer_version(project: Path, index: Path) -> None:
    pins.lock(project)
    path = project / "drivers" / "some" / "requirements.txt"
    before = path.stat()
    wheel_of(index, "some-driver", {}, version="1.1")
    assert pins.lock(project) == []
    assert path.stat() == before
    assert pins.lock(project, upgrade=True) == [path]
    assert versions(pins.environments(project)["some"])["some-driver"] == "1.1"


def test_a_new_driver_gets_the_versions_that_the_others_have_and_changes_no_other_file(
    project: Path, index: Path
) -> None:
    pins.lock(project)
    wheel_of(index, "shared", {}, version="7.2")
    wheel_of(index, "some-orm", {}, version="2.6", requires=["shared"])
    wheel_of(index, "other-driver", {}, version="3.0", requires=["shared"])
    (project / "drivers" / "other").mkdir()
    (project / "drivers" / "other" / "driver.toml").write_text('requires = ["other-driver"]\n[stacks.orm]\n')
    assert pins.lock(project) == [project / "drivers" / "other" / "requirements.txt"]
    assert versions(pins.environments(project)["other"]) == {"other-driver": "3.0", "some-orm": "2.5", "shared": "7.1"}


def test_the_stacks_ranges_hold_in_every_environment(project: Path, index: Path) -> None:
    wheel_of(index, "some-orm", {}, version="3.0")
    with (project / "pyproject.toml").open("a") as file:
        file.write('[dependency-groups]\ntypes = ["some-orm"]\n')
    pins.lock(project)
    assert versions(pins.environments(project)["types"])["some-orm"] == "2.5"


def test_what_cannot_be_pinned_is_one_line_and_no_file_changes(project: Path, index: Path) -> None:
    (project / "drivers" / "some" / "driver.toml").write_text('requires = ["some-driver~=4.0"]\n[stacks.orm]\n')
    with pytest.raises(MatrixError) as caught:
        pins.lock(project)
    assert str(caught.value).startswith("drivers/some/requirements.txt cannot be written: ")
    assert "some-driver" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (project / "drivers" / "some" / "requirements.txt").read_text() == GOOD


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}),
        ({"UV_SYSTEM_CERTS": "0"}, {"UV_SYSTEM_CERTS": "0", "UV_PYTHON_DOWNLOADS": "never"}),
        ({"UV_NATIVE_TLS": "0"}, {"UV_NATIVE_TLS": "0", "UV_PYTHON_DOWNLOADS": "never"}),
    ],
)
def test_uv_trusts_the_systems_certificates_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: dict[str, str]
) -> None:
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pins, "_uv", lambda: str(program))
    done: subprocess.CompletedProcess[str] = pins.uv()
    assert {name: value for name, _, value in (line.partition("=") for line in done.stdout.splitlines())
            if name.startswith("UV_")} == expected  # fmt: skip


@pytest.fixture
def launcher(project: Path, index: Path) -> Path:
    """Return the pins, not written yet, of a launcher and of an application that runs under it."""
    wheel_of(index, "some-launcher", {}, version="1.0", requires=["shared"])
    wheel_of(index, "some-web", {}, version="1.0")
    (project / "launchers" / "applications" / "site").mkdir(parents=True)
    (project / "launchers" / "applications" / "site" / "application.toml").write_text('requires = ["some-web"]\n')
    (project / "launchers" / "starter").mkdir()
    facts = 'requires = ["some-launcher"]\napplications = ["site"]\n'
    (project / "launchers" / "starter" / "launcher.toml").write_text(facts)
    return project / "launchers" / "starter" / "requirements.txt"


def test_a_launchers_pins_hold_what_its_applications_require_and_the_versions_of_the_drivers(
    project: Path, index: Path, launcher: Path
) -> None:
    pins.lock(project)
    wheel_of(index, "shared", {}, version="7.2")
    launcher.unlink()
    assert pins.lock(project) == [launcher]
    assert versions(pins.launchers(project)["starter"]) == {"some-launcher": "1.0", "some-web": "1.0", "shared": "7.1"}
    pins.lock(project, upgrade=True)
    assert versions(pins.launchers(project)["starter"])["shared"] == "7.2"


def test_a_launcher_like_another_has_its_requirements_and_one_without_any_has_no_pins(
    project: Path, index: Path, launcher: Path
) -> None:
    for name, facts in {"quick": 'like = "starter"\n', "plain": ""}.items():
        (project / "launchers" / name).mkdir()
        (project / "launchers" / name / "launcher.toml").write_text(facts)
    assert pins.launchers(project)["quick"].requires == pins.launchers(project)["starter"].requires
    assert "plain" not in pins.launchers(project)


def test_a_launchers_pin_that_differs_from_a_drivers_is_one_line(project: Path, index: Path, launcher: Path) -> None:
    pins.lock(project)
    launcher.write_text(launcher.read_text().replace("shared==7.1", "shared==7.0"))
    with pytest.raises(MatrixError) as caught:
        pins.launchers(project)["starter"].check()
    assert re.fullmatch(
        r"launchers/starter/requirements.txt, line \d+: shared 7.0 is not what drivers/some/requirements.txt pins"
        r" \(7.1\): run `nox -s lock`",
        str(caught.value),
    )
