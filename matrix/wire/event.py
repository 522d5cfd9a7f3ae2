"""What is recorded of a connection: messages, and what happened to its sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

Sender = Literal["client", "server"]
Kind = Literal["message", "fin", "rst", "tls", "undecoded", "connect", "refused", "omitted"]

TEXT_LIMIT = 500
"""Characters kept of a statement."""

VALUE_LIMIT = 60
"""Characters kept of a value in a row or a parameter."""

# A functional TypedDict, because "from" is a keyword.
Event = TypedDict(
    "Event",
    {"at": float, "from": Sender, "kind": Kind, "name": str, "length": int, "detail": dict[str, Any]},
)
"""One event as plain data.

at: seconds since the epoch at which the relay had received its first byte; from: who sent it; kind: see
`Kind`; name: the protocol's own name for it; length: bytes on the wire, headers included; detail: what
could be read of it, by name, and `until` (seconds since the epoch) where its last byte came later than its
first.
"""


@dataclass(slots=True)
class Message:
    """Something one side sent, or did to its socket. See `Event` for the fields."""

    at: float
    sender: Sender
    kind: Kind
    name: str
    length: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def as_event(self) -> Event:
        """Plain data that `json` can write."""
        return {
            "at": self.at,
            "from": self.sender,
            "kind": self.kind,
            "name": self.name,
            "length": self.length,
            "detail": self.detail,
        }

    def seen_until(self, at: float) -> None:
        """Note that its last byte so far came at `at`."""
        if at != self.at:
            self.detail["until"] = at


@dataclass(slots=True)
class Connection:
    """Everything recorded of one connection from a client through the relay to the server.

    opened_at, closed_at: seconds since the epoch; closed_at is None while it is open.
    session: the server's own id of the session where it could be read, else None.
    tls: a TLS ClientHello was seen. opaque_from: when the first bytes came that could not be read, or None.
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
    dropped: bool = False
    client_pid: int | None = None
    client_port: int | None = None
    server_port: int | None = None
    events: list[Event] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data that `json` can write; `Connection(**data)` reads it back."""
        # Not `asdict`, which copies every event.
        return {each.name: getattr(self, each.name) for each in fields(self)}


_SECRET = re.compile(r"\b(?:identified|password)\b", re.IGNORECASE)
# A literal that the limit has cut has no closing quote.
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z)""", re.DOTALL)


def statement_text(raw: bytes) -> str:
    """Return the first `TEXT_LIMIT` characters of a statement, without the passwords it sets."""
    return _without_secrets(raw[: TEXT_LIMIT * 4].decode("utf-8", "replace")[:TEXT_LIMIT])


def _without_secrets(text: str) -> str:
    found = _SECRET.search(text)
    if not found:
        return text
    return text[: found.end()] + _LITERAL.sub("'***'", text[found.end() :])


def value_text(raw: bytes) -> str:
    """Return the first `VALUE_LIMIT` characters of a value; bytes that are no text come as hex digits."""
    try:
        return raw[: VALUE_LIMIT * 4].decode()[:VALUE_LIMIT]
    except UnicodeDecodeError:
        # A multi-byte character may have been cut in two.
        text = raw[: VALUE_LIMIT * 4].decode("utf-8", "replace")[:VALUE_LIMIT]
        return text if "\ufffd" not in text else "0x" + raw[: VALUE_LIMIT // 2].hex()


def message_text(raw: bytes) -> str:
    """Return the first `TEXT_LIMIT` characters of a text for people, such as an error message."""
    return raw[: TEXT_LIMIT * 4].decode("utf-8", "replace")[:TEXT_LIMIT]
