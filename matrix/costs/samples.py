"""Makes costs of what a program measured."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

import msgspec

from matrix.errors import MatrixError
from matrix.records.costs import Cost, Ratio, ratio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.records.costs import Place
    from matrix.records.wire import Connection, Event


class Compared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one of the things that were measured is compared with, by name, and what pages call it."""

    base: str
    query: str
    title: str


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a program measured: by name a list of nanoseconds, an entry for each round, and what to compare."""

    samples: dict[str, list[float]]
    compared: dict[str, Compared]


def read_samples(output: str) -> Samples:
    """Return what a program reported in the last line of its output; raise MatrixError if it is something else."""
    last = (output.strip().splitlines() or [""])[-1]
    try:
        return msgspec.json.decode(last, type=Samples)
    except msgspec.DecodeError:
        raise MatrixError(f"its last line holds no figures: {last[:80] or 'it printed nothing'}") from None


def costs(place: Place, found: Samples) -> list[Cost]:
    """Return the costs that follow from what a program measured; raise MatrixError if it is not fit for ratios."""
    samples, made = found.samples, []
    try:
        for what, compared in found.compared.items():
            query = None if compared.base == compared.query else ratio(samples[what], samples[compared.query])
            made.append(
                Cost(
                    place=place.id,
                    what=what,
                    title=compared.title,
                    base=compared.base,
                    ratio=ratio(samples[what], samples[compared.base]),
                    queries=query,
                    rounds=len(samples[what]),
                )
            )
    except (KeyError, ValueError) as error:
        raise MatrixError(f"its figures make no ratios: {error}") from None
    return made


def round_trips(place: Place, connections: Sequence[Connection]) -> list[Cost]:
    """Return how many round trips a connect needs, from connections most of which were opened and closed again.

    A round trip is something that the client sends and something that the server sends next. What a server sends
    unasked, such as tickets to resume a TLS session, may come in between, so the smallest count is that of a connect.
    The round trip of TCP's own handshake, which no recording shows, is added.
    """
    if not connections:
        raise MatrixError("opened no connection")
    counts = [_round_trips(connection.events) for connection in connections]
    number = 1.0 + min(counts)
    return [
        Cost(
            place=place.id,
            what="connect",
            title="connect",
            base="query",
            ratio=Ratio(number, number, number),
            rounds=counts.count(min(counts)),
        )
    ]


def _round_trips(events: Sequence[Event]) -> int:
    """Count the round trips of a connection until one side ends it."""
    before = list(takewhile(lambda event: event.kind not in ("fin", "rst"), events))
    return sum(one.sender == "client" and next_one.sender == "server" for one, next_one in pairwise(before))


#: The names of what is measured of workers' memory, by the step after which it is looked at.
MEMORY = {"worked": "a worker's memory", "collected": "a worker's memory after garbage was collected"}


def memory(
    place: Place, preloaded: Mapping[str, Sequence[float]], loading: Mapping[str, Sequence[float]]
) -> list[Cost]:
    """Return what workers of a preloaded process need, as ratios to workers that load the stack themselves.

    Both hold the bytes of each worker, by the step after which they were looked at. Workers are alike, so that it does
    not matter which is compared with which.
    """
    try:
        return [
            Cost(
                place=place.id,
                what=step,
                title=title,
                base="loading",
                ratio=ratio(sorted(preloaded[step]), sorted(loading[step])),
                rounds=len(preloaded[step]),
            )
            for step, title in MEMORY.items()
        ]
    except (KeyError, ValueError) as error:
        raise MatrixError(f"its figures make no ratios: {error}") from None
