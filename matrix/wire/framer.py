"""Cuts one direction of a connection into frames: a header of fixed size that says how long the body is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURE = 4096
"""Bytes kept of a body, whatever its length."""

MALFORMED = -1


@dataclass(slots=True)
class Frame:
    """A whole frame: its header, the first `CAPTURE` bytes of its body and the body's true length.

    `length` is `MALFORMED` where the header cannot be one. `at` is when its first byte came.
    """

    header: bytes
    body: bytes
    length: int
    at: float


class Framer:
    """Takes bytes as they come, in pieces of any size.

    `body_length` gets a whole header and returns the length of the body that follows, or `MALFORMED`.
    """

    __slots__ = ("_at", "_body", "_body_length", "_head", "_header_size", "_length", "_missing")

    def __init__(self, header_size: int, body_length: Callable[[bytes], int]) -> None:
        self._header_size = header_size
        self._body_length = body_length
        self._head = b""
        self._body = b""
        self._length = 0
        self._missing = MALFORMED  # bytes of the body still to come; MALFORMED while in the header
        self._at = 0.0

    def take(self, data: bytes, position: int, at: float) -> tuple[int, Frame | None]:
        """Consume bytes from `position` up to the end of one frame at most.

        Returns the new position, which is greater unless `data` was used up, and the frame if it is whole.
        """
        if self._missing < 0:
            if not self._head:
                # Nearly always, a frame comes whole.
                start = position + self._header_size
                if start <= len(data):
                    head = data[position:start]
                    length = self._body_length(head)
                    end = start + length
                    if length >= 0 and end <= len(data):
                        return end, Frame(head, data[start : min(end, start + CAPTURE)], length, at)
                self._at = at
            head = data[position : position + self._header_size - len(self._head)]
            position += len(head)
            head = self._head = self._head + head
            if len(head) < self._header_size:
                return position, None
            self._length = self._missing = self._body_length(head)
            if self._missing < 0:
                return position, self._whole()
        piece = min(self._missing, len(data) - position)
        room = CAPTURE - len(self._body)
        if room > 0 and piece:
            self._body += data[position : position + min(piece, room)]
        position += piece
        self._missing -= piece
        return position, None if self._missing else self._whole()

    def _whole(self) -> Frame:
        frame = Frame(self._head, self._body, self._length, self._at)
        self.drop()
        return frame

    def drop(self) -> None:
        """Forget the unfinished frame."""
        self._head = self._body = b""
        self._missing = MALFORMED

    @property
    def received(self) -> int:
        """Bytes of the unfinished frame that have come."""
        return len(self._head) + (0 if self._missing < 0 else self._length - self._missing)

    @property
    def since(self) -> float:
        """When the unfinished frame began."""
        return self._at

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._head) + len(self._body)
