"""Results files: read and written whole, never misunderstood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import MatrixError
from matrix.records import results as observations

VIEW: dict[str, Any] = {"right": 1, "wrong": 0, "errors": [], "unanswered": []}


def observation(**changes: Any) -> dict[str, Any]:
    """Make an observation that fits the schema."""
    return {
        "id": "bare/closed/some/mariadb/tcp",
        "stack": "bare",
        "example": "closed",
        "driver": "some",
        "transport": "tcp",
        "outcome": "works",
        "seen": {"works": 1},
        "parent": {**VIEW, "session": "same"},
        "children": [{"name": "child 1", **VIEW, "session": "own"}],
        "server": {
            "family": "mariadb",
            "sessions_before": 0,
            "sessions_after": 0,
            "sessions_used": ["A"],
            "committed": None,
            "lost": [],
            "unwanted": [],
        },
        "transcript": ["parent   look up 1", "parent   look up 1: order 1, session A"],
        "versions": {"driver": "some 1"},
        "expected": ["works"],
        "reason": "none",
        **changes,
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    observations.write(path, "some", [observation()])
    assert observations.read(path) == {"bare/closed/some/mariadb/tcp": observation()}
    assert observations.read(tmp_path / "other.json") == {}


@pytest.mark.parametrize("missing", sorted(observation()))
def test_an_observation_lacks_nothing(tmp_path: Path, missing: str) -> None:
    with pytest.raises((MatrixError, KeyError)):
        observations.write(tmp_path / "some.json", "some", [{k: v for k, v in observation().items() if k != missing}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 99, "driver": "x", "observations": []}', '{"format": 1, "observations": []}'],
)
def test_another_versions_file_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "some.json").write_text(content)
    with pytest.raises(MatrixError, match=r"some\.json: ") as caught:
        observations.read(tmp_path / "some.json")
    assert "run again" in str(caught.value)


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MatrixError, match="--output DIR"):
        observations.check_writable(tmp_path / "file" / "results")


def test_a_run_that_says_nothing_new_changes_nothing() -> None:
    old = observation(seen={"works": 5})
    assert observations.keep_if_same(old, observation()) is old
    reordered = observation(transcript=list(reversed(old["transcript"])))
    assert observations.keep_if_same(old, reordered) is old


@pytest.mark.parametrize("change", [{"versions": {"driver": "some 2"}}, {"outcome": "hang"}, {"seen": {"hang": 1}}])
def test_a_run_that_says_something_new_is_kept(change: dict[str, Any]) -> None:
    new = observation(**change)
    assert observations.keep_if_same(observation(), new) is new
    assert observations.keep_if_same(None, new) is new


def test_a_long_transcript_keeps_what_matters() -> None:
    lines = [f"parent   look up {n}: order {n}, session A" for n in range(1, 400)]
    lines[200] = "parent   look up 201: order 7, session A"
    lines[250] = "child 1  look up 5: raised x.Error 1: y"
    short = observations.shorten(lines)
    assert len(short) <= 80
    assert lines[200] in short
    assert lines[250] in short
    assert short[0] == lines[0]
    assert short[-1] == lines[-1]
    left_out = sum(int(line.split()[1]) for line in short if line.startswith("..."))
    assert left_out + sum(not line.startswith("...") for line in short) == len(lines)


def test_the_schema_describes_itself() -> None:
    assert json.loads(json.dumps(observations.SCHEMA)) == observations.SCHEMA


def test_evidence_is_written_of_cells_that_changed_and_where_the_file_is_missing(tmp_path: Path) -> None:
    tcp, tls = "bare/closed_in_child/psycopg/postgresql/tcp", "bare/closed_in_child/psycopg/postgresql/tls"
    folder = tmp_path / "psycopg"
    first = {tcp: {"timeline": [1]}, tls: {"timeline": [2]}}
    observations.write_evidence(folder, first, changed=[], current=[tcp, tls])
    assert [observations.read_evidence(tmp_path, key) for key in (tcp, tls)] == [*first.values()]
    again = {tcp: {"timeline": [3]}, tls: {"timeline": [4]}}
    observations.write_evidence(folder, again, changed=[tls], current=[tcp, tls])
    assert observations.read_evidence(tmp_path, tcp) == first[tcp]
    assert observations.read_evidence(tmp_path, tls) == again[tls]
