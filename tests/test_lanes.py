"""Rows of lanes: what a drawer needs to know of a cell, from evidence or from steps alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from matrix.records.evidence import BY_ORDER, Entry, Evidence
from matrix.records.lanes import Drawing, Row, drawing
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.steps import Step


def observation(*steps: Step, **facts: Any) -> Observation:
    return Observation(
        cell=Coordinates("bare", "an_example", "a_driver", "a_server", "tcp"),
        outcome="works",
        seen={"works": 1},
        parent=View(name="parent", session="none"),
        server=ServerView(),
        steps=list(steps),
        **facts,
    )


def drawn(*entries: Entry, **options: Any) -> Drawing:
    evidence = Evidence(processes=["parent", "child 1"], sessions=["A"], timeline=list(entries))
    return drawing(observation(), evidence, **options)


def begin(at: float, step: str, who: str = "parent") -> Entry:
    return Entry(at=at, kind="begin", text=step, who=who)


def end(at: float, step: str, who: str = "parent", text: str = "done", **facts: Any) -> Entry:
    return Entry(at=at, kind="end", step=step, text=text, who=who, **facts)


def sent(at: float, text: str, who: str | None, how: str | None = "x", **facts: Any) -> Entry:
    return Entry(at=at, kind="message", text=text, who=who, session="A", how=how, **facts)


def received(at: float, text: str, reply_to: str | None = None) -> Entry:
    return Entry(at=at, kind="message", text=text, who="server", session="A", reply_to=reply_to)


def labels(found: Drawing) -> list[tuple[str, str]]:
    return [(row.lane, row.label) for row in found.rows]


def test_a_step_with_nothing_between_its_begin_and_its_end_is_one_row() -> None:
    (row,) = drawn(begin(1, "close"), end(3, "close")).rows
    assert row == Row(kind="step", text="close: done", lane="parent", at=1, until=3)


def test_the_end_of_a_step_that_others_overtook_names_the_row_of_its_begin() -> None:
    found = drawn(begin(1, "wait"), begin(2, "close", "child 1"), end(4, "wait"), end(5, "close", "child 1"))
    assert [(row.kind, row.lane, row.began) for row in found.rows] == [
        ("begin", "parent", None),
        ("begin", "child 1", None),
        ("end", "parent", 0),
        ("end", "child 1", 1),
    ]


def test_a_thread_acts_in_the_lane_of_its_process_and_is_named() -> None:
    (row,) = drawn(begin(1, "look up 1", "parent/reader"), end(2, "look up 1", "parent/reader")).rows
    assert (row.lane, row.text) == ("parent", "reader: look up 1: done")


def test_the_same_step_of_two_threads_is_told_apart() -> None:
    found = drawn(begin(1, "ping", "parent/x"), begin(2, "ping", "parent/y"), end(3, "ping", "parent/x"))
    assert found.rows[-1].began == 0


def test_arrows_say_which_way_and_on_which_session() -> None:
    found = drawn(
        sent(1, "COM_QUIT", "child 1"), sent(2, "COM_PING", None, "unknown: parent or child 1"), received(3, "OK")
    )
    assert labels(found) == [
        ("child 1", "→A COM_QUIT"),
        ("", "→A COM_PING [unknown: parent or child 1]"),
        ("server", "A→ OK"),
    ]


def test_only_what_is_certain_is_sure() -> None:
    found = drawn(sent(1, "x", "parent"), sent(2, "x", "parent", BY_ORDER), sent(3, "x", None))
    assert [row.sure for row in found.rows] == [True, False, False]


def test_whose_reply_it_is_is_said_where_several_processes_use_the_session() -> None:
    alone = drawn(sent(1, "x", "parent"), received(2, "y", "parent"))
    assert labels(alone)[-1] == ("server", "A→ y")
    shared = drawn(sent(1, "x", "parent"), sent(1, "x", "child 1"), received(2, "y", "parent"))
    assert labels(shared)[-1] == ("server", "A→ y [reply to parent]")


def test_a_reader_is_certain_where_a_child_opened_the_session_or_there_is_no_child_yet() -> None:
    before = drawn(sent(1, "x", "parent"), received(2, "y"), begin(3, "close", "child 1"), received(4, "z"))
    assert [row.reader for row in before.rows if row.kind == "received"] == ["parent", None]
    own = drawn(begin(1, "wait"), sent(2, "x", "child 1"), received(3, "y"))
    assert own.rows[-1].reader == "child 1"


def test_what_no_process_sent_is_a_mark_and_what_the_server_reported_a_note() -> None:
    found = drawn(
        Entry(at=1, kind="socket", text="not delivered", session="A"),
        Entry(at=2, kind="server", text="log: aborted", who="server", session="A"),
        Entry(at=3, kind="server", text="reports no session", who="server"),
    )
    assert [(row.kind, row.lane, row.label) for row in found.rows] == [
        ("mark", "", "(A) not delivered"),
        ("note", "server", "(A) log: aborted"),
        ("note", "server", "reports no session"),
    ]


def test_of_a_long_timeline_the_middle_is_omitted_and_counted() -> None:
    found = drawn(*(sent(at, str(at), "parent") for at in range(10)), limit=4)
    assert [row.text for row in found.rows] == ["0", "1", "6 events omitted", "8", "9"]


def test_without_holding_the_connection_that_holds_results_back_is_not_drawn() -> None:
    entries = [begin(1, "watch"), sent(2, "COUNT", "parent"), received(3, "rows"), end(4, "watch")]
    assert labels(drawn(*entries, holding=False)) == [("parent", "watch: done")]
    assert len(drawn(*entries).rows) == 4
    used = [*entries, begin(5, "look up 1"), sent(6, "SELECT", "parent")]
    assert len(drawn(*used, holding=False).rows) == 6


def test_without_evidence_the_steps_are_drawn_and_what_went_wrong_is_marked() -> None:
    found = drawing(
        observation(
            Step(who="child 2", action="look up", about=201),
            Step(who="parent", action="look up", about=1),
            Step(who="parent", action="look up", about=1, result="order", order=201, session="A"),
            Step(who="child 2", action="look up", about=201, result="raised", error="x.E", code="7", text="gone"),
            Step(who="parent", action="wait", result="signal", text="SIGKILL"),
        )
    )
    assert (found.processes, found.sessions, found.timed) == (["parent", "child 2"], ["A"], False)
    assert [(row.label, row.wrong, row.at) for row in found.rows] == [
        ("look up 201", False, None),
        ("look up 1: order 201, session A (reply to child 2's query)", True, None),
        ("look up 201: raised x.E 7: gone", True, None),
        ("wait: signal SIGKILL", True, None),
    ]


def test_omitted_steps_stand_where_they_were() -> None:
    steps = [Step(who="parent", action=name, result="done") for name in ("a", "b", "c")]
    found = drawing(observation(*steps, omitted=7, omitted_after=1))
    assert [row.text for row in found.rows] == ["a: done", "b: done", "7 steps omitted", "c: done"]


def test_rows_are_plain_data_for_a_browser() -> None:
    found = drawn(sent(1, "x", "parent"), received(2, "y"))
    assert json.loads(msgspec.json.encode(found))["rows"][1] == {
        "kind": "received",
        "text": "y",
        "lane": "server",
        "at": 2,
        "session": "A",
        "reader": "parent",
    }
