"""What is known of drivers and servers before anything runs: `driver.toml` and `server.toml`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from matrix.records.claim import Link

Transport = Literal["tcp", "tls", "unix"]
TRANSPORTS: tuple[Transport, ...] = ("tcp", "tls", "unix")


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a driver's documentation says of forks or threads, and where."""

    text: str
    url: Link


class DriverPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a driver's page says that nobody can measure."""

    about: str
    descriptor: str
    links: dict[str, Link] = {}
    says: tuple[Said, ...] = ()


class Build(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a driver without a wheel is built: against which C library, and what to install if it cannot be built.

    `requires` is what the build itself needs, `without_compiler` the requirement that stands in for the driver's own.
    """

    headers: str
    without_compiler: str
    requires: tuple[str, ...]


class DjangoFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Django uses the driver.

    `engine` is the backend. `options` says under which name an option of the URL goes into OPTIONS: a dotted name is
    nested, `ssl.ca` is `{"ssl": {"ca": ...}}`. `setup` (`module:function`) is called before Django is set up.
    `capabilities` are what examples may need beside the driver's own.
    """

    engine: str
    options: dict[str, str] = {}
    setup: Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:\w+$")] | None = None
    capabilities: tuple[str, ...] = ()


class SQLAlchemyFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How SQLAlchemy uses the driver: the URL's scheme names the dialect. See DjangoFacts for `capabilities`."""

    dialect: str
    capabilities: tuple[str, ...] = ()


class BareFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the driver offers by itself, for examples that need it. See DjangoFacts for `capabilities`."""

    capabilities: tuple[str, ...] = ()


class DriverFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A driver, from `drivers/<name>/driver.toml`.

    `requires` are the requirements that install it, with the range of versions that the claims hold for; `nox -s
    lock` pins them. `distributions` are the names under which the package index has it, the usual one first.
    `module` is the top-level package of its connections, `implementation` what its `connection.py` must report (see
    `Identity`). `protocol` names what it speaks, `servers` the products that it is run against. A stack that has no
    table is not run. `urls` says how DATABASE_URL is spelled for each transport. `code` is how its exceptions carry
    the error code: the name of an attribute, or `args` for an integer in the first argument.
    """

    requires: tuple[str, ...]
    distributions: tuple[str, ...]
    module: str
    implementation: str
    protocol: str
    servers: tuple[str, ...]
    schemes: tuple[str, ...]
    descriptor: Literal["public", "private", "none"]
    code: str
    urls: dict[Transport, str]
    page: DriverPage
    bare: BareFacts | None = None
    django: DjangoFacts | None = None
    sqlalchemy: SQLAlchemyFacts | None = None
    build: Build | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a list is empty or a transport has no URL."""
        for name in ("requires", "distributions", "servers", "schemes"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty")
        if missing := [transport for transport in TRANSPORTS if transport not in self.urls]:
            raise ValueError(f"`urls` has no `{missing[0]}`")


class StackFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack, from `stack.toml` in the folder of its examples.

    `order` is its place in tables. `requires` are the requirements of its ORM, with the range of versions that the
    claims hold for; `nox -s lock` pins them in each driver's environment. `distribution` is the ORM's name on the
    package index. `preload` are modules that the interpreter of its examples imports before it forks.
    """

    name: str
    title: str
    order: int
    requires: tuple[str, ...] = ()
    distribution: str | None = None
    preload: tuple[str, ...] = ()
