"""What the relay records of a connection."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

Sender = Literal["client", "server"]
Kind = Literal["message", "fin", "rst", "tls", "undecoded", "connect", "refused", "omitted"]

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
