"""Real database servers: found, fetched, started privately for a run, and stopped with it.

A server is known by its name: ``postgresql`` is the default one of its product, ``postgresql17`` exactly that series.
For each, the first that applies: the server named by ``MATRIX_<PRODUCT>_URL`` (for a default one); the machine's own
programs; programs fetched into the cache once. ``MATRIX_SERVERS=fetched`` ignores the machine's programs,
``MATRIX_SERVERS=machine`` fetches nothing.

Each folder here is a product: ``product.toml`` and ``versions/*.toml`` have its facts, its package the code (see
``Code``). Adding a version is adding a file, adding a product adding a folder.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, cast

from matrix.errors import MatrixError
from matrix.servers import products
from matrix.servers.model import Observer, Server, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from matrix.process.watchdog import Watchdog
    from matrix.records.server import LogLine
    from matrix.servers.model import Code, ObserverCode
    from matrix.servers.products import Known

__all__ = [
    "Observer",
    "Server",
    "Unavailable",
    "default_names",
    "expected_as",
    "log_lines",
    "names",
    "observer",
    "optional",
    "product_of",
    "protocol_of",
    "running",
    "series_of",
    "title",
]


def names() -> tuple[str, ...]:
    """Return the names of all known servers: of each product the default one, then its series."""
    return tuple(products.known())


def default_names() -> tuple[str, ...]:
    """Return the names of the products' default servers, which are the products' names; optional ones are left out."""
    return tuple(name for name, product in products.products().items() if not product.facts.optional)


def optional(name: str) -> bool:
    """Say whether `nox -s matrix` does without a server's product; raise ``MatrixError`` if there is no such server."""
    return products.find(name).product.facts.optional


def expected_as(name: str) -> tuple[str, ...]:
    """Return the names under which claims about a server stand, the most specific first.

    A series is followed by what it is a part of, and a product by the one that it is like: `mariadb10.11`, `mariadb10`,
    `mariadb`; `mysql`, `mariadb`.
    """
    known = products.find(name)
    product, found = known.product.name, []
    if known.series:
        parts = known.series.split(".")
        found = [product + ".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    like = known.product.facts.like
    return (*found, product, *(expected_as(like) if like else ()))


def product_of(name: str) -> str:
    """Return the product of a server; raise ``MatrixError`` if there is no server of this name."""
    return products.find(name).product.name


def series_of(name: str) -> str | None:
    """Return which series a server's name stands for, None for a default one, whose series a run finds out."""
    return products.find(name).series


def protocol_of(name: str) -> str:
    """Return what a server's clients speak; raise ``MatrixError`` if there is no server of this name."""
    return products.find(name).product.facts.protocol


def title(name: str) -> str:
    """Return a server's name as people write it, such as PostgreSQL 17."""
    return products.find(name).title


def log_lines(server: Server, log: str, database: str) -> list[LogLine]:
    """Return what a part of a server's log says about the sessions in a database, in order."""
    return code(server.product).log_lines(log, database)


def observer(server: Server) -> Observer:
    """Open the harness's own connection to a server; raise ``MatrixError`` if it refuses."""
    return observer_code(server.product).connect(server)


def observer_code(product: str) -> ObserverCode:
    """Return the module of a product that observes it; raise ``MatrixError`` if its driver cannot be imported."""
    try:
        return cast("ObserverCode", importlib.import_module(f"{__name__}.{product}.observer"))
    except ImportError as error:
        raise MatrixError(f"the harness cannot look at {products.find(product).title}: {error}") from error


def code(product: str) -> Code:
    """Return the package of a product."""
    return cast("Code", importlib.import_module(f"{__name__}.{product}"))


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # in one piece: several threads report


@contextlib.contextmanager
def running(
    names: Iterable[str], *, report: Callable[[str], None] = _to_stderr, watchdog: Watchdog | None = None
) -> Iterator[dict[str, Server | Unavailable]]:
    """Start the servers of these names, all at once, and stop and remove them when the context is left.

    ``report`` is told in a line what takes time; it may be called from several threads. ``watchdog`` removes
    everything even if this process is killed; without one, the context has its own. Raises ``MatrixError``
    if the user asked for something impossible; what is unavailable here is ``Unavailable`` instead.
    """
    # Imported here so that the facts above can be asked for at little cost.
    from matrix.process.watchdog import Watchdog  # noqa: PLC0415
    from matrix.provision import cache  # noqa: PLC0415
    from matrix.servers import own, private  # noqa: PLC0415

    wanted = {name: products.find(name) for name in names}
    private.choice()
    with contextlib.ExitStack() as stack:
        watchdog = watchdog or stack.enter_context(Watchdog())
        servers: dict[str, Server | Unavailable] = {}
        for name, known in wanted.items():
            if address := own.server(known):
                servers[name] = found = own.checked(address, code(address.product), observer_code(address.product))
                stack.enter_context(own.in_use(found, observer(found), watchdog.token, report))
        missing = [known for name, known in wanted.items() if name not in servers]
        if missing:
            cache.sweep()
            servers |= stack.enter_context(_private(missing, watchdog, report))
        yield {name: servers[name] for name in wanted}


@contextlib.contextmanager
def _private(
    wanted: list[Known], watchdog: Watchdog, report: Callable[[str], None]
) -> Iterator[dict[str, Server | Unavailable]]:
    """Start private servers, each in a thread, and stop them when the context is left."""
    from matrix.servers import private  # noqa: PLC0415  # as in `running`

    with private.folders([known.name for known in wanted], watchdog, report) as place:
        stacks = [contextlib.ExitStack() for _ in wanted]
        try:
            with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
                starting = [
                    pool.submit(private.obtain, known, code(known.product.name), place, stack)
                    for known, stack in zip(wanted, stacks, strict=True)
                ]
                try:
                    servers = {known.name: start.result() for known, start in zip(wanted, starting, strict=True)}
                except BaseException:
                    watchdog.cancel()  # Ctrl-C: what is under way ends now, and is then undone
                    raise
            yield servers
        finally:
            with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
                list(pool.map(contextlib.ExitStack.close, stacks))
