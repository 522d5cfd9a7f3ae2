"""A cell is filed under what really ran: each field that is not what the cell's name says makes it broken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from matrix.catalogue import Driver, Stack
from matrix.errors import MatrixError
from matrix.records.facts import DriverFacts, StackFacts
from matrix.records.steps import Identity
from matrix.run.environment import Environment, environment, normalised
from matrix.run.identity import mismatch, versions
from matrix.servers import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTS = {
    "requires": ["made-up~=1.0"],
    "distributions": ["Made_Up", "made-up-binary"],
    "module": "made_up",
    "implementation": "c",
    "protocol": "made-up",
    "servers": ["made-up"],
    "schemes": ["made-up"],
    "descriptor": "none",
    "code": "code",
    "urls": {"tcp": "made-up://", "tls": "made-up://", "unix": "made-up://"},
    "stacks": {"bare": {}, "orm": {}},
    "page": {"about": "made up", "descriptor": "none"},
}
DRIVER = Driver("made-up", msgspec.convert(FACTS, DriverFacts))
BARE = Stack("bare_examples", StackFacts(name="bare", title="no ORM", order=1))
ORM = Stack("orm_examples", StackFacts(name="orm", title="the ORM", order=2, distribution="The.ORM"))
ENVIRONMENT = Environment(
    python="3.11.7", openssl="3.0", packages="/packages", installed={"made-up": "1.2", "the-orm": "5.0"}
)
SERVER = Server(
    name="made-up",
    product="made-up",
    protocol="made-up",
    version="15.1",
    series="15",
    origin="machine",
    user="user",
    password="password",
    host="127.0.0.1",
    port=1,
    socket=None,
    ca=None,
    log=None,
)
USED = Identity(
    pid=1,
    module="made_up",
    distribution="made-up",
    version="1.2",
    implementation="c",
    library="libmade 3",
    server="15.1 (Debian)",
    stack="bare",
)


def used(**fields: str) -> list[Identity]:
    return [msgspec.structs.replace(USED, **fields)]


def test_what_the_cell_is_about_is_no_mismatch() -> None:
    assert mismatch([USED, USED], DRIVER, BARE, SERVER, ENVIRONMENT) is None
    assert mismatch(used(stack="the-orm 5.0"), DRIVER, ORM, SERVER, ENVIRONMENT) is None


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("module", {"module": "another"}),
        ("distribution", {"distribution": "another"}),
        ("version", {"version": "1.3"}),
        ("implementation", {"implementation": "python"}),
        ("server", {"server": "18.1"}),
        ("server", {"server": "15.10"}),
        ("stack", {"stack": "the-orm 5.0"}),
    ],
)
def test_a_field_that_differs_is_named(field: str, fields: Mapping[str, str]) -> None:
    why = mismatch(used(**fields), DRIVER, BARE, SERVER, ENVIRONMENT)
    assert why is not None
    assert why.startswith(f"{field}: the example used ")
    assert "\n" not in why


def test_another_version_of_the_orm_is_a_mismatch() -> None:
    why = mismatch(used(stack="the-orm 4.0"), DRIVER, ORM, SERVER, ENVIRONMENT)
    assert why is not None
    assert why.startswith("stack's version: the example used 4.0")


def test_one_process_that_used_something_else_is_enough() -> None:
    assert mismatch([USED, *used(module="another")], DRIVER, BARE, SERVER, ENVIRONMENT)


def test_an_example_that_reports_nothing_is_a_mismatch() -> None:
    assert mismatch([], DRIVER, BARE, SERVER, ENVIRONMENT) == "the example did not report which driver it used"


def test_versions_are_those_that_were_reported() -> None:
    found = versions(used(stack="The.ORM 5.0")[0], SERVER, ENVIRONMENT)
    assert found["driver"] == "made-up 1.2 (c)"
    assert found["client library"] == "libmade 3"
    assert found["server"] == "made-up 15.1"
    assert found["orm"] == "The.ORM 5.0"


def test_an_environment_is_what_its_interpreter_says() -> None:
    here = environment(Path(sys.executable))
    assert here.python == ".".join(map(str, sys.version_info[:3]))
    assert here.installed["msgspec"] == msgspec.__version__
    assert not here.has(DRIVER)


def test_an_environment_without_a_python_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "python", Path("/bin/true")):
        with pytest.raises(MatrixError, match="not a Python that runs"):
            environment(path)


@pytest.mark.parametrize("name", ["Made_Up", "made.up", "MADE-UP"])
def test_distributions_are_compared_as_the_index_does(name: str) -> None:
    assert normalised(name) == "made-up"


def test_variables_that_a_driver_needs_name_the_folder_that_it_is_installed_into(tmp_path: Path) -> None:
    here = msgspec.structs.replace(ENVIRONMENT, packages=str(tmp_path))
    needs = Driver("made-up", msgspec.convert({**FACTS, "environ": {"LIBRARIES": "{packages}/made_up"}}, DriverFacts))
    assert here.environ(needs) == {}  # another build has them elsewhere
    (tmp_path / "made_up").mkdir()
    assert here.environ(needs) == {"LIBRARIES": f"{tmp_path}/made_up"}
    assert ENVIRONMENT.environ(DRIVER) == {}
