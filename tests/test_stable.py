"""What differs from run to run is taken out, and nothing else."""

from __future__ import annotations

import pytest

from matrix.records.stable import Letters, plain, sessions, stable
from matrix.records.steps import Step


def look_up(number: int, session: int) -> Step:
    return Step(
        who="parent", action="look up", about=number, result="order", order=number, session=session, pid=7, at=1.5
    )


def test_sessions_have_letters_in_the_order_of_their_first_step() -> None:
    steps = [look_up(1, 33), look_up(2, 40), look_up(3, 33)]
    assert [step.session for step in plain(steps)] == ["A", "B", "A"]
    assert sessions(steps) == [33, 40]


def test_letters_go_on_after_z() -> None:
    letters = Letters()
    assert [letters.letter(number) for number in range(100, 128)][-3:] == ["Z", "AA", "AB"]
    assert letters.letter(100) == "A"


def test_a_plain_step_has_no_time_and_no_pid() -> None:
    assert plain([look_up(1, 33)]) == [
        Step(who="parent", action="look up", about=1, result="order", order=1, session="A")
    ]


def test_the_name_that_an_orm_makes_for_a_cursor_is_left_out() -> None:
    assert stable('cursor "_django_curs_1402_sync_1" does not exist') == 'cursor "NAME" does not exist'


def test_only_the_text_of_an_error_is_changed() -> None:
    text = "/srv/port 5432"
    steps = [Step(who="parent", action="read", result="raised", error="x.Error", text=text)]
    steps += [Step(who="parent", action="read", result="row", text=text)]
    assert [step.text for step in plain(steps)] == [".../port N", text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'connection to server on socket "/tmp/fc-1/.s.PGSQL.5432" failed; port 5432, thread: 12',
            'connection to server on socket ".../.s.PGSQL.5432" failed; port N, thread: N',
        ),
        ("<Connection at 0x7f00deadbeef>", "<Connection at 0x...>"),
        (
            "Task <Task pending name='Task-9' coro=<child() running at /srv/shop/main.py:31>> got Future",
            "Task <Task pending name='Task-N' coro=<child() running at .../main.py:N>> got Future",
        ),
        ("Can't connect to 127.0.0.1:40123", "Can't connect to 127.0.0.1:N"),
        ("Table 'matrix_0123abcd_17.orders' doesn't exist", "Table 'DATABASE.orders' doesn't exist"),
        (
            "(2013, 'Lost connection to MySQL server during query')",
            "(2013, 'Lost connection to MySQL server during query')",
        ),
    ],
)
def test_ports_pids_addresses_folders_and_databases_are_taken_out_of_a_text(text: str, expected: str) -> None:
    assert stable(text) == expected
