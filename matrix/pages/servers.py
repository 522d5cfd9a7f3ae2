"""What other servers than the default ones change: what a driver did there, and where that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from matrix import servers
from matrix.catalogue import STACK_TITLES
from matrix.records.facts import TRANSPORTS
from matrix.report.table import marked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.pages.facts import Facts
    from matrix.records.claim import Claim
    from matrix.records.outcomes import Outcome
    from matrix.records.server_results import OnServer


class Difference(NamedTuple):
    """What some cells of an example did on a server, what they do on the default one, and why, if a reason says so."""

    example: str
    where: str
    here: str
    there: str
    reason: str | None
    note: str
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
                    version=results.versions[driver]["server"].partition(" ")[2],
                    usual=_usual(facts, driver, usual),
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


def _usual(facts: Facts, driver: str, server: str) -> str:
    """Return the default server, with the versions that the driver was run with there."""
    versions = {seen.versions.get("server", "") for seen in facts.of(driver=driver) if seen.cell.server == server}
    return " ".join(
        [servers.title(server), ", ".join(sorted(version.partition(" ")[2] for version in versions))]
    ).strip()


def _differences(facts: Facts, cells: Iterable[OnServer], usual: str) -> list[Difference]:
    """Return what differs, with stacks and transports that differ alike in one line."""
    groups: dict[tuple[str, str, str, Claim | None], list[OnServer]] = {}
    for each in cells:
        there = facts.observed.get(replace(each.cell, server=usual).id)
        claims = [facts.claimed.get(replace(each.cell, server=server).id) for server in (each.cell.server, usual)]
        here, elsewhere = ((claim.outcomes if claim else ()) for claim in claims)
        if there is None or each.seen.keys() <= {*there.seen, *elsewhere}:
            continue
        why = claims[0] if each.seen.keys() <= set(here) else None
        key = (each.cell.example, _words(each.seen), _words(there.seen), why)
        groups.setdefault(key, []).append(each)
    return [
        Difference(example, _where(some), here, there, why.reason if why else None, why.note if why else "", len(some))
        for (example, here, there, why), some in sorted(groups.items(), key=lambda item: item[0][:3])
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
