"""Results files: read and written whole, never misunderstood, and the same bytes while the same is observed."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.records import results
from matrix.records.evidence import Entry, Evidence
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.outcomes import OUTCOMES
from matrix.records.steps import Step

TCP = Coordinates("bare", "closed", "some", "mariadb", "tcp")
STEPS = [
    Step(who="parent", action="prepare"),
    Step(who="parent", action="prepare", result="done", text="tcp"),
    Step(who="parent", action="connect"),
    Step(who="parent", action="connect", result="done", session="A"),
    Step(who="parent", action="look up", about=1),
    Step(who="child 1", action="look up", about=101, thread="worker"),
    Step(who="parent", action="look up", about=1, result="order", order=1, session="A"),
    Step(
        who="child 1", action="look up", about=101, thread="worker", result="raised", error="x.Error", code="1", text=""
    ),
]


def observation(cell: Coordinates = TCP, **changes: Any) -> Observation:
    """Make an observation."""
    made = Observation(
        cell=cell,
        outcome="child error",
        seen={"child error": 1},
        parent=View(name="parent", session="same", right=1),
        children=[View(name="child 1", session="none", errors=["x.Error 1"])],
        server=ServerView(sessions_used=["A"]),
        steps=[replace(step, text=cell.transport) if step.text == "tcp" else step for step in STEPS],
        versions={"driver": "some 1"},
    )
    return replace(made, **changes)


def over(transport: str, **changes: Any) -> Observation:
    return observation(replace(TCP, transport=transport), **changes)


def by_id(*observations: Observation) -> dict[str, Observation]:
    return {each.id: each for each in observations}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    series = observation(replace(TCP, server="mariadb10.11"))
    found = by_id(over("tcp"), over("tls", outcome="hang", seen={"hang": 2}), over("unix"), series)
    assert results.write(tmp_path, "some", found.values()) == set(found)
    assert results.read(tmp_path / "some.json") == found
    assert results.read_folder(tmp_path) == found
    assert results.read(tmp_path / "other.json") == {}


def test_transports_of_which_the_same_was_observed_are_one_record(tmp_path: Path) -> None:
    unix = over("unix")
    swapped = replace(unix, steps=sorted(unix.steps, key=lambda step: step.who))
    assert swapped != unix
    results.write(tmp_path, "some", [over("tcp"), swapped, over("tls", note="other")])
    records = json.loads((tmp_path / "some.json").read_text())["observations"]
    assert [record["transports"] for record in records] == [["tcp", "unix"], ["tls"]]


names = st.sampled_from(["parent", "child 1", "child 2"])
actions = st.tuples(
    names, st.sampled_from(["", "worker"]), st.sampled_from(["look up", "close"]), st.none() | st.integers()
)
ends = st.sampled_from(
    [
        {},
        {"result": "done"},
        {"result": "done", "session": "AB"},
        {"result": "done", "text": "{"},
        {"result": "order", "order": -1, "session": "A"},
        {"result": "nothing"},
        {"result": "row", "text": "(1, 2)"},
        {"result": "state", "text": "INTRANS"},
        {"result": "exit", "text": "0"},
        {"result": "signal", "text": "SIGKILL"},
        {"result": "raised", "error": "x.Error", "text": ""},
        {"result": "raised", "error": "x.Error", "code": "2013", "text": "lost\u2028\x00"},
    ]
)
a_step = st.builds(
    lambda action, end: Step(who=action[0], thread=action[1], action=action[2], about=action[3], **end), actions, ends
)


@given(st.lists(a_step, max_size=12))
def test_every_sequence_of_steps_is_read_as_it_was_written(tmp_path_factory: Any, steps: list[Step]) -> None:
    folder = tmp_path_factory.mktemp("results")
    results.write(folder, "some", [observation(steps=steps)])
    assert results.read(folder / "some.json")[TCP.id].steps == steps


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 99, "driver": "x"}', '{"format": 1, "observations": []}', "\udcff", "[" * 9999],
)
def test_another_versions_file_is_one_line_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "some.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(MatrixError, match=r"some\.json: .*delete it and run again") as caught:
        results.read(tmp_path / "some.json")
    assert "\n" not in str(caught.value)


FORGED: list[tuple[list[Any], Any]] = [
    (["driver"], "../some"),
    (["driver"], 7),
    (["more"], 1),
    (["versions"], {}),
    (["observations", 0, "cell"], "bare/../mariadb"),
    (["observations", 0, "cell"], "bare/closed/mariadb\n"),
    (["observations", 0, "transports"], ["tcp", "tcp"]),
    (["observations", 0, "transports"], []),
    (["observations", 0, "outcome"], "fine"),
    (["observations", 0, "seen"], {"works": 0}),
    (["observations", 0, "seen"], {"works": 1}),
    (["observations", 0, "parent", "right"], "1"),
    (["observations", 0, "steps", 0], []),
    (["observations", 0, "steps", 0], ["parent", 7]),
    (["observations", 0, "steps", 0], ["parent", "look up", 1, "order", 1]),
    (["observations", 0, "steps", 0], ["parent", "look up", 1, "order", 1, "A", "B"]),
    (["observations", 0, "steps", 0], ["parent", "look up", 1, "shrugged"]),
    (["observations", 0, "steps", 0], ["parent", "look up", 1, {"word": "x"}]),
    (["observations", 0, "steps", 0], 3),
]


@pytest.mark.parametrize(("where", "value"), FORGED, ids=json.dumps)
def test_a_forged_file_is_one_line_with_the_key(tmp_path: Path, where: list[Any], value: Any) -> None:
    path = tmp_path / "some.json"
    results.write(tmp_path, "some", [observation()])
    data = json.loads(path.read_text())
    inner = data
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path.write_text(json.dumps(data))
    with pytest.raises(MatrixError, match=r"some\.json: .*delete it and run again") as caught:
        results.read(path)
    assert "\n" not in str(caught.value)
    before = path.read_bytes()
    with pytest.raises(MatrixError):
        results.write(tmp_path, "some", [observation(outcome="hang", seen={"hang": 1})])
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MatrixError, match="--output DIR"):
        results.check_writable(tmp_path / "file" / "results")


def test_a_run_that_observes_the_same_changes_no_byte(tmp_path: Path) -> None:
    results.write(tmp_path, "some", [over("tcp"), over("unix", seen={"child error": 20})], {TCP.id: evidence(1.0)})
    before = contents(tmp_path)
    renamed = [
        replace(step, session=step.session and "B") for step in sorted(over("unix").steps, key=lambda step: step.who)
    ]
    again = over("unix", steps=renamed, server=ServerView(sessions_used=["B"]))
    assert (
        results.write(tmp_path, "some", [observation(seen={"child error": 3}), again], {TCP.id: evidence(2.0)}) == set()
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        {"versions": {"driver": "some 2"}},
        {"outcome": "hang"},
        {"seen": {"hang": 1}},
        {"steps": STEPS[:-1]},
        {"steps": [*STEPS[:4], STEPS[6], STEPS[4]]},
        {"note": "new"},
    ],
)
def test_a_run_that_observes_something_else_is_kept(change: dict[str, Any]) -> None:
    new = observation(**change)
    assert results.keep_if_same(observation(), new) is new
    assert results.keep_if_same(None, new) is new


def test_a_cell_that_does_not_exist_any_more_goes_with_its_evidence_at_the_next_write(tmp_path: Path) -> None:
    gone = over("tls")
    results.write(tmp_path, "some", [observation(), gone], {TCP.id: evidence(1.0), gone.id: evidence(2.0)})
    results.write(tmp_path, "some", [observation()], current=[TCP.id])
    assert set(results.read_folder(tmp_path)) == {TCP.id}
    assert results.read_evidence(tmp_path, gone.id) is None
    assert results.read_evidence(tmp_path, TCP.id) == evidence(1.0)


def evidence(at: float) -> Evidence:
    return Evidence(processes=["parent"], timeline=[Entry(at=at, kind="begin", text="fork", who="parent")])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.json")}


def test_evidence_is_that_of_the_run_that_the_observation_tells_of(tmp_path: Path) -> None:
    results.write(tmp_path, "some", [observation()], {TCP.id: evidence(1.0)})
    results.write(tmp_path, "some", [observation()], {TCP.id: evidence(2.0)})
    assert results.read_evidence(tmp_path, TCP.id) == evidence(1.0)
    results.write(tmp_path, "some", [observation(note="other")], {TCP.id: evidence(3.0)})
    assert results.read_evidence(tmp_path, TCP.id) == evidence(3.0)
    results.write(tmp_path, "some", [observation(note="without the relay")])
    assert results.read_evidence(tmp_path, TCP.id) is None
    results.write(tmp_path, "some", [observation(note="without the relay")], {TCP.id: evidence(4.0)})
    assert results.read_evidence(tmp_path, TCP.id) == evidence(4.0)


def test_a_write_that_fails_halfway_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.write(tmp_path, "some", [observation()], {TCP.id: evidence(1.0)})
    before = contents(tmp_path)
    for name in ("closed.json", "some.json"):
        with monkeypatch.context() as patch:
            patch.setattr(results, "write_text", lambda path, text, name=name: _full(path, text, name))
            with pytest.raises(MatrixError, match="No space left"):
                results.write(tmp_path, "some", [observation(note="new")], {TCP.id: evidence(2.0)})
        assert results.read_folder(tmp_path) == by_id(observation())
    assert contents(tmp_path)[tmp_path / "some.json"] == before[tmp_path / "some.json"]
    results.write(tmp_path, "some", [observation(note="new")], {TCP.id: evidence(3.0)})
    assert results.read_folder(tmp_path) == by_id(observation(note="new"))
    assert results.read_evidence(tmp_path, TCP.id) == evidence(3.0)


def _full(path: Path, text: str, name: str) -> None:
    if path.name == name:
        raise MatrixError(f"{path}: cannot be written: No space left on device")
    write_text(path, text)


def test_only_evidence_that_is_to_be_kept_is_kept(tmp_path: Path) -> None:
    tls = over("tls")
    both = {TCP.id: evidence(1.0), tls.id: evidence(2.0)}
    results.write(tmp_path, "some", [observation(), tls], both, keep_evidence=[tls.id])
    assert [results.read_evidence(tmp_path, key) for key in both] == [None, evidence(2.0)]
    results.write(tmp_path, "some", [observation(), tls], both, keep_evidence=[])
    assert list(tmp_path.glob("some/**/*.json")) == []


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2}', '{"format": 2, "cells": {"a": {"timeline": [3]}}}'])
def test_forged_evidence_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "some" / "bare" / "closed.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(MatrixError, match=r"closed\.json: .*delete it and run again"):
        results.read_evidence(tmp_path, TCP.id)


def _write(folder: Path, transport: str) -> None:
    for number in range(20):
        results.write(
            folder, "some", [over(transport, note=str(number))], {over(transport).id: evidence(float(number))}
        )


def test_two_runs_into_one_folder_lose_nothing(tmp_path: Path) -> None:
    writers = [multiprocessing.Process(target=_write, args=(tmp_path, name)) for name in ("tcp", "tls", "unix")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = results.read_folder(tmp_path)
    assert {each.cell.transport: each.note for each in found.values()} == {"tcp": "19", "tls": "19", "unix": "19"}
    assert all(results.read_evidence(tmp_path, key) == evidence(19.0) for key in found)


def test_what_a_killed_writer_left_is_removed_at_the_next_write(tmp_path: Path) -> None:
    (tmp_path / "some" / "bare").mkdir(parents=True)
    left = [tmp_path / ".some.json.a1_b2c3d", tmp_path / "some" / "bare" / ".closed.json.abcdefgh"]
    others = [tmp_path / ".some.json.note", tmp_path / ".other.json.abcdefgh"]
    for path in left + others:
        path.write_text("half")
    results.write(tmp_path, "some", [observation()], {TCP.id: evidence(1.0)})
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)


def test_other_versions_of_one_cell_change_the_record_of_that_cell_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    others = [observation(replace(TCP, example=name)) for name in ("opened", "zapped")]
    results.write(tmp_path, "some", [observation(), *others])
    before = path.read_text().splitlines()
    results.write(tmp_path, "some", [observation(versions={"driver": "some 2"})])
    after = path.read_text().splitlines()
    assert [line for line in before if "opened" in line or "zapped" in line] == [
        line for line in after if "opened" in line or "zapped" in line
    ]
    assert results.read(path)[TCP.id].versions == {"driver": "some 2"}
    results.write(tmp_path, "some", [replace(each, versions={"driver": "some 2"}) for each in others])
    assert path.read_text().splitlines() == [line.replace("some 1", "some 2") for line in before]


def reads(numbers: range, **changes: Any) -> list[Step]:
    """Steps of a process that reads orders, each with its beginning."""
    begun = [Step(who="parent", action="read", about=number) for number in numbers]
    return [
        each
        for step in begun
        for each in (step, replace(step, **{"result": "order", "order": step.about, "session": "A"} | changes))
    ]


def test_a_long_run_keeps_what_matters() -> None:
    wrong, raised = reads(range(20, 21), order=7), reads(range(150, 151), result="raised", order=None, error="x.Error")
    steps = [*reads(range(20)), *wrong, *reads(range(21, 150)), *raised, *reads(range(151, 160))]
    short, omitted, after = results.shorten(steps)
    assert [*short[: after + 1], *steps[after + 1 : after + 1 + omitted], *short[after + 1 :]] == steps
    assert {*wrong, *raised} <= set(short)
    assert results.shorten(steps[:80]) == (steps[:80], 0, 0)


def test_a_long_run_is_cut_alike_however_processes_interleave() -> None:
    child = [replace(step, who="child 1") for step in reads(range(60))]
    wait = Step(who="parent", action="wait")
    runs = []
    for index in (0, 3, 6):
        short, omitted, after = results.shorten([*child[:index], wait, *child[index:]])
        runs.append(observation(steps=short, omitted=omitted, omitted_after=after))
    assert all(results.keep_if_same(runs[0], run) is runs[0] for run in runs)
    both = [step for pair in zip(child, reads(range(60)), strict=True) for step in pair]
    assert results.shorten(both) == (both, 0, 0)


def test_children_that_start_at_once_may_be_numbered_either_way() -> None:
    def run(first: int, second: int, wrong: int) -> Observation:
        names = {first: "child 1", second: "child 2"}
        steps = [
            Step(who=names[number], action="look up", about=number, result="order", order=order, session=session)
            for number, order, session in ((first, first, "A"), (second, wrong, "B"))
        ]
        children = [View(name=name, session="own", right=number) for number, name in names.items()]
        return observation(children=children, steps=steps, server=ServerView(sessions_used=["A", "B"]))

    def numbered_otherwise(steps: list[Step]) -> list[Step]:
        return [replace(step, who={"child 1": "child 2", "child 2": "child 1"}[step.who]) for step in steps]

    old = run(101, 102, 7)
    children = [replace(view, name=f"child {3 - int(view.name[-1])}") for view in old.children]
    same = replace(old, steps=numbered_otherwise(old.steps), children=children)
    assert results.keep_if_same(old, same) is old
    for other in (replace(old, children=children), run(101, 102, 8), run(101, 103, 7)):
        assert results.keep_if_same(old, other) is other


def test_it_does_not_matter_which_worker_takes_which_task() -> None:
    def run(*tasks: int) -> list[Step]:
        return [
            replace(step, who=f"child {index % 2}")
            for index, task in enumerate(tasks)
            for step in reads(range(task, task + 1))
        ]

    old = observation(steps=run(1, 2, 3, 4))
    assert results.keep_if_same(old, observation(steps=run(1, 2, 4, 3))) is old


@settings(deadline=None)  # long runs take long on a busy machine
@given(st.lists(st.sampled_from(["right", "wrong", "raised"]), min_size=50, max_size=200), st.integers(20, 60))
def test_a_run_of_any_length_is_cut_to_the_limit_between_steps(kinds: list[str], limit: int) -> None:
    changes: dict[str, dict[str, Any]] = {
        "right": {},
        "wrong": {"order": -1},
        "raised": {"result": "raised", "order": None, "error": "x.Error"},
    }
    steps = [step for number, kind in enumerate(kinds) for step in reads(range(number, number + 1), **changes[kind])]
    short, omitted, after = results.shorten(steps, limit)
    assert limit <= len(short) <= limit + max(limit // 4, 2)
    assert [*short[: after + 1], *steps[after + 1 : after + 1 + omitted], *short[after + 1 :]] == steps
    assert [step.name for step in short if step.result is None] == [step.name for step in short if step.result]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_observation_with_any_outcome_is_read(tmp_path: Path, outcome: Any) -> None:
    found = observation(outcome=outcome, seen={outcome: 1})
    results.write(tmp_path, "some", [found])
    assert results.read(tmp_path / "some.json")[TCP.id] == found
