"""Decoder of PostgreSQL's frontend/backend protocol, version 3.

Source: "Frontend/Backend Protocol" in PostgreSQL's manual (https://www.postgresql.org/docs/current/protocol.html).

A message's type and length are all there is to find the next one by. Where a length cannot be right,
because writers that share a socket have cut into each other's messages, the rest of that direction is
counted and not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from matrix.records.wire import Event
from matrix.wire.decoder import Decoder, Lane
from matrix.wire.framer import CAPTURE, MALFORMED, Frame, Framer
from matrix.wire.texts import message_text, statement_text, value_text
from matrix.wire.tls import HANDSHAKE_BYTE

_SSL_REQUEST, _GSSENC_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_LONGEST_STARTUP = 10_000  # the server refuses longer ones
_LONGEST = 0x3FFFFFFF  # PostgreSQL allocates no more than this at once

_CLIENT_NAMES = {
    "B": "Bind",
    "C": "Close",
    "D": "Describe",
    "E": "Execute",
    "F": "FunctionCall",
    "H": "Flush",
    "P": "Parse",
    "Q": "Query",
    "S": "Sync",
    "X": "Terminate",
    "c": "CopyDone",
    "d": "CopyData",
    "f": "CopyFail",
    "p": "password message",
}
_SERVER_NAMES = {
    "1": "ParseComplete",
    "2": "BindComplete",
    "3": "CloseComplete",
    "A": "NotificationResponse",
    "C": "CommandComplete",
    "D": "DataRow",
    "E": "ErrorResponse",
    "G": "CopyInResponse",
    "H": "CopyOutResponse",
    "I": "EmptyQueryResponse",
    "K": "BackendKeyData",
    "N": "NoticeResponse",
    "R": "Authentication",
    "S": "ParameterStatus",
    "T": "RowDescription",
    "V": "FunctionCallResponse",
    "W": "CopyBothResponse",
    "Z": "ReadyForQuery",
    "c": "CopyDone",
    "d": "CopyData",
    "n": "NoData",
    "s": "PortalSuspended",
    "t": "ParameterDescription",
    "v": "NegotiateProtocolVersion",
}
_CLIENT_TYPES = frozenset(map(ord, _CLIENT_NAMES))
_SERVER_TYPES = frozenset(map(ord, _SERVER_NAMES))
_AUTHENTICATION = {
    0: "AuthenticationOk",
    2: "AuthenticationKerberosV5",
    3: "AuthenticationCleartextPassword",
    5: "AuthenticationMD5Password",
    7: "AuthenticationGSS",
    8: "AuthenticationGSSContinue",
    9: "AuthenticationSSPI",
    10: "AuthenticationSASL",
    11: "AuthenticationSASLContinue",
    12: "AuthenticationSASLFinal",
}
_PASSWORD_MESSAGES = {
    3: "PasswordMessage",
    5: "PasswordMessage",
    10: "SASLInitialResponse",
    11: "SASLResponse",
}
_INTEGER_OIDS = {20, 21, 23, 26}  # int8, int2, int4, oid
_COLUMN_NAMES = 20


class PostgreSQLDecoder(Decoder):
    """Reads one connection. See `Decoder`.

    An event's `exchange` is 0 while logging in; then it numbers what ends with a Query or a Sync of the client, and
    what answers it up to ReadyForQuery. Consecutive rows are one DataRow event, and so is consecutive CopyData.
    """

    FIVE_BYTES: ClassVar[str] = "Terminate, or a Sync or Flush of its own"

    def __init__(self) -> None:
        super().__init__()
        self.client = Lane("client", self._read_startup, _startup_framer())
        self.server = Lane("server", self._read_message, _message_framer(_SERVER_TYPES))
        self._started = False
        self._ready = 0  # ReadyForQuery seen
        self._queries = 0  # Query and Sync messages seen
        self._in_query = False  # part of an exchange was sent, but not its Sync
        self._password_message = "password message"
        self._first_column: tuple[int, int] = (0, 0)  # object id of its type, format code
        self._copy_takes_syncs = False
        self._ended_with = ""

    # Before the first message

    def _read_startup(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        if data[position] == HANDSHAKE_BYTE and not lane.framer.received:
            self._start_tls()  # sslnegotiation=direct
            return position
        position, frame = lane.framer.take(data, position, at)
        if frame is None:
            return position
        if frame.length < 0:
            self._give_up(lane, "no startup packet", read=len(frame.header), since=frame.at)
            return position
        code = int.from_bytes(frame.header[4:8], "big")
        size = 8 + frame.length
        if code in (_SSL_REQUEST, _GSSENC_REQUEST):
            name = "SSLRequest" if code == _SSL_REQUEST else "GSSENCRequest"
            self._send(lane, frame, name, size)
            self._cut_off(self.server)
            self.server.framer = _message_framer(_SERVER_TYPES)
            self.server.reader = self._read_ssl_answer if code == _SSL_REQUEST else self._read_gss_answer
        elif code == _CANCEL_REQUEST:
            self._send(lane, frame, "CancelRequest", size).session = int.from_bytes(frame.body[:4], "big")
        elif code >> 16 == 3:
            self._started = True
            lane.framer = _message_framer(_CLIENT_TYPES)
            lane.reader = self._read_message
            _read_startup_fields(frame.body, self._send(lane, frame, "StartupMessage", size))
        else:
            self._give_up(lane, f"startup packet with code {code}", read=size, since=frame.at)
        return position

    def _read_ssl_answer(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        return self._read_answer(lane, data, position, at, yes=b"S")

    def _read_gss_answer(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        return self._read_answer(lane, data, position, at, yes=b"G")

    def _read_answer(self, lane: Lane, data: bytes, position: int, at: float, *, yes: bytes) -> int:
        """Read the one byte that answers a request for encryption; anything but yes or no is a message."""
        lane.reader = self._read_message
        answer = data[position : position + 1]
        if answer not in (yes, b"N"):
            return position
        encrypted = answer != b"N"
        name = "encryption accepted" if encrypted else "encryption refused"
        self._emit(lane, Event(at, "server", "message", name, 1, 0))
        if encrypted and yes == b"S":
            self._start_tls()
        elif encrypted:
            for each in (self.client, self.server):
                self._give_up(each, "GSSAPI encryption")
        return position + 1

    # Messages

    def _read_message(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        position, frame = lane.framer.take(data, position, at)
        if frame is None:
            return position
        if frame.length < 0:
            self._give_up(lane, "no message", read=len(frame.header), since=frame.at)
        elif lane is self.client:
            self._from_client(frame)
        else:
            self._from_server(frame)
            if lane.run:
                position = self._read_more_rows(lane, data, position)
        return position

    def _read_more_rows(self, lane: Lane, data: bytes, position: int) -> int:
        """Consume the whole rows that follow a row, which may be very many, and look only at the last."""
        run = lane.run
        if run is None or run.name != "DataRow":
            return position
        start = last = position
        rows = 0
        while data[position : position + 1] == b"D" and position + 5 <= len(data):
            end = position + 1 + int.from_bytes(data[position + 1 : position + 5], "big")
            if not position + 5 <= end <= len(data):
                break
            rows += 1
            last, position = position, end
        if rows:
            run.length += position - start
            run.rows += rows
            run.last = self._first_value(data[last + 5 : min(position, last + 5 + CAPTURE)])
        return position

    def _send(self, lane: Lane, frame: Frame, name: str, size: int) -> Event:
        event = Event(frame.at, lane.sender, "message", name, size, self._exchange(lane, name))
        self._emit(lane, event)
        return event

    def _exchange(self, lane: Lane, name: str) -> int | None:
        if lane is self.server:
            # What the server sends unasked belongs to no exchange.
            return self._ready if self._ready <= self._queries + self._in_query else None
        if name.startswith("Copy"):
            # The statement that it belongs to has been sent already.
            return self._queries + self._in_query
        return self._queries + 1 if self._ready or self._queries or self._in_query else 0

    def _from_client(self, frame: Frame) -> None:
        kind = chr(frame.header[0])
        size = 5 + frame.length
        if kind == "d":
            self._run(self.client, frame, "CopyData").copies += 1
            return
        name = self._password_message if kind == "p" else _CLIENT_NAMES[kind]
        opens = kind in "QPBDECHFS"
        if kind == "S" and self._copy_takes_syncs:
            # The Sync before the copied data was ignored by the server: this one stands for it.
            self._copy_takes_syncs = False
            opens = False
        if opens:
            self._in_query = True
        event = self._send(self.client, frame, name, size)
        if reader := _CLIENT_READERS.get(kind):
            reader(frame.body, event)
        elif name == "SASLInitialResponse":
            event.mechanism = value_text(frame.body.partition(b"\0")[0])
        if opens and kind in "QSF":
            self._in_query = False
            self._queries += 1
            self._ended_with = kind

    def _from_server(self, frame: Frame) -> None:
        kind = chr(frame.header[0])
        if kind == "D":
            self._data_row(frame)
            return
        if kind == "d":
            self._run(self.server, frame, "CopyData").copies += 1
            return
        name = _SERVER_NAMES[kind]
        if kind == "R":
            code = int.from_bytes(frame.body[:4], "big")
            name = _AUTHENTICATION.get(code, f"Authentication {code}")
            self._password_message = _PASSWORD_MESSAGES.get(code, "password message")
        event = self._send(self.server, frame, name, 5 + frame.length)
        if kind == "K":
            if len(frame.body) >= 4:
                self.session = event.session = int.from_bytes(frame.body[:4], "big")
        elif kind == "T":
            self._row_description(frame.body, event)
        elif kind == "G":
            self._copy_takes_syncs = self._ended_with == "S" and not self._in_query
        elif reader := _SERVER_READERS.get(kind):
            reader(frame.body, event)
        if kind == "Z":
            self._ready += 1
            self._copy_takes_syncs = False

    def _run(self, lane: Lane, frame: Frame, name: str) -> Event:
        """Add a frame to the run of its kind, or begin one."""
        run = lane.run
        if run is None or run.name != name:
            self._flush(lane)
            run = lane.run = Event(frame.at, lane.sender, "message", name, 0, self._exchange(lane, name))
        run.length += 5 + frame.length
        return run

    def _data_row(self, frame: Frame) -> None:
        run = self._run(self.server, frame, "DataRow")
        run.last = self._first_value(frame.body)
        if not run.rows:
            run.column_count = int.from_bytes(frame.body[:2], "big")
            run.first = run.last
        run.rows += 1

    def _first_value(self, body: bytes) -> str | int | None:
        """Return the value of a row's first column: None for NULL and for a row without columns."""
        length = int.from_bytes(body[2:6], "big", signed=True)
        if len(body) < 6 or length < 0:
            return None
        raw = body[6 : 6 + length]
        oid, binary = self._first_column
        return _value(raw, binary=bool(binary), integer=oid in _INTEGER_OIDS)

    def _row_description(self, body: bytes, event: Event) -> None:
        count = int.from_bytes(body[:2], "big")
        names: list[str] = []
        position = 2
        while len(names) < min(count, _COLUMN_NAMES):
            end = body.find(b"\0", position)
            # Table 4, column 2, type 4, size 2, modifier 4, format 2.
            if end < 0 or len(body) < end + 19:
                break
            if not names:
                kind, form = body[end + 7 : end + 11], body[end + 17 : end + 19]
                self._first_column = int.from_bytes(kind, "big"), int.from_bytes(form, "big")
            names.append(value_text(body[position:end]))
            position = end + 19
        event.column_count, event.columns = count, names


def _startup_framer() -> Framer:
    return Framer(8, _startup_body_length)


def _startup_body_length(header: bytes) -> int:
    length = int.from_bytes(header[:4], "big")
    return length - 8 if 8 <= length <= _LONGEST_STARTUP else MALFORMED


def _message_framer(types: frozenset[int]) -> Framer:
    def body_length(header: bytes) -> int:
        length = int.from_bytes(header[1:5], "big")
        return length - 4 if header[0] in types and 4 <= length <= _LONGEST else MALFORMED

    return Framer(5, body_length)


def _read_startup_fields(body: bytes, event: Event) -> None:
    parts = body.split(b"\0")
    given = dict(zip(parts[::2], parts[1::2], strict=False))
    event.user = _optional(given.get(b"user"))
    event.database = _optional(given.get(b"database"))


def _optional(raw: bytes | None) -> str | None:
    return None if raw is None else message_text(raw)


def _value(raw: bytes, *, binary: bool, integer: bool) -> str | int:
    if integer:
        if not binary and raw.lstrip(b"-").isdigit() and len(raw) <= 20:
            return int(raw)
        if len(raw) in (2, 4, 8):
            return int.from_bytes(raw, "big", signed=True)
    return value_text(raw)


def _string(body: bytes) -> tuple[bytes, bytes]:
    """Split off a string that ends with a zero byte."""
    value, _, rest = body.partition(b"\0")
    return value, rest


def _read_query(body: bytes, event: Event) -> None:
    event.text = statement_text(_string(body)[0])


def _read_parse(body: bytes, event: Event) -> None:
    name, rest = _string(body)
    event.statement, event.text = value_text(name), statement_text(_string(rest)[0])


def _read_bind(body: bytes, event: Event) -> None:
    _, rest = _string(body)
    statement, rest = _string(rest)
    event.statement = value_text(statement)
    formats = int.from_bytes(rest[:2], "big")
    binary = formats > 0 and rest[2:4] == b"\0\1"
    rest = rest[2 + 2 * formats :]
    if len(rest) >= 2:
        event.parameters = int.from_bytes(rest[:2], "big")
    if event.parameters and len(rest) >= 6:
        length = int.from_bytes(rest[2:6], "big", signed=True)
        raw = rest[6 : 6 + max(length, 0)]
        # A binary parameter's type stands in Parse or is the server's guess: an integer is likely.
        integer = binary and length in (2, 4, 8)
        event.first = None if length < 0 else _value(raw, binary=binary, integer=integer)


def _read_error(body: bytes, event: Event) -> None:
    fields = {chr(part[0]): part[1:] for part in body.split(b"\0") if part}
    # The severity that is not translated; servers before 9.6 have only the translated one.
    event.severity = message_text(fields.get("V", fields.get("S", b"")))
    event.sqlstate = _optional(fields.get("C"))
    event.message = _optional(fields.get("M"))


def _read_copy_fail(body: bytes, event: Event) -> None:
    event.message = message_text(_string(body)[0])


def _read_command_complete(body: bytes, event: Event) -> None:
    event.tag = value_text(_string(body)[0])


def _read_parameter_status(body: bytes, event: Event) -> None:
    name, rest = _string(body)
    event.parameter, event.value = value_text(name), value_text(_string(rest)[0])


def _read_notification(body: bytes, event: Event) -> None:
    event.session = int.from_bytes(body[:4], "big")


def _read_ready(body: bytes, event: Event) -> None:
    if body[:1] in (b"I", b"T", b"E"):
        event.state = chr(body[0])
        event.in_transaction = event.state != "I"


_Reader = Callable[[bytes, Event], None]

_CLIENT_READERS: dict[str, _Reader] = {
    "Q": _read_query,
    "P": _read_parse,
    "B": _read_bind,
    "f": _read_copy_fail,
}
_SERVER_READERS: dict[str, _Reader] = {
    "C": _read_command_complete,
    "E": _read_error,
    "N": _read_error,
    "S": _read_parameter_status,
    "A": _read_notification,
    "Z": _read_ready,
}
