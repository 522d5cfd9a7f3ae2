"""Compares what an example really used with the cell that it is to be filed under."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.run.environment import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.catalogue import Driver, Stack
    from matrix.records.steps import Identity
    from matrix.run.environment import Environment
    from matrix.servers import Server


def mismatch(
    reported: Sequence[Identity], driver: Driver, stack: Stack, server: Server, environment: Environment
) -> str | None:
    """Say in one sentence which field of a report is not what the cell's name says, None if all of them are."""
    if not reported:
        return "the example did not report which driver it used"
    for identity in reported:
        for field, found, wanted in _pairs(identity, driver, stack, server, environment):
            if found not in wanted:
                return f"{field}: the example used {found or 'none'}, the cell is about {' or '.join(wanted)}"
    return None


def _pairs(
    identity: Identity, driver: Driver, stack: Stack, server: Server, environment: Environment
) -> list[tuple[str, str, tuple[str, ...]]]:
    facts = driver.facts
    names = tuple(normalised(name) for name in facts.distributions)
    distribution = normalised(identity.distribution)
    orm, _, orm_version = identity.stack.partition(" ")
    orm_wanted = stack.facts.distribution or stack.facts.name
    pairs = [
        ("module", identity.module, (facts.module,)),
        ("distribution", distribution, names),
        ("version", identity.version, (environment.installed.get(distribution, "nothing installed"),)),
        ("implementation", identity.implementation, (facts.implementation,)),
        ("server", _number(identity.server), (server.version,)),
        ("stack", normalised(orm), (normalised(orm_wanted),)),
    ]
    if stack.facts.distribution:
        installed = environment.installed.get(normalised(stack.facts.distribution), "nothing installed")
        pairs.append(("stack's version", orm_version, (installed,)))
    return pairs


def _number(version: str) -> str:
    """Return the number that a server's own description of its version begins with, `10.11.19` or `15.18`."""
    match = re.search(r"\d+(?:\.\d+)*", version)
    return match[0] if match else version


def versions(identity: Identity, server: Server, environment: Environment) -> dict[str, str]:
    """Return every version that took part in a cell, by what it is the version of."""
    found = {"driver": f"{identity.distribution} {identity.version} ({identity.implementation})"}
    if identity.library:
        found["client library"] = identity.library
    if " " in identity.stack:
        found["orm"] = identity.stack
    return found | {"server": f"{server.product} {server.version}"} | environment.versions()
