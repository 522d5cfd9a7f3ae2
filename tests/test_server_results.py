"""Results on other servers than the default ones: what is written, and what pages say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from matrix.errors import MatrixError
from matrix.records import server_results
from matrix.records.facts import TRANSPORTS
from tests.reports import observation

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.observation import Observation

CELL = "bare/closed_in_child/pymysql/mysql/{}"


def every_transport(**changes: object) -> list[Observation]:
    return [replace(observation(CELL.format(transport), "works"), **changes) for transport in TRANSPORTS]


def lines(folder: Path) -> list[str]:
    return [line for line in (folder / "servers/mysql.json").read_text().splitlines() if "closed_in_child" in line]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tcp, tls, unix = every_transport(seen={"works": 2})
    odd = replace(tls, seen={"works": 1, "hang": 1})
    server_results.write(tmp_path, "mysql", [tcp, odd, unix])
    (found,) = server_results.read(tmp_path).values()
    assert {key: each.seen for key, each in found.cells.items()} == {each.id: each.seen for each in (tcp, odd, unix)}
    assert found.cells[odd.id].outcome == "hang"
    assert found.versions["pymysql"]["server"] == "mysql 10.11"


def test_transports_that_did_the_same_share_a_place(tmp_path: Path) -> None:
    server_results.write(tmp_path, "mysql", every_transport())
    assert lines(tmp_path) == ['"bare/closed_in_child/pymysql":{"tcp tls unix":{"works":1}}']


def test_a_run_that_shows_the_same_again_changes_no_byte(tmp_path: Path) -> None:
    server_results.write(tmp_path, "mysql", every_transport())
    before = (tmp_path / "servers/mysql.json").read_bytes()
    server_results.write(tmp_path, "mysql", every_transport(seen={"works": 20}))
    assert (tmp_path / "servers/mysql.json").read_bytes() == before
    server_results.write(tmp_path, "mysql", every_transport(seen={"hang": 1})[:1])
    assert lines(tmp_path) == ['"bare/closed_in_child/pymysql":{"tcp":{"hang":1},"tls unix":{"works":1}}']


def test_what_could_not_be_run_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    tcp, tls, unix = every_transport()
    server_results.write(tmp_path, "mysql", [tcp, replace(unix, outcome="not applicable", seen={})])
    assert [each.cell.transport for each in server_results.read(tmp_path)["mysql"].cells.values()] == ["tcp"]
    server_results.write(tmp_path, "mysql", [tls], {tls.id})
    assert [each.cell.transport for each in server_results.read(tmp_path)["mysql"].cells.values()] == ["tls"]


def test_a_server_of_which_nothing_was_run_has_no_file(tmp_path: Path) -> None:
    server_results.write(tmp_path, "mysql", every_transport(outcome="not applicable", seen={}))
    assert server_results.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"format":1', '"format":7', "format 7"),
        ('"works"', '"thrives"', "thrives"),
        ("tcp tls unix", "tcp pigeon", "pigeon"),
        ("bare/closed_in_child/pymysql", "bare/closed_in_child", "stack>/<example>/<driver"),
    ],
)
def test_a_malformed_file_is_one_line_with_its_name(tmp_path: Path, old: str, new: str, problem: str) -> None:
    server_results.write(tmp_path, "mysql", every_transport())
    path = tmp_path / "servers/mysql.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MatrixError, match=problem) as caught:
        server_results.read(tmp_path)
    assert "mysql.json" in str(caught.value)
    assert "\n" not in str(caught.value)
