"""A user's own server, named by a URL in the environment."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from matrix.errors import MatrixError
from matrix.servers import products
from matrix.servers.model import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.servers.model import Code, Observer, ObserverCode
    from matrix.servers.products import Known

PARAMETERS = {"ca", "socket"}
DATABASE = re.compile(r"matrix_([0-9a-f]{8})_\d+")  # of a run, which the first group names
CLEAN = "`python -m matrix.servers --clean`"


def variable(known: Known) -> str | None:
    """Return the name of the variable that names a user's own server, None if there is none: for one series."""
    return None if known.series else f"MATRIX_{known.product.name.upper()}_URL"


def server(known: Known) -> Server | None:
    """Return the user's own server of a product, whichever its series, or None if the user names none.

    The URL is ``scheme://user:password@host:port/?ca=PATH&socket=PATH``; the parameters may be left out.
    ``ca`` is the certificate to verify the server with (without it nothing is tried with TLS); ``socket``
    is the path of the server's Unix socket, for PostgreSQL of the folder that holds it. Raises
    ``MatrixError`` if the URL is wrong. The version is not known yet: see ``checked``.
    """
    name = variable(known)
    text = os.environ.get(name, "").strip() if name else ""
    return parse(text, known) if text else None


def checked(server: Server, code: Code, observers: ObserverCode) -> Server:
    """Return a server with its version and series, asked for; raise ``MatrixError`` if it refuses."""
    try:
        version = observers.version(server)
    except MatrixError as error:
        known = products.find(server.name)
        # The URL itself is not repeated: it has a password in it.
        raise MatrixError(f"{variable(known)}: {known.title} at {server.host}:{server.port}: {error}") from error
    return replace(server, version=version, series=code.series(version))


@contextlib.contextmanager
def in_use(server: Server, observer: Observer, token: str, report: Callable[[str], None]) -> Iterator[None]:
    """Mark a run's databases on a user's own server as in use, and name those of runs that are gone.

    Raises ``MatrixError`` if the account may not do what every cell needs.
    """
    with contextlib.closing(observer):
        observer.hold(token[:8])
        _try_out(observer, f"matrix_{token[:8]}_0")
        if names := leftovers(observer):
            where = f"{server.product} at {server.host}:{server.port}"
            report(f"{where} has databases of runs that are gone, {', '.join(names)}: {CLEAN} drops them")
        try:
            yield
        finally:
            # A cell drops its own, unless the server was restarting. If it is gone, the next run names what is left.
            with contextlib.suppress(MatrixError):
                for name in observer.databases():
                    if (match := DATABASE.fullmatch(name)) and match[1] == token[:8]:
                        observer.drop_database(name)


def _try_out(observer: Observer, database: str) -> None:
    """Do once what every cell does."""
    observer.create_database(database)
    try:
        observer.sessions(database)
        observer.counters(database)
        observer.committed(database)
    finally:
        observer.drop_database(database)


def leftovers(observer: Observer) -> list[str]:
    """Return the databases of runs that are gone, by name."""
    found = {name: match[1] for name in observer.databases() if (match := DATABASE.fullmatch(name))}
    gone = {token for token in found.values() if not observer.is_held(token)}
    return sorted(name for name, token in found.items() if token in gone)


def parse(text: str, known: Known) -> Server:
    """Return the server that a URL names, its version unknown as yet."""
    facts, name = known.product.facts, variable(known)

    def wrong(what: str) -> MatrixError:
        example = f"{facts.schemes[0]}://user:password@127.0.0.1:{facts.port}/?ca=/path/ca.pem"
        return MatrixError(f"{name} {what}; it looks like {example}")

    try:
        parts = urlsplit(text)
        port = parts.port or facts.port
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise wrong(f"is not a URL ({error})") from error
    if parts.scheme not in facts.schemes:
        schemes = " or ".join(f"{scheme}://" for scheme in facts.schemes)
        raise wrong(f"has to begin with {schemes}")
    if not parts.hostname or not parts.username:
        raise wrong("has to name a user and a host")
    if "\0" in unquote(parts.netloc):
        raise wrong("has a NUL character in its account")
    if parts.path not in ("", "/"):
        raise wrong(f"has to name no database ({parts.path[1:]!r}): the run creates and drops its own")
    if unknown := sorted(parameters.keys() - PARAMETERS):
        raise wrong(f"has an unknown parameter {unknown[0]!r} (known: {', '.join(sorted(PARAMETERS))})")
    for parameter, value in parameters.items():
        if not Path(value).exists():
            raise wrong(f"has {parameter}={value}, and there is no such file")
    return Server(
        name=known.name,
        product=known.product.name,
        protocol=facts.protocol,
        version="",
        series="",
        origin="url",
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        host=parts.hostname,
        port=port,
        socket=parameters.get("socket"),
        ca=parameters.get("ca"),
        log=None,
    )
