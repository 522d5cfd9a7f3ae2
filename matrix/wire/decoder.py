"""What the decoders of both protocols share: two directions, TLS, and bytes that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from matrix.records.wire import Event
from matrix.wire import tls

if TYPE_CHECKING:
    from matrix.records.wire import Sender
    from matrix.wire.framer import Framer

Reader = Callable[["Lane", bytes, int, float], int]
"""Consumes bytes of a lane from a position and returns the new position.

It must consume something or change the lane's reader.
"""


class Lane:
    """One direction of a connection."""

    __slots__ = ("framer", "reader", "run", "sender", "undecoded", "why")

    def __init__(self, sender: Sender, reader: Reader, framer: Framer) -> None:
        self.sender = sender
        self.reader = reader
        self.framer = framer
        # Events that are still growing: a run of rows, and bytes that cannot be read.
        self.run: Event | None = None
        self.undecoded: Event | None = None
        self.why = "undecoded"  # the name of the next bytes that cannot be read


class Decoder:
    """Reads both directions of one connection, without I/O, never raising, in bounded memory.

    Feed it the bytes in the order in which they came. How they are cut into pieces makes no difference to
    what is read. A message is returned once it is whole; a run of rows, once something else follows.
    """

    FIVE_BYTES: ClassVar[str]
    """The messages of this protocol that are five bytes long, as an encrypted one could be."""

    client: Lane
    server: Lane

    def __init__(self) -> None:
        self.session: int | None = None
        """The server's id of the session, once it was sent in the clear."""
        self.tls = False
        """A TLS record came from the client."""
        self.opaque_from: float | None = None
        """When the first bytes came that cannot be read."""
        self._tls_session = tls.TlsSession()
        self._out: list[Event] = []

    def feed(self, sender: Sender, data: bytes, at: float) -> list[Event]:
        """Take bytes that `sender` sent and that came at `at`; return the messages that are now whole."""
        lane, other = (self.client, self.server) if sender == "client" else (self.server, self.client)
        if data and other.undecoded:
            self._out.append(other.undecoded)
            other.undecoded = None
        position = 0
        while position < len(data):
            position = lane.reader(lane, data, position, at)
        out, self._out = self._out, []
        return out

    def end(self, sender: Sender) -> list[Event]:
        """Take note that `sender` will send no more; return what was unfinished."""
        lane = self.client if sender == "client" else self.server
        self._flush(lane)
        self._cut_off(lane)
        out, self._out = self._out, []
        return out

    @property
    def held(self) -> int:
        """Bytes of unfinished messages in memory."""
        return self.client.framer.held + self.server.framer.held

    def _emit(self, lane: Lane, event: Event) -> None:
        if lane.run:
            self._flush(lane)
        self._out.append(event)

    def _flush(self, lane: Lane) -> None:
        """Emit what is still growing."""
        if lane.run:
            self._out.append(lane.run)
            lane.run = None
        if lane.undecoded:
            self._out.append(lane.undecoded)
            lane.undecoded = None

    def _cut_off(self, lane: Lane) -> None:
        """Emit the beginning of a message whose rest did not or will not come."""
        if received := lane.framer.received:
            self._out.append(Event(lane.framer.since, lane.sender, "undecoded", "cut off", received))
            lane.framer.drop()

    def _start_tls(self) -> None:
        for lane in (self.client, self.server):
            self._flush(lane)
            self._cut_off(lane)
            lane.framer = tls.record_framer()
            lane.reader = self._read_tls

    def _read_tls(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        position, frame = lane.framer.take(data, position, at)
        if frame is None:
            return position
        if frame.length < 0:
            self._give_up(lane, "no TLS record", read=len(frame.header), since=frame.at)
            return position
        event = self._tls_session.record(lane.sender, frame)
        if lane.sender == "client":
            self.tls = True
            if event.name == "application_data" and event.plaintext_at_most == 5:
                event.could_be = self.FIVE_BYTES
        if event.encrypted:
            self._opaque(frame.at)
        self._emit(lane, event)
        return position

    def _opaque(self, at: float) -> None:
        if self.opaque_from is None:
            self.opaque_from = at

    def _give_up(self, lane: Lane, why: str, *, read: int = 0, since: float = 0.0) -> None:
        """Count all that follows in `lane` as undecoded, and `read` bytes that came since `since`."""
        self._flush(lane)
        lane.reader = self._count_undecoded
        lane.why = why
        if read:
            self._grow_undecoded(lane, read, since)
        else:
            self._cut_off(lane)

    def _count_undecoded(self, lane: Lane, data: bytes, position: int, at: float) -> int:
        self._grow_undecoded(lane, len(data) - position, at)
        return len(data)

    def _grow_undecoded(self, lane: Lane, count: int, since: float) -> None:
        if lane.undecoded is None:
            lane.undecoded = Event(since, lane.sender, "undecoded", lane.why)
            lane.why = "undecoded"
            self._opaque(since)
        lane.undecoded.length += count
