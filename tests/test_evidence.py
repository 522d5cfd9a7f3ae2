"""Evidence: which process sent what, whose query is answered, in which order; and where that is unknown."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.records.evidence import Entry, Evidence
from matrix.records.lanes import drawing
from matrix.records.run import Run
from matrix.records.server import LogLine, Session
from matrix.records.steps import Step
from matrix.records.wire import Connection, Event, Kind, Sender
from matrix.wire import evidence
from matrix.wire.evidence import timeline
from matrix.wire.processes import SLACK, processes
from tests.test_lanes import observation
from tests.written_steps import NOON, written


def event(
    at: float, name: str, sender: Sender = "client", kind: Kind = "message", length: int = 9, **facts: Any
) -> Event:
    return Event(NOON + at / 1000, sender, kind, name, length, **facts)


def query(at: float, text: str, exchange: int) -> Event:
    return event(at, "COM_QUERY", text=text, exchange=exchange)


def rows(at: float, first: int, exchange: int) -> Event:
    return event(at, "rows", "server", rows=1, first=first, column_count=2, exchange=exchange)


def record(at: float, sender: Sender = "client", **detail: Any) -> Event:
    return event(at, "application_data", sender, "tls", 44, encrypted=True, plaintext_at_most=22, **detail)


def fin(at: float, sender: Sender = "client") -> Event:
    return event(at, "fin", sender, "fin", 0)


def connection(opened: float, *events: Event, session: int | None = 7, **facts: Any) -> Connection:
    greeting = [] if facts.get("tls") else [event(opened, "OK", "server", exchange=0)]
    sealed = [record(opened)] if facts.get("tls") else []
    return Connection(NOON + opened / 1000, session=session, events=[*greeting, *sealed, *events], **facts)


def told(steps: list[Step], *connections: Connection, **facts: Any) -> list[Entry]:
    return timeline(Run(steps=steps, began=NOON, connections=list(connections), **facts)).timeline


def sender(entries: list[Entry], text: str) -> str | None:
    """Who sent the one message whose text begins so."""
    (found,) = [entry for entry in entries if entry.text.startswith(text) and entry.how]
    return found.who


def replies(entries: list[Entry]) -> list[str | None]:
    """Whose queries the server's messages answer, in order."""
    return [entry.reply_to for entry in entries if entry.kind == "message" and entry.who == "server"]


PREPARED = ["0 parent prepare", "10 parent prepare: done, over tcp"]
CONNECTED = [*PREPARED, "11 parent connect", "15 parent connect: done, session 7"]
#: The parent waits from 20 on, while a child does something.
WAITING = [*CONNECTED, "20 parent wait"]


# Who sent it.


def test_a_message_is_attributed_to_the_process_in_a_step_while_all_others_wait() -> None:
    steps = written(*WAITING, "25 child 1 close", "26 child 1 close: done", "40 parent wait: exit 0")
    entries = told(steps, connection(12, event(25.5, "COM_QUIT"), fin(40, "server")))
    assert sender(entries, "COM_QUIT") == "child 1"


def test_a_message_that_arrives_shortly_after_a_step_still_belongs_to_it() -> None:
    steps = written(*WAITING, "25 child 1 close", "26 child 1 close: done", "90 parent wait: exit 0")
    late = 26 + SLACK * 1000 - 1
    assert sender(told(steps, connection(12, event(late, "COM_QUIT"))), "COM_QUIT") == "child 1"


def test_a_message_that_a_relay_saw_late_still_belongs_to_its_step() -> None:
    """How late the relay was it measured itself: as long as it was busy, or waited for a processor."""
    closing = ("25 child 1 close", "26 child 1 close: done", "27 child 1 meet", "800 child 1 meet: done")
    steps = written(*WAITING, *closing, "900 parent wait: exit 0")
    at = 26 + SLACK * 1000 + 399
    late, punctual = (connection(12, event(at, "COM_QUIT")) for _ in range(2))
    late.late = 0.4
    assert sender(told(steps, late), "COM_QUIT") == "child 1"
    assert sender(told(steps, punctual), "COM_QUIT") != "child 1"


def test_nothing_arrives_late_once_a_later_query_had_its_result() -> None:
    steps = written(
        *CONNECTED,
        "20 parent close",
        "21 parent close: done",
        "22 parent look up 1",
        "24 parent look up 1: order 1, session 8",
        "25 child 1 close",
        "26 child 1 close: done",
        "40 parent work",
    )
    entries = told(steps, connection(12, event(25.5, "COM_QUIT")), connection(16, session=8))
    assert sender(entries, "COM_QUIT") == "child 1"


def test_only_a_process_that_holds_a_connection_can_send_on_it() -> None:
    steps = written(
        *CONNECTED,
        "20 child 1 connect",
        "25 child 1 connect: done, session 8",
        "26 child 2 connect",
        "30 child 2 connect: done, session 9",
        "31 child 1 close",
        "31 child 2 close",
        "33 child 1 close: done",
        "33 child 2 close: done",
    )
    entries = told(
        steps,
        connection(21, event(32, "COM_QUIT", length=1), session=8),
        connection(27, event(32, "COM_QUIT", length=2), session=9),
    )
    terminations = {entry.session: (entry.who, entry.how) for entry in entries if entry.text == "COM_QUIT"}
    assert terminations == {
        "B": ("child 1", "only process that held it"),
        "C": ("child 2", "only process that held it"),
    }


def test_a_child_that_was_started_before_a_connection_was_opened_does_not_hold_it() -> None:
    steps = written(
        *PREPARED,
        "12 child 1 work",
        "20 parent connect",
        "25 parent connect: done, session 7",
        "30 parent close",
        "32 child 1 work: done",
        "34 parent close: done",
    )
    assert sender(told(steps, connection(21, event(31, "COM_QUIT"))), "COM_QUIT") == "parent"


def test_a_child_whose_parent_was_in_a_step_was_started_before_that_step() -> None:
    steps = written(
        *PREPARED,
        "12 parent connect",
        "25 child 1 close",
        "28 parent connect: done, session 7",
        "28.5 parent close",
        "30 child 1 close: done",
        "32 parent close: done",
    )
    assert sender(told(steps, connection(20, event(29, "COM_QUIT"))), "COM_QUIT") == "parent"


def test_a_statement_that_names_an_order_belongs_to_the_step_about_it() -> None:
    steps = written(*CONNECTED, "20 parent look up 1", "20 child 1 look up 101", "21 child 2 look up 201")
    wire = connection(12, query(22, "SELECT ... id = 101", 1), query(22.5, "SELECT ... id = 201", 2))
    entries = told(steps, wire)
    assert sender(entries, 'COM_QUERY "SELECT ... id = 101"') == "child 1"
    assert sender(entries, 'COM_QUERY "SELECT ... id = 201"') == "child 2"


def test_a_statement_that_hides_its_order_is_attributed_by_its_result() -> None:
    steps = written(*CONNECTED, "20 parent look up 1", "20 child 1 look up 101")
    wire = connection(12, query(22, "SELECT ... id = $1", 1), rows(30, 101, 1))
    assert sender(told(steps, wire), "COM_QUERY") == "child 1"


def test_a_process_that_has_sent_a_query_waits_for_the_reply() -> None:
    steps = written(*CONNECTED, "20 parent wait", "21 child 1 look up 101", "25 parent wait: exit 0", "26 parent work")
    entries = told(steps, connection(12, query(22, "SELECT 'x'", 1), query(30, "SELECT 'y'", 2)))
    assert sender(entries, "COM_QUERY \"SELECT 'x'\"") == "child 1"
    assert sender(entries, "COM_QUERY \"SELECT 'y'\"") == "parent"


def test_a_process_with_threads_may_send_while_it_waits_for_a_reply() -> None:
    steps = written(
        *CONNECTED,
        "20 parent wait",
        "21 child 1 look up 101",
        "21 child 1/reader look up 102",
        "25 parent wait: exit 0",
        "26 parent work",
    )
    entries = told(steps, connection(12, query(22, "SELECT 'x'", 1), query(30, "SELECT 'y'", 2)))
    assert sender(entries, "COM_QUERY \"SELECT 'y'\"") is None


def test_a_process_outside_of_its_steps_sends_only_a_termination_message() -> None:
    steps = written(*WAITING, "25 child 1 work", "26 child 1 work: done", "60 parent wait: exit 0")
    entries = told(steps, connection(12, event(50, "COM_QUIT"), query(55, "SELECT 1", 2)))
    assert sender(entries, "COM_QUIT") == "child 1"


def test_a_step_that_runs_a_query_sends_no_termination_message_unless_it_fails() -> None:
    asking = [*CONNECTED, "20 parent look up 1", "21 child 1 close", "30 child 1 close: done"]
    wire = connection(12, event(25, "COM_QUIT"))
    assert sender(told(written(*asking, "40 parent look up 1: order 1, session 7"), wire), "COM_QUIT") == "child 1"
    assert sender(told(written(*asking, "40 parent look up 1: raised x.Error: y"), wire), "COM_QUIT") is None


def test_a_step_with_a_connection_of_its_own_sends_on_no_other() -> None:
    steps = written(*CONNECTED, "20 parent watch", "21 child 1 look up 101", "40 parent watch: done")
    wire = connection(12, record(25), tls=True)
    assert sender(told(steps, wire), "TLS") == "child 1"


#: While child 1's answer is held, the parent looks at the server again and again, on a connection of its own.
HELD = [
    *CONNECTED,
    *("20 parent hold answers", "25 parent hold answers: done", "30 parent watch", "31 child 1 look up 101"),
    *("60 parent watch: done", "61 parent release answer", "65 parent release answer: done"),
    "70 child 1 look up 101: order 101, session 7",
]


def _holding() -> list[Connection]:
    """Return the connection that is asked on and the one that holds its answers."""
    looks = [each for at in (35, 45, 55) for each in (query(at, "SELECT COUNT(*)", at), rows(at + 1, 0, at))]
    hold = [query(22, "SELECT HOLD", 1), rows(23, 1, 1)]
    release = [query(62, "SELECT RELEASE", 2), rows(63, 1, 2)]
    asked = connection(12, query(36, "SELECT id WHERE id = 101", 3), rows(66, 101, 3))
    return [asked, connection(21, *hold, *looks, *release, session=8)]


def test_results_are_held_back_on_a_connection_that_serves_nothing_else() -> None:
    entries = told(written(*HELD), *_holding())
    asked = {entry.text.partition('"')[2]: entry.who for entry in entries if entry.text.startswith("COM_Q")}
    assert asked.pop('SELECT id WHERE id = 101"') == "child 1"
    assert set(asked.values()) == {"parent"}


def test_a_query_that_is_repeated_within_a_step_is_one_entry() -> None:
    entries = told(written(*HELD), *_holding())
    assert [e.text for e in entries if "COUNT" in e.text] == ['COM_QUERY "SELECT COUNT(*)" (sent 3 times)']
    assert [e.at for e in entries if e.text.startswith("rows 1: (0")] == [56.0]
    apart = written(*CONNECTED, *(f"{at} parent {what}" for at, what in [(20, "ping"), (22, "ping: done")]))
    apart += written("23 parent ping", "25 parent ping: done")
    pings = connection(12, event(21, "COM_PING", exchange=1), event(24, "COM_PING", exchange=2))
    assert [e.text for e in told(apart, pings) if "COM_PING" in e.text] == ["COM_PING", "COM_PING"]


def test_once_a_process_has_sent_nothing_comes_from_those_gone_before() -> None:
    steps = written(
        *WAITING,
        "22 child 1 work",
        "23 child 1 work: done",
        "30 parent wait: exit 0",
        "91 parent look up 1",
        "94 parent look up 1: raised x.Error: y",
    )
    wire = connection(12, query(92, "SELECT 'x'", 1), event(96, "COM_QUIT"))
    assert sender(told(steps, wire), "COM_QUIT") == "parent"


def test_the_end_of_a_connection_comes_from_the_last_process_that_holds_it() -> None:
    steps = written(*WAITING, "22 child 1 work", "23 child 1 work: done", "30 parent wait: exit 0")
    entries = told(steps, connection(12, event(32, "COM_QUIT"), fin(33)))
    assert sender(entries, "COM_QUIT") is None, "either may have sent it"
    assert sender(entries, "FIN") == "parent"


def test_a_process_stuck_in_a_step_may_end_its_connections_by_being_killed() -> None:
    steps = written(*WAITING, "21 child 1 look up 101")
    entries = told(steps, connection(12, query(22, "... id = 101", 1), fin(5010)))
    assert [entry.how for entry in entries if entry.text == "FIN"] == ["unknown: parent or child 1"]


def test_the_kernel_names_the_process_that_opened_a_unix_socket() -> None:
    steps = written(*CONNECTED, "20 parent work", "20 child 1 look up 101", "40 child 1 look up 101: nothing")
    both = [connection(25, query(27, "SELECT 'x'", 1), session=None, client_pid=pid) for pid in (101, 100, 999)]
    entries = told(steps, *both)
    openings = [(e.who, e.how) for e in entries if e.text == "opens a connection"]
    assert openings == [
        ("child 1", "the kernel names it"),
        ("parent", "the kernel names it"),
        (None, "a process that reported no step"),
    ]


def test_the_end_that_the_relay_makes_of_a_unix_socket_is_attributed_to_no_process() -> None:
    steps = written(*WAITING, "21 child 1 close", "22 child 1 close: done", "60 parent wait: exit 0")
    wire = connection(12, event(21.5, "COM_QUIT"), fin(21.6, "server"), fin(21.7), client_pid=100)
    ends = [entry.who for entry in told(steps, wire) if entry.text == "FIN"]
    assert ends == ["server"]


def test_what_is_sent_on_a_connection_rules_out_openers() -> None:
    steps = written(
        *PREPARED,
        "20 parent look up 1",
        "20 child 1 look up 101",
        "30 child 1 look up 101: order 101, session 8",
        "40 parent look up 1: order 1, session 7",
    )
    later = connection(25, query(26, "SELECT 'x'", 1), query(35, "SELECT ... id = 1", 2), session=7)
    own = connection(25, query(26, "SELECT 'z'", 1), session=8)
    entries = told(steps, later, own)
    assert sender(entries, "COM_QUERY \"SELECT 'x'\"") == "parent"
    assert sender(entries, "COM_QUERY \"SELECT 'z'\"") == "child 1", "it alone was answered there"


def test_outside_of_every_step_the_only_process_that_existed_did_it() -> None:
    steps = written(*PREPARED, "30 parent look up 1", "35 parent look up 1: nothing", "40 child 1 work")
    entries = told(steps, connection(12, query(14, "SET NAMES utf8mb4", 1)))
    assert sender(entries, "opens a connection") == "parent"
    assert sender(entries, "COM_QUERY") == "parent"


def test_a_pool_s_threads_open_connections_while_their_process_does_something_else() -> None:
    steps = written(
        *PREPARED,
        "11 parent open",
        "20 parent open: done",
        "50 parent wait",
        "60 child 1 connect",
        "80 child 1 connect: done, session 8",
    )
    entries = told(steps, connection(70, session=None))
    assert sender(entries, "opens a connection") is None


# Where it is unknown.


def test_all_processes_that_could_have_sent_a_message_are_named() -> None:
    steps = written(
        *WAITING, "21 child 1 close", "21 child 2 close", "30 child 1 close: done", "31 child 2 close: done"
    )
    (termination,) = [e for e in told(steps, connection(12, event(25, "COM_QUIT"))) if e.text == "COM_QUIT"]
    assert termination.who is None
    assert termination.how == "unknown: child 1 or child 2"


def test_what_two_processes_sent_at_the_same_time_is_attributed_to_each() -> None:
    steps = written(*CONNECTED, "20 parent look up 1", "20 child 1 look up 101")
    wire = connection(12, query(22, "SELECT ... id = 101", 1), query(22.1, "SELECT ... id = 1", 2))
    messages = [(e.who, e.text) for e in told(steps, wire) if e.kind == "message"]
    assert messages == [
        ("child 1", 'COM_QUERY "SELECT ... id = 101"'),
        ("parent", 'COM_QUERY "SELECT ... id = 1"'),
    ]


def test_a_termination_message_is_no_part_of_the_query_that_follows() -> None:
    steps = written(
        *WAITING,
        "22 child 1 close",
        "23 child 1 close: done",
        "30 parent wait: exit 0",
        "91 parent look up 1",
        "94 parent look up 1: raised x.Error: y",
    )
    wire = connection(12, event(22.5, "Terminate", exchange=2), query(92, "SELECT 'x'", 2))
    entries = told(steps, wire)
    assert sender(entries, "Terminate") == "child 1"
    assert sender(entries, "COM_QUERY") == "parent"


def test_a_child_is_gone_when_the_parent_has_waited_for_as_many_as_had_ended() -> None:
    steps = written(
        *CONNECTED,
        "20 child 1 work",
        "21 child 1 work: done",
        "22 child 2 work",
        "23 child 2 work: done",
        "24 parent wait",
        "30 parent wait: exit 0",
        "31 parent wait",
        "40 parent wait: signal SIGKILL",
    )
    known = processes(steps)
    assert {name: round((known[name].gone - NOON) * 1000) for name in ("child 1", "child 2")} == {
        "child 1": 40,
        "child 2": 40,
    }


# Whose query is answered.


def test_a_reply_is_for_the_process_that_sent_the_query_whichever_reads_it() -> None:
    steps = written(
        *CONNECTED,
        "20 child 1 look up 101",
        "21 parent look up 1",
        "30 parent look up 1: order 101, session 7",
        "40 child 1 look up 101: order 1, session 7",
    )
    wire = connection(
        12, query(20.5, "... id = 101", 1), query(21.5, "... id = 1", 2), rows(29, 101, 1), rows(39, 1, 2)
    )
    entries = told(steps, wire)
    assert replies(entries) == ["child 1", "parent"]
    ends = [(entry.step, entry.text, entry.went_wrong) for entry in entries if entry.kind == "end"]
    assert ends[-2:] == [
        ("look up 1", "order 101, session A (reply to child 1's query)", True),
        ("look up 101", "order 1, session A (reply to the parent's query)", True),
    ]


def test_of_encrypted_replies_the_first_is_for_the_first_query_and_later_ones_are_unknown() -> None:
    steps = written(*CONNECTED, "20 parent watch", "21 child 1 look up 101", "24 parent watch: done", "25 parent work")
    wire = connection(
        12, record(22), record(30), record(40, "server"), record(50, "server"), record(60, "server"), tls=True
    )
    assert replies(told(steps, wire)) == ["child 1", None, None]


def test_encrypted_replies_on_a_connection_that_one_process_uses_are_its_own() -> None:
    steps = written(*CONNECTED, "20 parent look up 1", "30 parent look up 1: order 1, session 7", "31 parent look up 2")
    wire = connection(12, record(22), record(28, "server"), record(32), record(40, "server"), tls=True)
    assert replies(told(steps, wire)) == ["parent", "parent"]


def test_an_order_that_several_processes_queried_names_none_of_them() -> None:
    steps = written(
        *CONNECTED,
        "20 parent look up 3",
        "20 child 1 look up 3",
        "21 child 2 look up 201",
        "30 child 2 look up 201: order 3, session 7",
    )
    assert told(steps)[-1].text == "order 3, session A"


# Sessions, order, length.


def test_sessions_have_the_letters_of_the_steps_and_then_those_that_only_the_wire_knows() -> None:
    steps = written(*CONNECTED, "20 child 1 connect", "25 child 1 connect: done, session 3", "50 parent work")
    found = timeline(
        Run(
            steps=steps,
            began=NOON,
            connections=[connection(30, session=99), connection(12, session=7), connection(21, session=3)],
        )
    )
    assert found.sessions == ["A", "B", "C"]
    assert [e.session for e in found.timeline if e.text == "opens a connection"] == ["A", "B", "C"]


def test_an_encrypted_session_is_named_by_the_server_log_or_else_by_the_results() -> None:
    asked = ["20 parent look up 1", "30 parent look up 1: order 1, session 7"]
    hidden = connection(12, record(22), record(28, "server"), session=None, tls=True, server_port=5000)
    logged = told(
        written(*PREPARED, *asked), hidden, log_lines=[LogLine(NOON + 0.012, 42, "connection received", 5000)]
    )
    assert {e.session for e in logged if e.kind == "message"} == {"B"}
    guessed = told(written(*PREPARED, *asked), hidden)
    assert {e.session for e in guessed if e.kind == "message"} == {"A"}


def test_what_happened_before_the_orders_existed_is_left_out() -> None:
    entries = told(written(*CONNECTED), connection(5, query(6, "CREATE TABLE orders", 1), session=6))
    assert [entry.kind for entry in entries] == ["begin", "end", "begin", "end"]


def test_entries_are_in_the_order_of_their_times_which_count_from_the_first_step() -> None:
    steps = written("100 parent prepare", "110 parent prepare: done, over tcp", "130 parent look up 1")
    entries = told(
        steps,
        connection(115, query(131, "SELECT 1", 1), rows(133, 1, 1)),
        log_lines=[LogLine(NOON + 0.14, 7, "disconnection")],
        views=[(NOON + 0.12, [Session(7, "app", False, "idle", True)])],
    )
    assert [entry.at for entry in entries] == [0.0, 10.0, 15.0, 20.0, 30.0, 31.0, 33.0, 40.0]
    assert entries[3].text == "reports session A (in a transaction)"


def test_a_long_timeline_keeps_its_ends_and_every_termination_message() -> None:
    many = [query(20 + 3 * n, f"SELECT 'number {n}'", n) for n in range(1, 2000)]
    many.insert(1000, event(3021, "COM_QUIT"))
    entries = told(written(*CONNECTED, "19 parent work"), connection(12, *many))
    assert len(entries) <= evidence.LIMIT + 10
    assert "COM_QUIT" in [entry.text for entry in entries]
    left_out = sum(int(entry.text.split()[0]) for entry in entries if entry.kind == "omitted")
    whole = 5 + 1 + len(many)
    assert len([entry for entry in entries if entry.kind != "omitted"]) + left_out == whole
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_a_session_that_stays_is_reported_with_how_long() -> None:
    shown = [Session(7, "app", False, "busy", False)]
    views = [(NOON + 0.02, shown), (NOON + 0.1, shown), (NOON + 0.35, shown), (NOON + 0.9, [])]
    entries = told(written(*CONNECTED), connection(12), views=views, ended=NOON + 0.05)
    assert [entry.text for entry in entries if entry.text.startswith("reports")] == [
        "reports session A",
        "reports session A, 50 ms after every process had exited",
        "reports no session, 850 ms after every process had exited",
    ]


def test_a_connection_that_the_relay_closed_is_reported() -> None:
    entries = told(written(*CONNECTED), connection(12, query(13, "SELECT 1", 1), dropped=True))
    assert entries[-2].text == "still open after every process had exited: the relay closes it"


def test_a_run_without_steps_has_no_timeline() -> None:
    assert timeline(Run()) == Evidence()


# Whatever was recorded.

_steps = st.sampled_from(
    [
        "prepare",
        "connect",
        "look up 1",
        "look up 101",
        "look up 201",
        "close",
        "wait",
        "open",
        "watch",
        "commit",
        "work",
        "insert 1001",
        "read 7",
        "fork",
    ]
)
_results = st.sampled_from(
    [
        "",
        ": done",
        ": done, session 7",
        ": order 101, session 7",
        ": nothing",
        ": raised x.E 1: y",
        ": exit 0",
        ": signal SIGKILL",
    ]
)
_whos = st.sampled_from(["parent", "child 1", "child 2", "child 17", "parent/reader"])
_written = st.lists(st.tuples(st.floats(0, 50_000), _whos, _steps, _results), max_size=25)
_values = st.none() | st.integers() | st.text(max_size=5)
_events = st.builds(
    event,
    st.floats(-100, 60_000),
    st.sampled_from(["COM_QUERY", "COM_QUIT", "Terminate", "OK", "rows", "application_data", "ReadyForQuery", "?"]),
    st.sampled_from(["client", "server"]),
    st.sampled_from(["message", "fin", "rst", "tls", "undecoded", "connect", "refused", "omitted"]),
    st.integers(0, 10**9),
    exchange=st.none() | st.integers(),
    text=st.none() | st.text(max_size=9),
    rows=st.integers(0, 9),
    first=_values,
    last=_values,
    error=st.none() | st.sampled_from(["EPIPE", "ECONNRESET"]),
    could_be=st.none() | st.text(max_size=5),
    encrypted=st.booleans(),
)
_connections = st.builds(
    Connection,
    opened_at=st.floats(NOON, NOON + 60),
    closed_at=st.none() | st.floats(NOON, NOON + 60),
    session=st.none() | st.integers(0, 9),
    tls=st.booleans(),
    dropped=st.booleans(),
    client_pid=st.none() | st.integers(99, 103),
    server_port=st.none() | st.integers(1, 3),
    events=st.lists(_events, max_size=12),
)
_log_lines = st.builds(
    LogLine,
    st.none() | st.floats(NOON, NOON + 60),
    st.integers(0, 9),
    st.text(max_size=9),
    st.none() | st.integers(1, 3),
)
_views = st.tuples(
    st.floats(NOON, NOON + 60),
    st.lists(st.builds(Session, st.integers(0, 9), st.just("u"), st.none(), st.just("s"), st.none())),
)


@settings(deadline=None, max_examples=100)
@given(
    _written,
    st.lists(_connections, max_size=4),
    st.lists(_log_lines, max_size=4),
    st.lists(_views, max_size=4),
    st.sampled_from([0.0, NOON + 30]),
)
def test_any_records_give_a_timeline_that_can_be_written_and_drawn(
    texts: list[tuple[float, str, str, str]],
    connections: list[Connection],
    log_lines: list[LogLine],
    views: list[tuple[float, list[Session]]],
    ended: float,
) -> None:
    steps = written(*(f"{at} {who} {step}{result}" for at, who, step, result in texts))
    run = Run(steps=steps, began=NOON, ended=ended, connections=connections, log_lines=log_lines, views=views)
    found = timeline(run)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evidence) == found
    names = {"", "server", *found.processes}
    for entry in found.timeline:
        assert (entry.who or "").partition("/")[0] in names
        assert entry.session is None or entry.session in found.sessions
        assert (entry.reply_to or "") in names
    assert all(a.at <= b.at for a, b in itertools.pairwise(found.timeline))
    for row in drawing(observation(), found).rows:
        assert row.lane in names
        assert row.label


@pytest.mark.parametrize("thread", ["", "/reader"])
def test_a_thread_is_named_beside_its_process(thread: str) -> None:
    entries = told(written(*CONNECTED, f"20 parent{thread} look up 1"))
    assert entries[-1].who == f"parent{thread}"
