"""What the relay records of a connection."""

from __future__ import annotations

from typing import Literal

import msgspec

Sender = Literal["client", "server"]
Kind = Literal["message", "fin", "rst", "tls", "undecoded", "connect", "refused", "omitted"]


class Event(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Something one side sent, or did to its socket.

    `at`: seconds since the epoch at which the relay had received its first byte. `sender`: the side. `name`: the
    protocol's own name for it. `length`: bytes on the wire, headers included. The other fields hold what could be read
    of it, and are None where it has none or where it could not be read:

    `exchange` numbers what belongs together: 0 is logging in, and then each query with its reply has the next number.
    `sequence` says what was expected if a MySQL packet's number `seq` is out of order, `cut_off_by` what came before
    the end of a result. `session` is the id of the server session that a message names. `first` and `last` are the
    first values of the first and the last of `rows` consecutive rows; `first` is also that of `parameters`. `copies`
    counts consecutive pieces of COPY data. `plaintext_at_most` and `could_be` are what the length of an encrypted TLS
    record tells. `events` counts what was not recorded.
    """

    at: float
    sender: Sender
    kind: Kind
    name: str
    length: int = 0
    exchange: int | None = None
    seq: int | None = None
    sequence: str | None = None
    cut_off_by: str | None = None
    session: int | None = None
    version: str | None = None
    user: str | None = None
    database: str | None = None
    mechanism: str | None = None
    plugin: str | None = None
    parameter: str | None = None
    value: str | None = None
    text: str | None = None
    statement: int | str | None = None
    parameters: int | None = None
    column_count: int | None = None
    columns: list[str] | None = None
    rows: int = 0
    first: int | str | None = None
    last: int | str | None = None
    copies: int = 0
    tag: str | None = None
    affected: int | None = None
    in_transaction: bool | None = None
    autocommit: bool | None = None
    state: str | None = None
    severity: str | None = None
    code: int | None = None
    sqlstate: str | None = None
    message: str | None = None
    file: str | None = None
    encrypted: bool = False
    handshake: list[str] | None = None
    alert: str | None = None
    plaintext_at_most: int | None = None
    could_be: str | None = None
    error: str | None = None
    events: int | None = None


class Connection(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Everything recorded of one connection from a client through the relay to the server.

    opened_at, closed_at: seconds since the epoch; closed_at is None while it is open.
    session: the server's own id of the session where it could be read, else None.
    tls: a TLS ClientHello was seen. opaque_from: when the first bytes came that could not be read, or None.
    late: seconds by which the relay was late at most in seeing bytes, because it was busy or waited for a processor.
    dropped: the relay ended it because it was asked to.
    client_pid: the process that connected, known for Unix sockets on Linux. client_port: its TCP port.
    server_port: the TCP port the server sees as its client's (`pg_stat_activity.client_port`,
    the `HOST` of `information_schema.PROCESSLIST`), which identifies the session where TLS hides its id.
    """

    opened_at: float
    closed_at: float | None = None
    session: int | None = None
    tls: bool = False
    opaque_from: float | None = None
    late: float = 0.0
    dropped: bool = False
    client_pid: int | None = None
    client_port: int | None = None
    server_port: int | None = None
    events: list[Event] = []
