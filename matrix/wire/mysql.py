"""Decoder of the client/server protocol of MySQL and MariaDB.

Sources: "Client/Server Protocol" in MariaDB's documentation (https://mariadb.com/docs/server/reference/clientserver-protocol)
and "Client/Server Protocol" in the MySQL source documentation (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html).

Every packet begins with three bytes of length and one of sequence number. A command starts at 0 and its
answer goes on from there, so that a packet numbered 0 from the client is always a new command and a packet
numbered 1 from the server always a new answer. The decoder finds its place again at these when clients that
share a socket have put it off.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from matrix.records.wire import Event
from matrix.wire.decoder import Decoder, Lane
from matrix.wire.framer import CAPTURE, Framer
from matrix.wire.texts import message_text, statement_text, value_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.records.wire import Sender
    from matrix.wire.framer import Frame

# Capability flags.
_LONG_PASSWORD = 1 << 0  # MariaDB servers leave it out to say that their extended capabilities follow
_CONNECT_WITH_DB = 1 << 3
_COMPRESS = 1 << 5
_PROTOCOL_41 = 1 << 9
_SSL = 1 << 11
_SECURE_CONNECTION = 1 << 15
_PLUGIN_AUTH_LENENC = 1 << 21
_DEPRECATE_EOF = 1 << 24
_OPTIONAL_METADATA = 1 << 25
_ZSTD = 1 << 26
_QUERY_ATTRIBUTES = 1 << 27
_MARIADB_EXTENDED_METADATA = 1 << 35

# Status flags.
_IN_TRANSACTION = 1
_AUTOCOMMIT = 2
_MORE_RESULTS = 8
_CURSOR_EXISTS = 64

_QUIT, _INIT_DB, _QUERY, _FIELD_LIST = 0x01, 0x02, 0x03, 0x04
_STATISTICS, _PROCESS_INFO, _PROCESS_KILL, _CHANGE_USER = 0x09, 0x0A, 0x0C, 0x11
_STMT_PREPARE, _STMT_EXECUTE, _STMT_SEND_LONG_DATA, _STMT_CLOSE, _STMT_RESET = 0x16, 0x17, 0x18, 0x19, 0x1A
_STMT_FETCH, _STMT_BULK_EXECUTE = 0x1C, 0xFA
_COMMANDS = {
    0x00: "COM_SLEEP",
    _QUIT: "COM_QUIT",
    _INIT_DB: "COM_INIT_DB",
    _QUERY: "COM_QUERY",
    _FIELD_LIST: "COM_FIELD_LIST",
    0x05: "COM_CREATE_DB",
    0x06: "COM_DROP_DB",
    0x07: "COM_REFRESH",
    0x08: "COM_SHUTDOWN",
    _STATISTICS: "COM_STATISTICS",
    _PROCESS_INFO: "COM_PROCESS_INFO",
    _PROCESS_KILL: "COM_PROCESS_KILL",
    0x0D: "COM_DEBUG",
    0x0E: "COM_PING",
    _CHANGE_USER: "COM_CHANGE_USER",
    0x12: "COM_BINLOG_DUMP",
    _STMT_PREPARE: "COM_STMT_PREPARE",
    _STMT_EXECUTE: "COM_STMT_EXECUTE",
    _STMT_SEND_LONG_DATA: "COM_STMT_SEND_LONG_DATA",
    _STMT_CLOSE: "COM_STMT_CLOSE",
    _STMT_RESET: "COM_STMT_RESET",
    0x1B: "COM_SET_OPTION",
    _STMT_FETCH: "COM_STMT_FETCH",
    0x1F: "COM_RESET_CONNECTION",
    _STMT_BULK_EXECUTE: "COM_STMT_BULK_EXECUTE",
}
_NAME_STATEMENTS = {
    _STMT_EXECUTE,
    _STMT_CLOSE,
    _STMT_RESET,
    _STMT_FETCH,
    _STMT_SEND_LONG_DATA,
    _STMT_BULK_EXECUTE,
}
_UNANSWERED = {_QUIT, _STMT_SEND_LONG_DATA, _STMT_CLOSE}
_RETURN_ROWS = {_QUERY, _STMT_EXECUTE, _STMT_BULK_EXECUTE, _PROCESS_INFO, None}
_BINARY_ROWS = {_STMT_EXECUTE, _STMT_BULK_EXECUTE, _STMT_FETCH}

# What `caching_sha2_password`, MySQL's way to log in, says beside passwords: names as in MySQL's source.
_CACHING_SHA2 = {
    b"\x02": "request_public_key",
    b"\x01\x03": "fast_auth_success",
    b"\x01\x04": "perform_full_authentication",
}

_INTEGER_SIZES = {1: 1, 2: 2, 13: 2, 3: 4, 9: 4, 8: 8}  # column type -> bytes in a binary row
_LENGTH_ENCODED_TYPES = {0, 15, 16, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255}

_CONTINUED = 0xFFFFFF  # a packet of this length is continued in the next
_COLUMN_NAMES = 20
_OUTSTANDING = 1000
_REMEMBERED_STATEMENTS = 256
_PROGRESS_REPORT = 0xFFFF


@dataclass(slots=True)
class _Packet:
    """A logical packet: `length` is the whole payload's, `size` that on the wire.

    `seq` and `last_seq` are the numbers of its first and last part; they differ beyond 16 MB.
    """

    seq: int
    last_seq: int
    body: bytes
    length: int
    size: int
    at: float
    out_of_order: str = ""

    @property
    def next_seq(self) -> int:
        return (self.last_seq + 1) & 0xFF

    def expect(self, *allowed: int) -> None:
        """Note it where the number is none of the allowed ones."""
        if self.seq not in allowed and not self.out_of_order:
            self.out_of_order = f"expected {allowed[0]}, got {self.seq}"


@dataclass(slots=True)
class _Command:
    """A command that awaits its answer."""

    exchange: int | None
    code: int | None
    next_seq: int
    statement: int | None = None


@dataclass(slots=True)
class _Reply:
    """The answer to one command, in the making."""

    command: _Command
    stage: str = "start"
    event: Event | None = None
    prepared: int = 0  # the number of the statement that was prepared
    columns: list[str] = field(default_factory=list)
    first_type: int | None = None
    definitions_left: int = 0
    first_column_at: int = 0  # definitions left when that of the first column comes
    eof_after_columns: bool = False


class MySQLDecoder(Decoder):
    """Reads one connection. See `Decoder`.

    An event's `exchange` is 0 while logging in and then the number of the command, for the command and for what
    answers it. `seq` is the sequence number of its (first) packet, and `sequence` what was expected if that is out of
    order.
    """

    FIVE_BYTES: ClassVar[str] = "COM_QUIT, or another command without arguments, such as COM_PING"

    def __init__(self) -> None:
        super().__init__()
        self.client = Lane("client", self._read_packet, _packet_framer())
        self.server = Lane("server", self._read_packet, _packet_framer())
        self._phase = "greeting"
        self._server_caps = 0
        self._caps = 0
        self._commands = 0
        self._outstanding: deque[_Command] = deque(maxlen=_OUTSTANDING)
        self._reply: _Reply | None = None
        # The number of columns, and the first one's type, of prepared statements.
        self._statements: dict[int, tuple[int, int | None]] = {}
        # The client is sending something other than commands: a file, or what a change of user asks for.
        self._in_exchange = False
        # The number that the next packet has in the exchange under way.
        self._next_seq = 0
        # A packet that continues in the next one.
        self._joined: dict[str, _Packet] = {}

    def end(self, sender: Sender) -> list[Event]:
        """See `Decoder.end`; a result of which the end is missing is returned as far as it came."""
        if sender == "server":
            self._cut_reply("the server's end of the connection")
        return super().end(sender)

    def _cut_off(self, lane: Lane) -> None:
        packet = self._joined.pop(lane.sender, None)
        if packet:
            self._send(lane, packet, "unfinished packet", None)
        super()._cut_off(lane)

    # Packets

    def _read_packet(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        position, frame = lane.framer.take(data, position, at)
        if frame is not None:
            packet = self._join(lane, frame)
            if packet is not None:
                if lane is self.client:
                    self._from_client(packet)
                else:
                    self._from_server(packet)
                    if self._reply and self._reply.stage == "rows":
                        position = self._read_more_rows(self._reply, data, position)
        return position

    def _read_more_rows(self, reply: _Reply, data: bytes, position: int) -> int:
        """Consume the whole rows that follow a row, which may be very many, and look only at the last."""
        event = reply.event
        if event is None or not event.rows:
            return position
        start = last = position
        rows = 0
        while position + 4 < len(data):
            end = position + 4 + int.from_bytes(data[position : position + 3], "little")
            whole = position + 4 < end <= len(data) and end - position - 4 < _CONTINUED
            # The end of the rows and errors are for the ordinary way, and so is a number out of order.
            if not whole or data[position + 3] != self._next_seq or data[position + 4] >= 0xFE:
                break
            self._next_seq = (self._next_seq + 1) & 0xFF
            rows += 1
            last, position = position, end
        if rows:
            event.length += position - start
            event.rows += rows
            event.last = self._first_value(reply, data[last + 4 : min(position, last + 4 + CAPTURE)])
        return position

    def _join(self, lane: Lane, frame: Frame) -> _Packet | None:
        """Return the logical packet that ends with this frame, if one does."""
        seq = frame.header[3]
        packet = self._joined.pop(lane.sender, None)
        if packet is None:
            packet = _Packet(seq, seq, frame.body, 0, 0, frame.at)
        else:
            if seq != packet.next_seq and not packet.out_of_order:
                packet.out_of_order = f"expected {packet.next_seq}, got {seq}"
            packet.last_seq = seq
        packet.length += frame.length
        packet.size += 4 + frame.length
        if frame.length == _CONTINUED:
            self._joined[lane.sender] = packet
            return None
        return packet

    def _send(self, lane: Lane, packet: _Packet, name: str, exchange: int | None) -> Event:
        event = _event(lane, packet, name, exchange)
        self._emit(lane, event)
        return event

    # The client's side

    def _from_client(self, packet: _Packet) -> None:
        if self._phase in ("greeting", "login"):
            packet.expect(self._next_seq)
            self._next_seq = packet.next_seq
            self._read_login(packet)
        elif packet.seq == 0:
            self._phase = "command"
            self._in_exchange = False
            self._read_command(packet)
        else:
            packet.expect(self._next_seq if self._in_exchange or self._phase == "auth" else 0)
            self._next_seq = packet.next_seq
            if self._phase == "auth":
                self._send(self.client, packet, _authentication(packet.body), 0)
            elif self._in_exchange:
                exchange = self._reply.command.exchange if self._reply else None
                self._send(self.client, packet, "data", exchange)
            else:
                self._send(self.client, packet, "unexpected packet", None)

    def _read_login(self, packet: _Packet) -> None:
        body = packet.body
        caps = int.from_bytes(body[:4], "little")
        if packet.length == 32 and caps & _SSL:
            self._send(self.client, packet, "SSLRequest", 0)
            self._start_tls()
            return
        self._phase = "auth"
        event = self._send(self.client, packet, "HandshakeResponse", 0)
        if caps & _PROTOCOL_41 and len(body) >= 32:
            # MariaDB's extended capabilities stand in the last four of the reserved bytes.
            extended = 0 if caps & _LONG_PASSWORD else int.from_bytes(body[28:32], "little") << 32
            self._caps = (caps | extended) & self._server_caps
            _read_login_fields(body, caps, event)

    def _read_command(self, packet: _Packet) -> None:
        body = packet.body
        code = body[0] if body else None
        self._commands += 1
        name = _COMMANDS.get(code, f"COM_{code:#04x}") if code is not None else "empty command"
        event = self._send(self.client, packet, name, self._commands)
        argument = body[1:]
        number = int.from_bytes(argument[:4], "little") if len(argument) >= 4 else None
        statement = number if code in _NAME_STATEMENTS else None
        if code == _QUERY:
            event.text = self._query_text(argument)
        elif code == _STMT_PREPARE:
            event.text = statement_text(argument)
        elif code == _INIT_DB:
            event.database = message_text(argument)
        elif code == _CHANGE_USER:
            event.user = message_text(argument.partition(b"\0")[0])
            self._in_exchange = True
        elif code == _PROCESS_KILL:
            event.session = number
        event.statement = statement
        if code not in _UNANSWERED:
            self._outstanding.append(_Command(self._commands, code, packet.next_seq, statement))
        elif code == _STMT_CLOSE and statement is not None:
            self._statements.pop(statement, None)

    def _query_text(self, argument: bytes) -> str | None:
        """Return the statement, or None where attributes stand before it."""
        if not self._caps & _QUERY_ATTRIBUTES:
            return statement_text(argument)
        # Number of attributes, and of sets of them, which is always one.
        return statement_text(argument[2:]) if argument[:2] == b"\0\1" else None

    # The server's side

    def _from_server(self, packet: _Packet) -> None:
        if self._phase == "command":
            self._answer(packet)
            return
        packet.expect(0 if self._phase == "greeting" else self._next_seq)
        self._next_seq = packet.next_seq
        first = packet.body[0] if packet.body else None
        if first == 0xFF:
            _read_err(packet.body, self._send(self.server, packet, "ERR", 0))
        elif self._phase == "greeting":
            if first == 10:
                self._read_greeting(packet)
            else:
                self._refuse(packet, "no greeting of MySQL's protocol 10")
        elif first == 0x00:
            _read_ok(packet.body, self._send(self.server, packet, "OK", 0))
            self._phase = "command"
            if self._caps & (_COMPRESS | _ZSTD):
                for lane in (self.client, self.server):
                    self._give_up(lane, "compressed protocol")
        elif first == 0xFE:
            self._auth_switch(packet, 0)
        else:
            self._send(self.server, packet, _authentication(packet.body), 0)

    def _auth_switch(self, packet: _Packet, exchange: int | None) -> None:
        event = self._send(self.server, packet, "AuthSwitchRequest", exchange)
        event.plugin = message_text(packet.body[1:].partition(b"\0")[0])

    def _refuse(self, packet: _Packet, why: str) -> None:
        self._give_up(self.client, why)
        self._give_up(self.server, why, read=packet.size, since=packet.at)

    def _read_greeting(self, packet: _Packet) -> None:
        version, _, rest = packet.body[1:].partition(b"\0")
        event = self._send(self.server, packet, "greeting", 0)
        event.version = message_text(version)
        if len(rest) >= 4:
            self.session = event.session = int.from_bytes(rest[:4], "little")
        # Session 4, challenge 8, filler 1, capabilities 2, character set 1, status 2, capabilities 2.
        caps = int.from_bytes(rest[13:15] + rest[18:20], "little")
        if not caps & _LONG_PASSWORD:
            caps |= int.from_bytes(rest[27:31], "little") << 32
        self._server_caps = caps
        self._phase = "login"

    def _answer(self, packet: _Packet) -> None:
        reply = self._reply
        if reply and packet.seq == 1 and self._next_seq != 1:
            self._cut_reply("the next answer")
            reply = None
        if reply is None:
            if self._outstanding:
                reply = self._reply = _Reply(self._outstanding.popleft())
                packet.expect(reply.command.next_seq)
            else:
                # An error that no command asked for, such as the one that announces a shutdown.
                reply = self._reply = _Reply(_Command(None, None, 0))
                packet.expect(0, 1)
        else:
            packet.expect(self._next_seq)
        self._next_seq = packet.next_seq
        _STAGES[reply.stage](self, reply, packet)

    def _finish(self, status: int = 0) -> None:
        """Complete the answer, unless the status announces more results."""
        if self._reply and status & _MORE_RESULTS:
            self._reply = _Reply(self._reply.command)
        else:
            self._reply = None
            self._in_exchange = False

    def _cut_reply(self, by: str) -> None:
        if self._reply and self._reply.event:
            self._reply.event.cut_off_by = by
            self._emit(self.server, self._reply.event)
        self._reply = None

    def _start_of_answer(self, reply: _Reply, packet: _Packet) -> None:
        command = reply.command.code
        first = packet.body[0] if packet.body else None
        exchange = reply.command.exchange
        if first == 0xFF:
            self._err(reply, packet)
        elif command == _STATISTICS:
            self._send(self.server, packet, "statistics", exchange)
            self._finish()
        elif command == _FIELD_LIST:
            reply.event = _event(self.server, packet, "columns", exchange)
            reply.event.columns, reply.event.column_count = reply.columns, 0
            reply.stage = "fields"
            self._fields(reply, packet, counted=True)
        elif command == _STMT_FETCH:
            reply.stage = "rows"
            reply.event = _event(self.server, packet, "rows", exchange)
            count, reply.first_type = self._statements.get(reply.command.statement or 0, (None, None))
            reply.event.column_count = count
            self._rows(reply, packet, counted=True)
        elif first == 0x00 and command == _STMT_PREPARE and len(packet.body) >= 9:
            self._prepared(reply, packet)
        elif first == 0x00:
            _read_ok(packet.body, self._send(self.server, packet, "OK", exchange))
            self._finish(_status_of_ok(packet.body))
        elif first == 0xFE and command == _CHANGE_USER:
            self._auth_switch(packet, exchange)
            self._in_exchange = True
        elif first == 0x01 and command == _CHANGE_USER:
            self._send(self.server, packet, _authentication(packet.body), exchange)
        elif first == 0xFE and packet.length < 9:
            _set_status(self._send(self.server, packet, "EOF", exchange), _status_of_eof(packet.body))
            self._finish(_status_of_eof(packet.body))
        elif first == 0xFB and command == _QUERY:
            self._send(self.server, packet, "LOCAL INFILE", exchange).file = message_text(packet.body[1:])
            self._in_exchange = True
        elif first is not None and command in _RETURN_ROWS:
            self._column_count(reply, packet)
        else:
            self._unexpected(reply, packet)

    def _unexpected(self, reply: _Reply, packet: _Packet) -> None:
        """Lose the thread until the next answer begins."""
        self._send(self.server, packet, "unexpected packet", reply.command.exchange)
        reply.stage = "lost"

    def _err(self, reply: _Reply, packet: _Packet) -> None:
        if int.from_bytes(packet.body[1:3], "little") == _PROGRESS_REPORT:
            self._send(self.server, packet, "progress report", reply.command.exchange)
            return
        self._cut_reply("an error")
        _read_err(packet.body, self._send(self.server, packet, "ERR", reply.command.exchange))
        self._finish()

    def _column_count(self, reply: _Reply, packet: _Packet) -> None:
        body = packet.body
        metadata = True
        if self._caps & _OPTIONAL_METADATA:
            metadata = body[0] != 0
            body = body[1:]
        count, after = _length_encoded(body, 0)
        if count is None or not 0 < count <= 4096:
            self._unexpected(reply, packet)
            return
        if after < len(body):  # MariaDB: the client may have the columns from preparing the statement
            metadata = body[after] != 0
        reply.event = _event(self.server, packet, "rows", reply.command.exchange)
        reply.event.column_count = count
        reply.definitions_left = count if metadata else 0
        reply.eof_after_columns = not self._caps & _DEPRECATE_EOF
        reply.stage = "columns" if reply.definitions_left else "rows"
        if metadata:
            reply.event.columns = reply.columns
        else:
            _, reply.first_type = self._statements.get(reply.command.statement or 0, (0, None))

    def _columns(self, reply: _Reply, packet: _Packet) -> None:
        if packet.body[:1] == b"\xff":
            self._err(reply, packet)
            return
        _grow(reply, packet)
        if len(reply.columns) < _COLUMN_NAMES:
            name, kind = self._column(packet.body)
            if not reply.columns:
                reply.first_type = kind
            reply.columns.append(name)
        reply.definitions_left -= 1
        if not reply.definitions_left:
            reply.stage = "rows"
            if reply.command.statement and reply.event:
                self._remember(reply.command.statement, reply.event.column_count or 0, reply.first_type)

    def _remember(self, statement: int, columns: int, first_type: int | None) -> None:
        if len(self._statements) >= _REMEMBERED_STATEMENTS:
            self._statements.pop(next(iter(self._statements)))
        self._statements[statement] = columns, first_type

    def _column(self, body: bytes) -> tuple[str, int | None]:
        """Return the name and the type of a column definition."""
        position = 0
        parts = []
        for _ in range(6):  # catalogue, schema, table, original table, name, original name
            part, position = _length_encoded_bytes(body, position)
            parts.append(part)
        if self._caps & _MARIADB_EXTENDED_METADATA:
            _, position = _length_encoded_bytes(body, position)
        # Length of the rest, character set 2, display length 4, type.
        kind = body[position + 7] if len(body) > position + 7 else None
        return value_text(parts[4]), kind

    def _rows(self, reply: _Reply, packet: _Packet, *, counted: bool = False) -> None:
        event = reply.event
        assert event is not None
        first = packet.body[0] if packet.body else None
        if first == 0xFF:
            self._err(reply, packet)
            return
        if not counted:
            _grow(reply, packet)
        if first == 0xFE and packet.length < _CONTINUED:
            old = packet.length < 9
            status = _status_of_eof(packet.body) if old else _status_of_ok(packet.body)
            if reply.eof_after_columns and not status & _CURSOR_EXISTS:
                reply.eof_after_columns = False
                return
            _set_status(event, status)
            reply.event = None
            self._emit(self.server, event)
            self._finish(status)
            return
        reply.eof_after_columns = False
        event.last = self._first_value(reply, packet.body)
        if not event.rows:
            event.first = event.last
        event.rows += 1

    def _first_value(self, reply: _Reply, body: bytes) -> str | int | None:
        """Return the value of a row's first column: None for NULL, "?" where its type is not known."""
        kind = reply.first_type
        if reply.command.code not in _BINARY_ROWS:
            if body[:1] == b"\xfb":
                return None
            raw, _ = _length_encoded_bytes(body, 0)
            if kind in _INTEGER_SIZES and raw.lstrip(b"-").isdigit() and len(raw) <= 20:
                return int(raw)
            return value_text(raw)
        count = (reply.event and reply.event.column_count) or 0
        bitmap = (count + 9) // 8  # two bits are reserved
        if not count or len(body) < 1 + bitmap:
            return "?"
        if body[1] & 4:
            return None
        position = 1 + bitmap
        if kind in _INTEGER_SIZES:
            return int.from_bytes(body[position : position + _INTEGER_SIZES[kind]], "little", signed=True)
        if kind in _LENGTH_ENCODED_TYPES:
            return value_text(_length_encoded_bytes(body, position)[0])
        return "?"

    def _prepared(self, reply: _Reply, packet: _Packet) -> None:
        body = packet.body
        reply.prepared = int.from_bytes(body[1:5], "little")
        columns = int.from_bytes(body[5:7], "little")
        parameters = int.from_bytes(body[7:9], "little")
        event = reply.event = _event(self.server, packet, "prepared", reply.command.exchange)
        event.statement, event.column_count, event.parameters = reply.prepared, columns, parameters
        # An EOF ends each of the two lists where the newer protocol does not leave it out.
        ends = 0 if self._caps & _DEPRECATE_EOF else (columns > 0) + (parameters > 0)
        reply.definitions_left = columns + parameters + ends
        # The first column is defined after the parameters, of which the definitions are passed over.
        after_columns = 0 if self._caps & _DEPRECATE_EOF else 1
        reply.first_column_at = columns + after_columns if columns else 0
        reply.stage = "definitions"
        self._end_of_definitions(reply)

    def _definitions(self, reply: _Reply, packet: _Packet) -> None:
        if packet.body[:1] == b"\xff":
            self._err(reply, packet)
            return
        _grow(reply, packet)
        if reply.event and reply.definitions_left == reply.first_column_at:
            self._remember(reply.prepared, reply.event.column_count or 0, self._column(packet.body)[1])
        reply.definitions_left -= 1
        self._end_of_definitions(reply)

    def _end_of_definitions(self, reply: _Reply) -> None:
        if not reply.definitions_left and reply.event:
            self._emit(self.server, reply.event)
            reply.event = None
            self._finish()

    def _fields(self, reply: _Reply, packet: _Packet, *, counted: bool = False) -> None:
        event = reply.event
        assert event is not None
        first = packet.body[0] if packet.body else None
        if first == 0xFF:
            self._err(reply, packet)
            return
        if not counted:
            _grow(reply, packet)
        if first == 0xFE and packet.length < _CONTINUED:
            reply.event = None
            self._emit(self.server, event)
            self._finish()
            return
        event.column_count = (event.column_count or 0) + 1
        if len(reply.columns) < _COLUMN_NAMES:
            reply.columns.append(self._column(packet.body)[0])


_STAGES: dict[str, Callable[[MySQLDecoder, _Reply, _Packet], None]] = {
    "start": MySQLDecoder._start_of_answer,
    "columns": MySQLDecoder._columns,
    "rows": MySQLDecoder._rows,
    "definitions": MySQLDecoder._definitions,
    "fields": MySQLDecoder._fields,
    "lost": MySQLDecoder._unexpected,
}


def _packet_framer() -> Framer:
    return Framer(4, lambda header: int.from_bytes(header[:3], "little"))


def _event(lane: Lane, packet: _Packet, name: str, exchange: int | None) -> Event:
    return Event(
        packet.at, lane.sender, "message", name, packet.size, exchange, packet.seq, packet.out_of_order or None
    )


def _authentication(body: bytes) -> str:
    """Return the name of a message of the login after its first two; what it holds may be secret."""
    if body.startswith(b"\x01-----BEGIN PUBLIC KEY"):
        return "public key"
    return _CACHING_SHA2.get(body, "authentication data")


def _grow(reply: _Reply, packet: _Packet) -> None:
    """Add a packet to the event that sums up the answer."""
    if event := reply.event:
        event.length += packet.size
        if packet.out_of_order and not event.sequence:
            event.sequence = packet.out_of_order


def _read_login_fields(body: bytes, caps: int, event: Event) -> None:
    """Read user and database; pass over the password's hash."""
    user, _, rest = body[32:].partition(b"\0")
    event.user = message_text(user)
    if caps & _PLUGIN_AUTH_LENENC:
        _, position = _length_encoded_bytes(rest, 0)
    elif caps & _SECURE_CONNECTION:
        position = 1 + (rest[0] if rest else 0)
    else:
        position = len(rest.partition(b"\0")[0]) + 1
    if caps & _CONNECT_WITH_DB:
        event.database = message_text(rest[position:].partition(b"\0")[0])


def _length_encoded(body: bytes, position: int) -> tuple[int | None, int]:
    """Read a length-encoded integer: its value, or None if there is none, and the position after it."""
    first = body[position] if position < len(body) else 0xFF
    if first < 0xFB:
        return first, position + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    if size is None or len(body) < position + 1 + size:
        return None, len(body)
    return int.from_bytes(body[position + 1 : position + 1 + size], "little"), position + 1 + size


def _length_encoded_bytes(body: bytes, position: int) -> tuple[bytes, int]:
    """Read a length-encoded string, as much of it as there is, and the position after it."""
    length, position = _length_encoded(body, position)
    if length is None:
        return b"", len(body)
    return body[position : position + length], min(position + length, len(body))


def _read_ok(body: bytes, event: Event) -> None:
    event.affected, position = _length_encoded(body, 1)
    _, position = _length_encoded(body, position)
    if len(body) >= position + 2:
        _set_status(event, int.from_bytes(body[position : position + 2], "little"))


def _status_of_ok(body: bytes) -> int:
    _, position = _length_encoded(body, 1)
    _, position = _length_encoded(body, position)
    return int.from_bytes(body[position : position + 2], "little")


def _status_of_eof(body: bytes) -> int:
    return int.from_bytes(body[3:5], "little")


def _set_status(event: Event, flags: int) -> None:
    event.in_transaction, event.autocommit = bool(flags & _IN_TRANSACTION), bool(flags & _AUTOCOMMIT)


def _read_err(body: bytes, event: Event) -> None:
    event.code = int.from_bytes(body[1:3], "little")
    text = body[3:]
    if text[:1] == b"#":  # left out before the login
        event.sqlstate = value_text(text[1:6])
        text = text[6:]
    event.message = message_text(text)
