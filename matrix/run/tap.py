"""Puts the relay between an example and its server, and says what went over the wire."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.wire.relay import Address, Relay, RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.records.wire import Connection
    from matrix.servers import Server

__all__ = ["RelayError", "Tap", "is_encrypted_as_asked"]

#: What a client says in the clear before it has encryption; libpq may close the connection after it.
_ASKS_FOR_ENCRYPTION = ("SSLRequest", "GSSENCRequest")


class Tap:
    """The relay of a run; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._relay = Relay()

    def __enter__(self) -> Tap:
        self._stack.enter_context(self._relay)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def on(self, server: Server, transport: str, *, settle: float) -> Iterator[tuple[Server, list[Connection]]]:
        """Yield a server as it is reached through the relay, and a list that holds the connections afterwards.

        `settle` is how many seconds connections may need to end once the context is left; then the relay ends them.
        """
        if transport == "unix":
            assert server.socket is not None
            path = Path(server.socket)
            # PostgreSQL's clients are told the folder that holds the socket, and derive its name from the port.
            in_folder = path.is_dir()
            upstream = Address(path=path / f".s.PGSQL.{server.port}" if in_folder else path)
            listener = self._relay.open(protocol=server.protocol, upstream=upstream, listen="unix", folder=self._folder)
            if in_folder:
                reached = replace(server, socket=listener.host, port=listener.port or 0)
            else:
                reached = replace(server, socket=str(listener.socket))
        else:
            upstream = Address(host=server.host, port=server.port)
            listener = self._relay.open(protocol=server.protocol, upstream=upstream, listen="tcp")
            reached = replace(server, host=listener.host, port=listener.port or 0)
        connections: list[Connection] = []
        try:
            yield reached, connections
        finally:
            connections += self._relay.close(listener, settle=settle, drop=True)


def is_encrypted_as_asked(connection: Connection, transport: str) -> bool:
    """Whether a session is encrypted exactly if its transport is `tls`; true of one that ended before it began."""
    if transport != "tls" or connection.tls:
        return connection.tls == (transport == "tls")
    return all(
        event.name in _ASKS_FOR_ENCRYPTION
        for event in connection.events
        if event.sender == "client" and event.kind in ("message", "undecoded")
    )
