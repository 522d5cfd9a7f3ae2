"""What the harness asks of the relay's process, and what it answers: one JSON object a line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from matrix.records.wire import Connection


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: `host` and `port`, or the `path` of its Unix socket."""

    host: str | None = None
    port: int | None = None
    path: Path | None = None


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Listen in `folder`, or else on TCP, and connect each client to `upstream`."""

    id: int
    protocol: str
    upstream: Address
    folder: Path | None = None


class Close(msgspec.Struct, frozen=True, tag="close"):
    """Stop listening, wait for the connections to end, for at most `settle` seconds, and return what was recorded.

    `listener` is the id of the request that opened it. `drop` resets the connections that are left.
    """

    id: int
    listener: int
    settle: float
    drop: bool


Request = Open | Close


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to the request of the same id: an error in one line, or where it listens, or what was recorded."""

    id: int
    error: str | None = None
    port: int | None = None
    path: Path | None = None
    connections: list[Connection] = []


encode = msgspec.json.Encoder(enc_hook=str).encode
decode_request = msgspec.json.Decoder(Request, dec_hook=lambda kind, text: kind(text)).decode
decode_answer = msgspec.json.Decoder(Answer, dec_hook=lambda kind, text: kind(text)).decode
