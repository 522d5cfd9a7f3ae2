"""What a run must be to be evidence: its sessions went as the cell's transport says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.records.wire import Connection
from matrix.run.tap import is_encrypted_as_asked
from matrix.wire import fuzz
from matrix.wire.recorder import DECODERS, Recorder

if TYPE_CHECKING:
    from matrix.wire.fuzz import Conversation

PROTOCOLS = {"mysql": "mysql-pymysql", "postgresql": "postgresql-psycopg"}


def recorded(protocol: str, talk: Conversation) -> Connection:
    connection = Connection(opened_at=0)
    recorder = Recorder(DECODERS[protocol](), connection)
    for at, (sender, data) in enumerate(talk):
        recorder.data(sender, data, at)
    recorder.closed(len(talk))
    return recorder.result()


def conversation(protocol: str, *, tls: bool) -> Conversation:
    name = PROTOCOLS[protocol] + ("-tls" if tls else "")
    return fuzz.read_conversation(fuzz.CORPUS / f"{name}.hex")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("tls", [True, False])
def test_a_session_goes_over_one_transport_only(protocol: str, *, tls: bool) -> None:
    connection = recorded(protocol, conversation(protocol, tls=tls))
    assert is_encrypted_as_asked(connection, "tls") is tls
    assert is_encrypted_as_asked(connection, "tcp") is not tls
    assert is_encrypted_as_asked(connection, "unix") is not tls


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_session_that_ends_before_its_encryption_is_none_in_the_clear(protocol: str) -> None:
    talk = conversation(protocol, tls=True)
    cut_short = [recorded(protocol, talk[:length]) for length in range(len(talk))]
    assert all(is_encrypted_as_asked(connection, "tls") for connection in cut_short)
    # Some of them ended after the client had asked for encryption, and before it had it.
    assert any(
        not connection.tls and any(event.sender == "client" for event in connection.events) for connection in cut_short
    )
