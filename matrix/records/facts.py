"""What is known of drivers and servers before anything runs: `driver.toml`, `stack.toml`, `product.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from matrix.records.claim import Link

if TYPE_CHECKING:
    from collections.abc import Iterable

Transport = Literal["tcp", "tls", "unix"]
TRANSPORTS: tuple[Transport, ...] = ("tcp", "tls", "unix")
#: The capability of a driver that tells its connection's descriptor.
DESCRIPTOR = "descriptor"


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a driver's documentation says of forks or threads, and where."""

    text: str
    url: Link


class DriverPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a driver's page says that cannot be measured."""

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


class ConfiguredBuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a configuration builds a driver; see `Build`.

    `module` is what is built, if that is not the driver's own module. `program` is what the build calls to find the C
    library, `flags` are more of the compiler's.
    """

    headers: str
    requires: tuple[str, ...]
    module: str | None = None
    program: str | None = None
    flags: str = ""


class Use(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a driver is used in one stack.

    `capabilities` are what examples may need (`Needs:`) beside what the driver has in every stack. `preload` are
    modules that a preloaded interpreter imports beside the driver's own and the stack's. `setup` (`module:function`) is
    called before the ORM is set up. `urls` overrides the driver's own. For Django, `engine` is the backend, and
    `options` says under which name an option of the URL goes into OPTIONS: a dotted name is nested, `ssl.ca` is
    `{"ssl": {"ca": ...}}`.
    """

    capabilities: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    setup: Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:\w+$")] | None = None
    urls: dict[Transport, str] = {}
    engine: str | None = None
    options: dict[str, str] = {}


class DriverFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A driver, from `drivers/<name>/driver.toml`.

    `requires` are the requirements that install it, with the range of versions that the claims hold for; `nox -s
    lock` pins them. `distributions` are the names under which the package index has it, the usual one first.
    `module` is the top-level package of its connections, `implementation` what its `connection.py` must report (see
    `Identity`). `protocol` names what it speaks, `servers` the products that it is run against. `schemes` are those of
    the DATABASE_URLs that name it, `urls` says how DATABASE_URL is spelled for each transport. `code` says where its
    exceptions carry the error code: an attribute such as `sqlstate`, and after it indexes or keys, such as `args.0`. A
    `?` after the attribute says that some of the driver's exceptions do not have it. `errors` is the top-level package
    of its exceptions, if that is not `module`.
    `descriptor` is how a connection's descriptor is reached: by a `public` method, a `private` attribute, or not at all
    (`none`). `stacks` has a table for each stack that the driver is run in. `environ` are environment variables that
    programs with the driver need, where `{packages}` stands for the folder that the driver is installed into.
    """

    requires: tuple[str, ...]
    distributions: tuple[str, ...]
    module: str
    implementation: str
    protocol: str
    servers: tuple[str, ...]
    schemes: tuple[str, ...]
    descriptor: Literal["public", "private", "none"]
    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*\??(\.\w+)*$")]
    urls: dict[Transport, str]
    stacks: dict[str, Use]
    page: DriverPage
    errors: str | None = None
    environ: dict[str, str] = {}
    build: Build | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a list is empty or a transport has no URL."""
        for name in ("requires", "distributions", "servers", "schemes", "stacks"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty")
        if missing := [transport for transport in TRANSPORTS if transport not in self.urls]:
            raise ValueError(f"`urls` has no `{missing[0]}`")

    def capabilities(self, stack: str) -> set[str]:
        """Return what examples of a stack may need and the driver has there; nothing where it is not run."""
        if stack not in self.stacks:
            return set()
        return {*self.stacks[stack].capabilities, *([] if self.descriptor == "none" else [DESCRIPTOR])}

    def runs(self, stack: str, needs: Iterable[str]) -> bool:
        """Whether examples of a stack with some needs can be run with the driver."""
        return stack in self.stacks and self.capabilities(stack).issuperset(needs)


class ConfigurationFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs from the pins in a configuration, from `versions/<name>.toml`.

    `drivers` and `stacks` are those that it is run with, all of them where there are none. `requires` takes the place
    of what a driver or an ORM requires of the same distributions, `build` that of how the driver is built. `python` is
    the version of Python that it needs. `implementation` and `environ` override the driver's. `without` says of a
    capability or an example why there are no such cells, `unable` why nothing here can be run in the configuration.
    """

    about: str
    drivers: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    python: Annotated[str, msgspec.Meta(pattern=r"^3\.\d+$")] | None = None
    implementation: str | None = None
    environ: dict[str, str] = {}
    without: dict[str, str] = {}
    unable: str | None = None
    build: ConfiguredBuild | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where nothing differs."""
        if not self.requires and not self.python:
            raise ValueError("it has neither `requires` nor `python`, so that nothing differs from the pins")


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the programs of a stack connect, so that remedies can be put in place there.

    `opens` (`module:function`) is what they connect or create their engine with, `opened` what remedies call what that
    returns, and `holder` what they call the object that holds it and opens another when it is needed. `names` are what
    else remedies name, as `module:name`. `pools` says the same of programs that keep a pool of their own, by the
    capability that these need.
    """

    opens: Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:\w+$")] | None = None
    opened: str = ""
    holder: str = ""
    names: dict[str, Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:\w+$")]] = {}
    pools: dict[str, Program] = {}


class StackFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack, from `stack.toml` in the folder of its examples.

    `name` is the first part of its cells' ids, `title` what pages call it, `order` its place in tables. `requires` are
    the requirements of its ORM, with the range of versions that the claims hold for; `nox -s lock` pins them in each
    driver's environment. `distribution` is the ORM's name on the package index. `project` are files of the folder that
    are no examples and that examples need, the helper left out. `preload` are modules that the interpreter of its
    examples imports before it forks: nothing that imports a driver by itself. `program` says how its programs connect.
    """

    name: str
    title: str
    order: int
    requires: tuple[str, ...] = ()
    distribution: str | None = None
    project: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    program: Program = Program()


class PackageFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a distribution names a server: `name` is the package of one `{series}`, `any` that of the one it has.

    `program` is the path of the server's program in it, a glob. `unneeded` are globs of what a server does without: it
    is removed from packages that are unpacked.
    """

    name: str
    any: str
    program: str
    unneeded: tuple[str, ...] = ()


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server's product, from `matrix/servers/<product>/product.toml`.

    `protocol` is what its clients speak; `schemes` and `port` are those of the URL of a user's own server. `install`
    says what to install where there is none, `default` which series is fetched then. `nox -s matrix` does without an
    `optional` product, which `nox -s servers` runs. What is expected on the product named by `like` is expected on this
    one too, unless a claim names this one.
    """

    title: str
    protocol: str
    schemes: tuple[str, ...]
    port: int
    install: str
    default: str
    package: PackageFacts
    optional: bool = False
    like: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if there is no scheme."""
        if not self.schemes:
            raise ValueError("`schemes` is empty")


class WheelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pinned wheel that holds a server: its requirement, and a hash for each platform there is one for."""

    requirement: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+==[\w.]+$")]
    hashes: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")], ...], msgspec.Meta(min_length=1)
    ]

    @property
    def version(self) -> str:
        """The version that is pinned."""
        return self.requirement.partition("==")[2]

    @property
    def pinned(self) -> str:
        """The requirement with its hashes, as pip reads it from a file."""
        return " \\\n".join([self.requirement, *(f"    --hash={value}" for value in self.hashes)])


class VersionFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one series of a product is fetched, from `matrix/servers/<product>/versions/<series>.toml`.

    `wheel` comes first. `suites` names, for a distribution's `ID` in `os-release`, the release that has the series.
    """

    wheel: WheelFacts | None = None
    suites: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raise ValueError if nothing can be fetched."""
        if self.wheel is None and not self.suites:
            raise ValueError("there is neither a `wheel` nor a release in `suites` to fetch it from")
