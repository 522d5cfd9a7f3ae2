"""What is read in a pasted text: any text at all, in linear time; and every public report as its source has it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.pages.pasted import Reading, nearest, read
from matrix.records.facts import DriverFacts
from matrix.records.reading import ROOT, read_toml
from tests.public_reports import Answer, answers, reports

FIVE_MB = 5_000_000
#: Texts of which any length can be made, ordinary and hostile.
PIECES = {
    "a log": "2026-11-24 10:00:00,000 ERROR worker 12: Error while handling a connection\n",
    "empty lines": "\n",
    "short lines": "abcde\n",
    "one word": "A",
    "dots": "a.",
    "dotted classes": "A.B",
    "blanks": "x ",
    "parentheses": "(",
    "classes": "Error",
    "frames": '  File "/x/site-packages/psycopg2/extras.py", line 3, in execute\n',
    "paths": "/a.py",
    "quotes": 'File "',
    "escaped": '\\n  File \\"/a.py\\"',
    "packets": "got 1 expected ",
    "unicode": "é☃",
    "numbers": "2006 (2013, ",
}
WORDS = st.sampled_from(
    [
        "psycopg2.OperationalError: ",
        "SSL error: ",
        "(2006, ",
        "\n",
        'File "',
        "celery/app.py",
        '", line 1, in x',
        "\x1b[0m",
        "Traceback (most recent call last):\n",
        "The above exception was the direct cause of",
        "(",
        ")",
        "'",
        "\\n",
        "\0",
    ]
)


@given(st.one_of(st.text(), st.binary(), st.lists(st.one_of(WORDS, st.text(max_size=5))).map("".join)))
def test_whatever_is_pasted_is_read(pasted: str | bytes) -> None:
    assert isinstance(read(pasted), Reading)


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_five_megabytes_are_read_in_well_under_a_second(piece: str) -> None:
    text = (piece * (FIVE_MB // len(piece) + 1))[:FIVE_MB]
    read("")  # the tables
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 1.5  # 0.1 to 0.6 on an idle machine


def test_five_megabytes_of_bytes_are_read_in_well_under_a_second() -> None:
    started = time.process_time()
    read(bytes(range(256)) * (FIVE_MB // 256))
    assert time.process_time() - started < 1.5


def test_an_error_at_the_end_of_a_long_log_is_found() -> None:
    noise = "".join(f"2013-10-04 10:00:{second % 60:02} GET /orders/{second}\n" for second in range(50_000))
    reading = read(noise + "psycopg2.OperationalError: SSL error: decryption failed or bad record mac\n")
    assert [raised.kind for raised in reading.exceptions] == ["psycopg2.OperationalError"]


def test_nothing_is_read_in_nothing() -> None:
    assert read("") == read(b"") == read("   \n\n") == Reading()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bytes_are_decoded(encoding: str) -> None:
    reading = read("psycopg2.OperationalError: der Server beendete die Verbindung überraschend".encode(encoding))
    assert reading.exceptions[0].message.endswith("überraschend")


def test_bytes_of_another_encoding_are_read_around() -> None:
    reading = read("psycopg2.OperationalError: überraschend".encode("latin-1"))
    assert reading.driver is not None
    assert reading.driver.name == "psycopg2"


def test_the_cause_comes_before_what_it_caused() -> None:
    text = """\
Traceback (most recent call last):
  File "/v/lib/python3.12/site-packages/django/db/backends/utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
psycopg.OperationalError: consuming input failed: SSL error: decryption failed or bad record mac

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/v/lib/python3.12/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
django.db.utils.OperationalError: consuming input failed: SSL error: decryption failed or bad record mac
Traceback (most recent call last):
  File "other.py", line 1, in <module>
KeyError: 'x'
"""
    reading = read(text)
    assert [(raised.kind, raised.traceback) for raised in reading.exceptions] == [
        ("psycopg.OperationalError", 0),
        ("django.db.utils.OperationalError", 0),
        ("KeyError", 1),
    ]
    assert reading.exceptions[0].frames == ("django/db/backends/utils.py _execute",)


def test_an_exception_that_another_one_quotes_comes_first() -> None:
    reading = read(
        "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) server closed the connection unexpectedly"
    )
    assert [raised.kind for raised in reading.exceptions] == [
        "psycopg2.OperationalError",
        "sqlalchemy.exc.OperationalError",
    ]


def test_a_module_is_certain_and_a_message_only_likely() -> None:
    by_module, by_message = read("psycopg2.OperationalError: x").driver, read("SSL error: bad record mac").driver
    assert by_module is not None
    assert by_message is not None
    assert (by_module.name, by_module.certain) == ("psycopg2", True)
    assert (by_message.name, by_message.certain) == ("psycopg2", False)


def test_a_frame_that_calls_the_driver_itself_says_that_there_is_no_orm() -> None:
    called = "Traceback (most recent call last):\n"
    called += (
        '  File "/app/main.py", line 3, in job\n  File "/v/site-packages/psycopg/cursor.py", line 97, in execute\n'
    )
    error = "psycopg.OperationalError: the connection is lost"
    orm = read(called + error).orm
    assert (orm and orm.name, orm and orm.by) == ("none", "psycopg/cursor.py execute")
    wrapped = called.replace("/app/main.py", "/v/site-packages/sqlalchemy/engine/default.py")
    assert (orm := read(wrapped + error).orm)
    assert orm.name == "sqlalchemy"
    assert read(error).orm is None


def test_a_home_folder_names_no_launcher() -> None:
    assert read('File "/home/celery/app/views.py", line 1, in get\nValueError: x').launcher is None


def test_an_error_below_connect_was_raised_while_connecting() -> None:
    frame = '  File "/v/lib/python3.12/site-packages/{}", line 1, in {}\n'
    below = read(
        frame.format("psycopg2/__init__.py", "connect") + "psycopg2.OperationalError: SSL SYSCALL error: EOF detected"
    )
    ping = read(
        frame.format("sqlalchemy/pool/base.py", "connect") + frame.format("sqlalchemy/engine/default.py", "do_ping")
    )
    assert below.connecting is not None
    assert ping.connecting is None


@pytest.mark.parametrize("path", sorted(ROOT.glob("drivers/*/driver.toml")), ids=lambda path: path.parent.name)
def test_every_driver_is_read_by_its_module(path: Path) -> None:
    facts = read_toml(path, DriverFacts)
    text = f'File "/v/lib/python3.12/site-packages/{facts.module.replace(".", "/")}/cursors.py", line 3, in execute'
    reading = read(text, {path.parent.name: facts})
    assert reading.driver is not None
    assert reading.protocol is not None
    assert (reading.driver.name, reading.driver.certain) == (path.parent.name, True)
    assert reading.protocol.name == facts.protocol


def test_an_unknown_driver_gets_the_nearest_of_its_own_protocol() -> None:
    ran = {path.parent.name: read_toml(path, DriverFacts).protocol for path in ROOT.glob("drivers/*/driver.toml")}
    for name, protocol in ran.items():
        assert nearest(name, None, ran) == name
        assert ran[nearest("a driver of tomorrow", protocol, ran) or ""] == protocol
    assert nearest("cx_Oracle", "oracle", ran) is None
    assert nearest("aiomysql", None, {"psycopg": "postgresql", "mysqlclient": "mysql"}) == "mysqlclient"
    assert nearest("aiomysql", None, {"psycopg": "postgresql"}) is None


@pytest.mark.parametrize("answer", answers(), ids=lambda answer: answer.report.source)
def test_nothing_that_is_read_contradicts_the_report(answer: Answer) -> None:
    assert not list(answer.wrong())


@pytest.mark.parametrize("prefix", ["worker_1  | ", "[2013-10-04 10:00:00,000: ERROR/MainProcess] ", "\x1b[31m", "> "])
def test_what_logs_put_before_a_line_does_not_matter(prefix: str) -> None:
    for report in reports()["fork"]:
        plain = read(report.text)
        logged = read("\n".join(prefix + line for line in report.text.splitlines()))
        if plain.driver and plain.driver.certain:
            assert logged.driver is not None
            assert logged.driver.name == plain.driver.name
