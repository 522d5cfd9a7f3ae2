"""What other servers than the default ones change: what a driver did there, and where that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from matrix import servers
from matrix.catalogue import STACK_TITLES
from matrix.records.facts import TRANSPORTS
from matrix.report.show import named_version
from matrix.report.table import marked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.pages.facts import Facts
    from matrix.records.outcomes import Outcome
    from matrix.records.server_results import OnServer


class Difference(NamedTuple):
    """What some cells of an example did on a server, what they do on the default one, and why, if a reason says so."""

    example: str
    where: str
    here: str
    there: str
    reason: str | None
    cells: int


class OnOther(NamedTuple):
    """What a driver did on a server: of which version, in how many cells, and what differs from the `usual` server."""

    driver: str
    server: str
    title: str
    version: str
    usual: str
    cells: int
    differences: list[Difference]


def on_others(facts: Facts, driver: str) -> list[OnOther]:
    """Return what a driver did on each server beside the default ones that has results."""
    found = []
    for name, results in facts.on_servers.items():
        cells = [each for each in results.cells.values() if each.cell.driver == driver]
        if cells:
            usual = servers.expected_as(name)[-1]
            found.append(
                OnOther(
                    driver=driver,
                    server=name,
                    title=servers.title(name),
                    version=named_version("server", results.versions[driver]["server"]),
                    usual=servers.title(usual),
                    cells=len(cells),
                    differences=_differences(facts, cells, usual),
                )
            )
    return found


def by_server(facts: Facts) -> dict[str, list[OnOther]]:
    """Return the same by server, with every driver that was run there."""
    found: dict[str, list[OnOther]] = {}
    for driver in facts.drivers:
        for each in on_others(facts, driver):
            found.setdefault(each.server, []).append(each)
    return dict(sorted(found.items(), key=lambda item: servers.names().index(item[0])))


def _differences(facts: Facts, cells: Iterable[OnServer], usual: str) -> list[Difference]:
    """Return what differs, with stacks and transports that differ alike in one line."""
    groups: dict[tuple[str, str, str, str | None], list[OnServer]] = {}
    for each in cells:
        there = facts.observed.get(replace(each.cell, server=usual).id)
        claim = facts.claimed.get(each.cell.id)
        if there is None or each.seen.keys() <= {*there.seen, *(claim.outcomes if claim and claim.is_race else ())}:
            continue
        reason = claim.reason if claim and each.seen.keys() <= set(claim.outcomes) else None
        key = (each.cell.example, _words(each.seen), _words(there.seen), reason)
        groups.setdefault(key, []).append(each)
    return [
        Difference(example, _where(some), here, there, reason, len(some))
        for (example, here, there, reason), some in sorted(groups.items(), key=lambda item: item[0][:3])
    ]


def _words(seen: Iterable[Outcome]) -> str:
    return " or ".join(marked(outcome) for outcome in sorted(seen))


def _where(cells: Iterable[OnServer]) -> str:
    """Return the stacks and transports of cells, `bare, django: tls`; transports only if they are not all."""
    stacks: dict[str, list[str]] = {}
    for each in cells:
        stacks.setdefault(STACK_TITLES[each.cell.stack], []).append(each.cell.transport)
    groups: dict[tuple[str, ...], list[str]] = {}
    for stack, transports in stacks.items():
        groups.setdefault(tuple(transports), []).append(stack)
    return "; ".join(
        ", ".join(alike) + (f": {', '.join(transports)}" if len(transports) < len(TRANSPORTS) else "")
        for transports, alike in groups.items()
    )
