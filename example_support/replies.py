"""Holds back the server's replies to some queries, so that a fork can be placed in the middle of one."""

import time
from collections.abc import Callable
from typing import Any

from .driver import protocol
from .transcript import step

#: Seconds to wait for a query that the server is to hold the reply to; less than the silence that counts as a hang.
PATIENCE = 2


class Holder:
    """A connection of its own that has the server hold back replies to queries that select `protocol.HELD`.

    `query` runs a query on the connection and returns its only row. `holds` is false once it has stopped. `known` are
    the sessions that were there when it began.
    """

    def __init__(self, query: Callable[[str], Any]) -> None:
        self.query = query
        self.holds = True
        _, self.known = self.sessions()
        query(protocol.HOLD)

    def sessions(self) -> tuple[set[str], set[str]]:
        """Return the sessions whose replies are held, and all other sessions."""
        held, others = (set(ids.split(",")) if ids else set() for ids in self.query(protocol.WAITING))
        return held, others

    def stop(self) -> None:
        """Release the replies that are held, and hold none back from now on."""
        self.query(protocol.RELEASE)
        self.holds = False


def hold_replies(connect: Callable[[], Callable[[str], Any]]) -> Holder:
    """Have the server hold back its replies to `held` queries, on a connection that `connect` opens."""
    return step("hold answers", lambda: Holder(connect()))


def wait_until_held(holder: Holder, *, shared: bool = False) -> None:
    """Wait until the reply to a query is held, but no longer than PATIENCE: the driver may have raised instead.

    If the query was to come on a `shared` session and came on one that was opened since, stop holding replies back:
    each process waits for its own, and none would be released.
    """

    def watch() -> None:
        until = time.monotonic() + PATIENCE
        while not (held := holder.sessions()[0]) and time.monotonic() < until:
            time.sleep(0.01)
        if shared and not held <= holder.known:
            holder.stop()

    step("watch", watch)


def release_reply(holder: Holder, *, hold: bool = True) -> None:
    """Release one held reply, as soon as there is one, and hold the replies back that come after it, unless not `hold`.

    If no other session is left, or none has sent a query after PATIENCE seconds, stop holding replies back as well: a
    driver that raises may have done so before it sent anything.
    """

    def release() -> None:
        until = time.monotonic() + PATIENCE
        held, others = holder.sessions()
        while others and not held and time.monotonic() < until:
            time.sleep(0.01)
            held, others = holder.sessions()
        holder.stop()
        if held and hold:
            # By now the session that waited for the lock has got it and given it back.
            holder.query(protocol.HOLD)
            holder.holds = True

    step("release answer", release if holder.holds else lambda: None)
