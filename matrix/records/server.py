"""What is seen of a server: its sessions, and what it writes into its log about them."""

from __future__ import annotations

import msgspec


class Session(msgspec.Struct, frozen=True):
    """One session of a server, seen from outside; None stands for what the server does not show."""

    id: int
    user: str
    encrypted: bool | None
    state: str
    in_transaction: bool | None


class LogLine(msgspec.Struct, frozen=True):
    """Something a server wrote into its log about one session.

    `at` is when, in seconds since the epoch, or None if the log has no finer time than a second. `port` is the TCP
    port of the client, if the log names it.
    """

    at: float | None
    session: int
    text: str
    port: int | None = None
