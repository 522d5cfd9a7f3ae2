"""Keeps the events of one connection, within bounds."""

from __future__ import annotations

from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING

from matrix.records.wire import Event
from matrix.wire.mysql import MySQLDecoder
from matrix.wire.postgresql import PostgreSQLDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.records.wire import Connection, Kind, Sender
    from matrix.wire.decoder import Decoder

DECODERS: dict[str, type[Decoder]] = {
    "mysql": MySQLDecoder,
    "postgresql": PostgreSQLDecoder,
}
"""Decoder by protocol."""

FIRST_EVENTS = 4900
LAST_EVENTS = 100
"""Events kept from the beginning of a connection, and from its end, where the termination message is."""


class Recorder:
    """Records one connection: its bytes through a decoder, and what happened to its sockets."""

    def __init__(self, decoder: Decoder, connection: Connection) -> None:
        self._decoder = decoder
        self._connection = connection
        self._first: list[Event] = []
        self._last: deque[Event] = deque()
        self._omitted = 0
        self._omitted_bytes = 0
        self._failed = False

    def data(self, sender: Sender, data: bytes, at: float) -> None:
        """Record bytes that passed."""
        if self._failed:
            self._add([Event(at, sender, "undecoded", "undecoded", len(data))])
            return
        try:
            self._add(self._decoder.feed(sender, data, at))
        except Exception as error:  # a fault in a decoder must neither stop the traffic nor stay hidden
            self._failed = True
            why = f"the decoder failed: {type(error).__name__}: {error}"
            self._add([Event(at, sender, "undecoded", why, len(data))])

    def note(self, sender: Sender, kind: Kind, at: float, error: str | None = None) -> None:
        """Record something that is not bytes. After a `fin` or `rst` of a side, no bytes of it may follow."""
        if kind in ("fin", "rst"):
            self._end(sender)
        self._add([Event(at, sender, kind, kind, error=error)])

    def closed(self, at: float) -> None:
        """Record the end of the connection."""
        self._end("client")
        self._end("server")
        self._connection.closed_at = at

    def result(self) -> Connection:
        """Return the record as it stands, its events in the order of their times."""
        decoder, connection = self._decoder, self._connection
        connection.session = decoder.session
        connection.tls = decoder.tls
        connection.opaque_from = decoder.opaque_from
        by_time = attrgetter("at")
        connection.events = sorted(self._first, key=by_time)
        if self._omitted:
            at = self._last[0].at
            marker = Event(at, "server", "omitted", "omitted", self._omitted_bytes, events=self._omitted)
            connection.events.append(marker)
        connection.events += sorted(self._last, key=by_time)
        return connection

    def _end(self, sender: Sender) -> None:
        if not self._failed:
            self._add(self._decoder.end(sender))

    def _add(self, events: Iterable[Event]) -> None:
        for event in events:
            if len(self._first) < FIRST_EVENTS:
                self._first.append(event)
                continue
            self._last.append(event)
            if len(self._last) > LAST_EVENTS:
                self._omitted += 1
                self._omitted_bytes += self._last.popleft().length
