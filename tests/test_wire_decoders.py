"""The decoders of both protocols: real conversations, generated ones, and bytes that are neither."""

from __future__ import annotations

import random
import struct
import zipfile
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.records.wire import Event, Kind
from matrix.wire import describe, fuzz
from matrix.wire.framer import CAPTURE
from matrix.wire.mysql import MySQLDecoder
from matrix.wire.postgresql import PostgreSQLDecoder
from matrix.wire.recorder import DECODERS

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.wire import Sender
    from matrix.wire.fuzz import Conversation

CONVERSATIONS = sorted(fuzz.CORPUS.glob("*.hex"))
PROTOCOLS = sorted(DECODERS)
PIECES = st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=200)), max_size=12)


def expected_events(path: Path) -> list[Event]:
    return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=list[Event])


def phrases(events: list[Event]) -> list[str]:
    return [f"{'>' if event.sender == 'client' else '<'} {describe(event)}" for event in events]


# Real conversations


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_a_real_conversation_is_read_as_expected(path: Path) -> None:
    decoder = DECODERS[path.name.partition("-")[0]]()
    events = fuzz.decode(decoder, fuzz.read_conversation(path))
    assert events == expected_events(path)


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("seed", range(10))
def test_a_real_conversation_is_read_the_same_in_pieces(path: Path, seed: int) -> None:
    fuzz.check(path.name.partition("-")[0], fuzz.read_conversation(path), random.Random(seed))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_a_real_conversation_is_the_same_after_it_was_an_input_in_bytes(path: Path) -> None:
    protocol, conversation = path.name.partition("-")[0], fuzz.read_conversation(path)
    assert fuzz.from_bytes(fuzz.to_bytes(protocol, conversation)) == (protocol, conversation)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_input(data: bytes) -> None:
    protocol, conversation = fuzz.from_bytes(data)
    fuzz.check(protocol, conversation, random.Random(len(data)))


def test_inputs_that_were_found_by_the_code_that_they_reach_break_nothing() -> None:
    with zipfile.ZipFile(fuzz.FOUND) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            protocol, conversation = fuzz.from_bytes(data)
            fuzz.check(protocol, conversation, random.Random(len(data)))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_no_secret_of_a_real_conversation_is_recorded(path: Path) -> None:
    assert "not to be recorded" not in path.with_suffix(".json").read_text()
    for event in expected_events(path):
        if "authentication" in event.name.lower() or "SASL" in event.name:
            facts = msgspec.to_builtins(event).keys()
            assert facts <= {"at", "sender", "kind", "name", "length", "seq", "exchange", "mechanism"}


def test_termination_messages_are_read() -> None:
    for name, termination in (("mysql-pymysql", "> COM_QUIT"), ("postgresql-psycopg", "> Terminate")):
        path = fuzz.CORPUS / f"{name}.hex"
        decoder = DECODERS[name.partition("-")[0]]()
        assert phrases(fuzz.decode(decoder, fuzz.read_conversation(path)))[-1] == termination


def test_replies_are_matched_to_queries_when_two_processes_send_at_the_same_time() -> None:
    for name in ("mysql-pymysql-shared", "postgresql-psycopg-shared"):
        events = expected_events(fuzz.CORPUS / f"{name}.json")
        asked = {e.exchange: e.text[-3:] for e in events if e.text}
        given_ = {e.exchange: str(e.first) for e in events if e.first is not None}
        assert {"101", "102"} <= set(given_.values())
        assert given_.items() <= asked.items()


# Any bytes


@given(st.sampled_from(PROTOCOLS), PIECES, st.integers())
def test_any_bytes_are_survived_counted_and_read_the_same_in_pieces(
    protocol: str, pieces: Conversation, seed: int
) -> None:
    fuzz.check(protocol, pieces, random.Random(seed))


@given(st.sampled_from(CONVERSATIONS), st.sampled_from(PROTOCOLS), st.integers())
@settings(max_examples=50)
def test_mutations_of_real_conversations_are_survived(path: Path, protocol: str, seed: int) -> None:
    chance = random.Random(seed)
    fuzz.check(protocol, fuzz.mutate(fuzz.read_conversation(path), chance), chance)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_enormous_messages_do_not_fill_the_memory(protocol: str) -> None:
    decoder = DECODERS[protocol]()
    start = fuzz.read_conversation(
        fuzz.CORPUS / ("mysql-pymysql.hex" if protocol != "postgresql" else "postgresql-psycopg.hex")
    )
    for sender, data in start[:7]:
        decoder.feed(sender, data, 0.0)
    huge = b"\xff\xff\xff\0\3" if protocol != "postgresql" else b"Q\x3f\xff\xff\xff"
    decoder.feed("client", huge, 0.0)
    for _ in range(100):
        decoder.feed("client", b"x" * 100_000, 0.0)
        assert decoder.held <= 2 * CAPTURE + 32
    (event,) = decoder.end("client")[-1:]
    assert event.length == len(huge) + 10_000_000


# MySQL, built by hand

GREETING_CAPS = (1 << 9) | (1 << 15) | (1 << 19) | (1 << 24) | 1 | 8


def packet(seq: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([seq]) + body


def lenenc(data: bytes) -> bytes:
    if len(data) < 251:
        return bytes([len(data)]) + data
    return b"\xfc" + struct.pack("<H", len(data)) + data


def mysql_login(session: int = 7, caps: int = GREETING_CAPS) -> Conversation:
    greeting = b"\x0a8.0.1\0" + struct.pack("<I", session) + b"saltsalt\0" + struct.pack("<H", caps & 0xFFFF)
    greeting += b"\x21\2\0" + struct.pack("<H", caps >> 16) + b"\x15" + b"\0" * 10 + b"saltsaltsalt\0"
    login = struct.pack("<IIB23x", caps, 1 << 24, 0x21) + b"someone\0" + b"\x14" + b"h" * 20 + b"orders\0"
    return [
        ("server", packet(0, greeting)),
        ("client", packet(1, login)),
        ("server", packet(2, b"\0\0\0\2\0\0\0")),
    ]


def column(name: bytes, kind: int) -> bytes:
    head = b"".join(map(lenenc, (b"def", b"db", b"t", b"t", name, name)))
    return head + b"\x0c" + struct.pack("<HIBHBxx", 0x21, 11, kind, 0, 0)


def text_result(rows: list[int], *, more: bool = False, first_seq: int = 1, deprecate_eof: bool = True) -> bytes:
    bodies = [b"\2", column(b"id", 3), column(b"customer", 253)]
    bodies += [] if deprecate_eof else [b"\xfe\0\0\2\0"]
    bodies += [lenenc(str(row).encode()) + b"\xfb" for row in rows]
    status = struct.pack("<H", 2 | (8 if more else 0))
    bodies += [b"\xfe\0\0" + status + b"\0\0" if deprecate_eof else b"\xfe\0\0" + status]
    return b"".join(packet((first_seq + number) & 0xFF, body) for number, body in enumerate(bodies))


def query(text: str, seq: int = 0) -> bytes:
    return packet(seq, b"\3" + text.encode())


@given(
    st.integers(0, 2**32 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=600),
    st.booleans(),
)
def test_mysql_says_what_a_conversation_was_built_from(
    session: int, text: str, rows: list[int], deprecate_eof: bool
) -> None:
    caps = GREETING_CAPS if deprecate_eof else GREETING_CAPS & ~(1 << 24)
    decoder = MySQLDecoder()
    talk = mysql_login(session, caps)
    talk += [("client", query(f"SELECT {text}")), ("server", text_result(rows, deprecate_eof=deprecate_eof))]
    greeting, login, ok, asked, answer = fuzz.decode(decoder, talk)
    assert decoder.session == session == greeting.session
    assert (login.user, login.database) == ("someone", "orders")
    assert ok.autocommit is True
    assert asked.exchange == answer.exchange == 1
    if "password" not in text.lower() and "identified" not in text.lower():
        assert asked.text == f"SELECT {text}"
    assert answer.rows == len(rows)
    assert answer.columns == ["id", "customer"]
    assert answer.sequence is None
    if rows:
        assert (answer.first, answer.last) == (rows[0], rows[-1])


def test_mysql_several_results_belong_to_one_command() -> None:
    talk = mysql_login()
    talk += [("client", query("SELECT 1; SELECT 2")), ("server", text_result([1], more=True))]
    talk += [
        ("server", text_result([2], first_seq=6)),
        ("client", packet(0, b"\x0e")),
        ("server", packet(1, b"\0\0\0\2\0\0\0")),
    ]
    *_, first, second, ping, pong = fuzz.decode(MySQLDecoder(), talk)
    assert (first.exchange, first.first) == (1, 1)
    assert (second.exchange, second.first) == (1, 2)
    assert ping.exchange == pong.exchange == 2


def test_mysql_finds_its_place_again_after_an_answer_that_was_cut() -> None:
    talk = mysql_login()
    talk += [("client", query("SELECT 101")), ("client", query("SELECT 102"))]
    talk += [("server", text_result([101])[:5]), ("server", text_result([102]))]
    *_, broken, answer = fuzz.decode(MySQLDecoder(), talk)
    assert broken.cut_off_by == "the next answer"
    assert (answer.exchange, answer.first) == (2, 102)


def test_mysql_notes_a_sequence_number_that_is_out_of_order() -> None:
    talk = mysql_login()
    talk += [
        ("client", query("SELECT 1", seq=5)),
        ("client", query("SELECT 2")),
        ("server", text_result([2], first_seq=3)),
    ]
    *_, wrong, right, answer = fuzz.decode(MySQLDecoder(), talk)
    assert (wrong.name, wrong.sequence) == ("unexpected packet", "expected 0, got 5")
    assert right.sequence is None
    assert answer.sequence == "expected 1, got 3"


def test_mysql_joins_packets_of_16_mb() -> None:
    statement = b"\3SELECT '" + b"x" * 0xFFFFFF
    talk = mysql_login()
    talk += [("client", packet(0, statement[:0xFFFFFF])), ("client", packet(1, statement[0xFFFFFF:]))]
    talk += [("server", text_result([1], first_seq=2))]
    *_, asked, answer = fuzz.decode(MySQLDecoder(), talk)
    assert asked.length == 8 + len(statement)
    assert len(asked.text or "") == 500
    assert asked.sequence is None
    assert answer.sequence is None


def test_mysql_an_unsolicited_error() -> None:
    error = b"\xff" + struct.pack("<H", 4031) + b"#HY000The client was disconnected"
    *_, event = fuzz.decode(MySQLDecoder(), [*mysql_login(), ("server", packet(0, error))])
    assert describe(event) == "ERR 4031 (HY000) The client was disconnected"
    assert event.exchange is None
    assert event.sequence is None


def test_mysql_an_error_in_the_middle_of_a_result_ends_it() -> None:
    whole = text_result([101, 102])
    error = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    talk = mysql_login()
    talk += [("client", query("SELECT 1")), ("server", whole[: -4 - 7] + packet(6, error))]
    *_, rows, event = fuzz.decode(MySQLDecoder(), talk)
    assert describe(rows) == "rows 2: (101, ...) to (102, ...) (cut off by an error)"
    assert event.code == 1317


def test_mysql_another_protocol_is_not_decoded() -> None:
    decoder = MySQLDecoder()
    events = fuzz.decode(decoder, [("server", b"SSH-2.0-OpenSSH_9.2\r\n"), ("client", b"SSH-2.0-x\r\n")])
    assert {event.kind for event in events} == {"undecoded"}


# PostgreSQL, built by hand


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


def startup(**parameters: str) -> bytes:
    body = b"\0\3\0\0" + b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", 4 + len(body)) + body


def postgresql_login(session: int = 7) -> Conversation:
    return [
        ("client", startup(user="someone", database="orders")),
        ("server", message(b"R", b"\0\0\0\0") + message(b"K", struct.pack("!II", session, 1)) + message(b"Z", b"I")),
    ]


def int_column(name: bytes, form: int = 0) -> bytes:
    return name + b"\0" + struct.pack("!IHIHIH", 0, 0, 23, 4, 0xFFFFFFFF, form)


def data_row(value: bytes | None) -> bytes:
    if value is None:
        return message(b"D", struct.pack("!Hi", 1, -1))
    return message(b"D", struct.pack("!Hi", 1, len(value)) + value)


@given(
    st.integers(0, 2**31 - 1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=50),
    st.booleans(),
)
def test_postgresql_says_what_a_conversation_was_built_from(
    session: int, text: str, rows: list[int], binary: bool
) -> None:
    decoder = PostgreSQLDecoder()
    answer = message(b"T", b"\0\1" + int_column(b"id", int(binary)))
    answer += b"".join(data_row(struct.pack("!i", row) if binary else str(row).encode()) for row in rows)
    answer += message(b"C", b"SELECT 1\0") + message(b"Z", b"T")
    talk = postgresql_login(session)
    talk += [("client", message(b"Q", f"SELECT {text}".encode() + b"\0")), ("server", answer)]
    events = fuzz.decode(decoder, talk)
    assert decoder.session == session
    assert (events[0].user, events[0].database, events[0].exchange) == ("someone", "orders", 0)
    asked = next(event for event in events if event.name == "Query")
    if "password" not in text.lower() and "identified" not in text.lower():
        assert asked.text == f"SELECT {text}"
    answers = events[events.index(asked) + 1 :]
    assert {event.exchange for event in answers} == {1}
    assert answers[-1].in_transaction is True
    found = [event for event in answers if event.name == "DataRow"]
    assert [event.rows for event in found] == ([len(rows)] if rows else [])
    if rows:
        assert (found[0].first, found[0].last) == (rows[0], rows[-1])


def test_postgresql_bind_shows_the_first_parameter() -> None:
    bind = b"portal\0statement\0" + struct.pack("!HH", 1, 1) + struct.pack("!HiI", 2, 4, 101)
    bind += struct.pack("!i", 1) + b"x" + struct.pack("!H", 0)
    *_, event = fuzz.decode(PostgreSQLDecoder(), [*postgresql_login(), ("client", message(b"B", bind))])
    assert describe(event) == "Bind (101, ...)"


def test_postgresql_encryption_may_be_refused() -> None:
    talk: Conversation = [("client", struct.pack("!II", 8, 80877104)), ("server", b"N")]
    talk += [("client", struct.pack("!II", 8, 80877103)), ("server", b"N"), *postgresql_login()]
    assert phrases(fuzz.decode(PostgreSQLDecoder(), talk))[:5] == [
        "> GSSENCRequest",
        "< encryption refused",
        "> SSLRequest",
        "< encryption refused",
        "> StartupMessage someone on orders",
    ]


def test_postgresql_an_error_may_answer_a_request_for_encryption() -> None:
    talk: Conversation = [("client", struct.pack("!II", 8, 80877103))]
    talk += [("server", message(b"E", b"SFATAL\0C53300\0Mtoo many clients\0\0"))]
    *_, event = fuzz.decode(PostgreSQLDecoder(), talk)
    assert describe(event) == "ErrorResponse FATAL 53300 too many clients"


def test_postgresql_tls_may_start_at_once() -> None:
    decoder = PostgreSQLDecoder()
    hello = b"\x16\3\1\0\x05\1\0\0\1x"
    assert phrases(fuzz.decode(decoder, [("client", hello)])) == ["> TLS ClientHello"]
    assert decoder.tls


def test_postgresql_counts_what_follows_a_length_that_cannot_be() -> None:
    talk = [*postgresql_login(), ("client", message(b"Q", b"SELECT 1\0") + b"Q\0\0\0\0rubbish")]
    *_, good, bad = fuzz.decode(PostgreSQLDecoder(), talk)
    assert good.text == "SELECT 1"
    assert describe(bad) == "12 bytes not decoded (no message)"


# TLS


def test_tls_alerts_in_clear_are_read() -> None:
    talk: Conversation = [("client", b"\x16\3\1\0\4\1\0\0\0"), ("server", b"\x15\3\3\0\2\2\x28")]
    assert phrases(fuzz.decode(PostgreSQLDecoder(), talk))[-1] == "< TLS alert handshake_failure"


def test_tls_1_2_alerts_are_seen_although_they_are_encrypted() -> None:
    hello = b"\2\0\0\x28\3\3" + b"r" * 32 + b"\0\xc0\x2f\0\0\0"
    talk: Conversation = [("client", b"\x16\3\1\0\4\1\0\0\0")]
    talk += [("server", b"\x16\3\3" + struct.pack("!H", len(hello)) + hello)]
    talk += [("client", b"\x14\3\3\0\1\1" + b"\x15\3\3\0\x1a" + b"e" * 26)]
    decoder = PostgreSQLDecoder()
    *_, alert = fuzz.decode(decoder, talk)
    assert describe(alert) == "TLS alert, encrypted, 31 bytes"
    assert alert.plaintext_at_most == 2
    assert decoder.opaque_from is not None


# Phrases


@given(st.text(max_size=300), st.sampled_from(["message", "tls", "undecoded", "rst", "omitted"]))
def test_a_phrase_is_one_printable_line(name: str, kind: Kind) -> None:
    assert describe(Event(0.0, "client", kind, name, 1, text=name)).isprintable()


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("ALTER USER x IDENTIFIED BY 'it''s'", "ALTER USER x IDENTIFIED BY '***'"),
        ("ALTER ROLE x PASSWORD 'a\\'b' VALID UNTIL 'now'", "ALTER ROLE x PASSWORD '***' VALID UNTIL '***'"),
        ('SET PASSWORD = PASSWORD("secret")', "SET PASSWORD = PASSWORD('***')"),
        ("CREATE USER x IDENTIFIED BY 'cut", "CREATE USER x IDENTIFIED BY '***'"),
        ("SELECT 'a'", "SELECT 'a'"),
    ],
)
def test_a_statement_that_sets_a_password_is_kept_without_it(statement: str, kept: str) -> None:
    *_, event = fuzz.decode(MySQLDecoder(), [*mysql_login(), ("client", query(statement))])
    assert event.text == kept


# The fuzzer


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_fuzzer_checks_as_many_inputs_as_it_is_asked_to(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--inputs", "70", "--jobs", jobs]) == 0
    assert capsys.readouterr().out.startswith("70 inputs ")


def test_the_fuzzer_finds_a_decoder_that_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class RaisesOnQuit(MySQLDecoder):
        def feed(self, sender: Sender, data: bytes, at: float) -> list[Event]:
            assert data[4:] != b"\1", "on purpose"
            return super().feed(sender, data, at)

    monkeypatch.setitem(DECODERS, "mysql", RaisesOnQuit)
    assert fuzz.main(["--seconds", "20", "--jobs", "1"]) == 1
    seed = capsys.readouterr().err.split()[1]
    with pytest.raises(AssertionError, match="on purpose"):
        fuzz.main(["--seed", seed])


def test_what_caching_sha2_password_says_is_named_and_nothing_of_it_is_recorded() -> None:
    def login(name: str) -> list[str]:
        names = [event.name for event in expected_events(fuzz.CORPUS / f"{name}.json")]
        return names[names.index("HandshakeResponse") + 1 : names.index("OK")]

    whole = ["perform_full_authentication", "request_public_key", "public key", "authentication data"]
    assert login("mysql-9-pymysql") == login("mysql-9-mysqlclient") == whole
    assert login("mysql-9-pymysql-cached") == ["fast_auth_success"]
