"""Which cause is named for a pasted text: for every public report, and never fewer of them right than before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.catalogue import drivers
from matrix.catalogue.launchers import applications, launchers
from matrix.errors import MatrixError
from matrix.pages import causes
from matrix.pages.answers import answer
from matrix.pages.causes import weigh
from matrix.pages.explain import printed
from matrix.pages.pasted import read
from matrix.records.reading import read_toml
from tests.public_reports import FORK, answers, facts, false_alarms, fits, reports, saved_score, score

#: What a pasted text may be made of, in any order.
PIECES = [
    "Traceback (most recent call last):\n",
    '  File "/v/site-packages/psycopg2/extras.py", line 1, in execute\n',
    "psycopg2.OperationalError: SSL error: ",
    "decryption failed or bad record mac",
    "(2006, 'MySQL server has gone away')",
    "The above exception was the direct cause of the following exception:\n",
    "Process ForkProcess-1:",
    "\n",
    "\0",
    "é\udce9",
]


def first(text: str, **flags: str) -> str | None:
    verdicts = weigh(read(text), **flags)
    return verdicts[0].cause.id if verdicts else None


def test_every_report_has_a_cause_that_is_described() -> None:
    assert reports().keys() <= causes.causes().keys()


def test_a_check_of_one_protocol_is_not_printed_for_another() -> None:
    fork = causes.causes()[FORK].checks
    assert not any("CONNECTION_ID" in check for check in fork.of("postgresql"))
    assert not any("pg_backend_pid" in check for check in fork.of("mysql"))
    assert {*fork.of("mysql"), *fork.of("postgresql")} == {*fork.of(None)}


@pytest.mark.parametrize("flags", [False, True], ids=["without flags", "with flags"])
def test_nine_of_ten_forks_get_the_cause_and_code_for_their_orm_and_database(flags: bool) -> None:
    forks = [one for one in answers() if one.cause == FORK]
    right = [one for one in forks if fits(one.report, FORK, one.given_with_flags if flags else one.given)]
    assert len(right) >= 0.9 * len(forks)


def test_the_score_does_not_fall(record_property: Callable[[str, object], None]) -> None:
    now, saved = score(), saved_score()
    for table, counts in now.items():
        record_property(table, counts)
    fallen = {
        f"{table}, {key}: {number} before, {now.get(table, {}).get(key, 0)} now"
        for table, counts in saved.items()
        for key, number in counts.items()
        if now.get(table, {}).get(key, 0) < number
    }
    assert not fallen


def test_a_score_that_rose_is_written_down() -> None:
    assert score() == saved_score(), "run `python -m tests.public_reports --update`"


@pytest.mark.parametrize("flags", [False, True], ids=["without flags", "with flags"])
def test_at_most_one_near_miss_is_called_a_fork(flags: bool) -> None:
    assert len(false_alarms(flags=flags)) <= 1


def test_a_fork_is_at_least_named() -> None:
    for one in answers():
        if one.cause == FORK:
            assert FORK in one.named, one.report.source


def test_a_long_log_around_a_report_changes_no_verdict() -> None:
    noise = "".join(f"2013-10-04 10:00:00 INFO GET /orders/{order} 200 in 2006 ms\n" for order in range(2000))
    for one in answers():
        verdicts = weigh(read(noise + one.report.text + "\n" + noise))
        assert [verdict.cause.id for verdict in verdicts[:1]] == list(one.named[:1]), one.report.source


@given(st.one_of(st.text(), st.binary()))
def test_whatever_is_pasted_gets_verdicts_in_order(pasted: str | bytes) -> None:
    verdicts = weigh(read(pasted))
    assert [one.points for one in verdicts] == sorted((one.points for one in verdicts), reverse=True)
    assert all(one.sure == "possible" for one in verdicts[1:])


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_whatever_is_pasted_gets_an_answer_or_one_line(pasted: str | bytes) -> None:
    found = answer(facts(), pasted)
    lines = printed(found).splitlines()
    assert lines[0].startswith("What happened: " if found.known else "Unknown: ")
    assert len(found.verdict) == (3 if found.known else 0)


@pytest.mark.parametrize("stack", drivers()["psycopg2"].facts.stacks)
def test_without_an_orm_there_is_code_for_every_stack_of_the_driver_under_launchers_of_it(stack: str) -> None:
    text = "psycopg2.OperationalError: SSL error: decryption failed or bad record mac"
    stacks = {name: one.facts.stack for name, one in applications().items()}
    running = [name for name, one in launchers().items() if stack in {stacks[each] for each in one.facts.applications}]
    assert running
    for launcher in (None, *running):
        assert stack in {fix.stack for fix in answer(facts(), text, launcher=launcher).fixes}, launcher


def test_nothing_fits_where_no_database_is_spoken_of() -> None:
    assert weigh(read("KeyError: 'x'")) == ()
    assert weigh(read("")) == ()


@pytest.mark.parametrize("year", ["2006", "2013", "2014", "2027"])
def test_a_date_is_no_error_number(year: str) -> None:
    assert weigh(read(f"{year}-10-04 10:00:00,000 INFO GET / {year}")) == ()


def test_an_error_raised_while_connecting_is_no_fork_whatever_the_launcher() -> None:
    text = """\
  File "/v/lib/python3.12/multiprocessing/process.py", line 314, in _bootstrap
  File "/v/lib/python3.12/site-packages/psycopg2/__init__.py", line 122, in connect
psycopg2.OperationalError: SSL SYSCALL error: EOF detected
"""
    assert first(text) == "connecting"
    assert first(text, launcher="celery", orm="sqlalchemy") == "connecting"


def test_the_launcher_decides_where_the_message_does_not() -> None:
    text = "OperationalError: (2006, 'MySQL server has gone away')"
    assert first(text) == "idle"
    assert first(text, launcher="multiprocessing") == FORK
    assert first(text, launcher="gunicorn") == "idle"


def test_a_queue_that_idles_for_hours_is_no_fork_on_mysql() -> None:
    assert first("(2006, 'MySQL server has gone away')", launcher="rq", orm="django") == "idle"
    assert first("django.db.utils.OperationalError: the connection is closed", launcher="rq", orm="django") == FORK


def test_a_spawned_process_inherits_nothing() -> None:
    assert first("SpawnProcess-1: (2006, 'MySQL server has gone away')") == "idle"


def test_the_first_traceback_counts_more_than_a_later_one() -> None:
    traceback = "Traceback (most recent call last):\n  File 'a.py', line 1, in x\n{}\n"
    early = traceback.format("pymysql.err.InternalError: Packet sequence number wrong - got 1 expected 2")
    late = traceback.format("psycopg2.OperationalError: SSL error: decryption failed or bad record mac")
    assert first(early + late) == "threads"
    assert first(late + early) == FORK


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[sign]]\ntext = "x"\npoints = { luck = 1 }', "no cause is called luck"),
        ("[[sign]]\npoints = { fork = 1 }", "nothing to look for"),
        ('[[sign]]\ntext = "SSL"\npoints = { fork = 1 }', "capital letter"),
        ('[[sign]]\ntext = "x"\nframe = "y"\npoints = { fork = 1 }', "not both"),
    ],
)
def test_a_sign_that_can_never_be_found_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "causes.toml"
    words = "\n".join(f'{key} = "x"' for key in ("brief", "title", "meaning", "differs", "fix"))
    cause = f'[[cause]]\nid = "fork"\n{words}\nchecks = {{ any = ["x"] }}\n'
    path.write_text(cause + text, encoding="utf-8")
    with pytest.raises(MatrixError, match=problem):
        read_toml(path, causes._File)
