"""A user's own server, named by a URL in the environment."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from matrix.errors import MatrixError
from matrix.servers._model import Server

if TYPE_CHECKING:
    from matrix.servers._model import Family

PARAMETERS = {"ca", "socket"}


def variable(family: str) -> str:
    """Return the name of the variable that names a family's server."""
    return f"MATRIX_{family.upper()}_URL"


def server(name: str, family: Family) -> Server | None:
    """Return the user's own server of a family, or None if the user names none.

    The URL is ``scheme://user:password@host:port/?ca=PATH&socket=PATH``; the parameters may be left out.
    ``ca`` is the certificate to verify the server with (without it nothing is tried with TLS); ``socket``
    is the path of the server's Unix socket, for PostgreSQL of the folder that holds it. Raises
    ``MatrixError`` where the URL is wrong or the server refuses.
    """
    text = os.environ.get(variable(name), "").strip()
    if not text:
        return None
    found = _parse(text, name, family)
    try:
        version = family.version(found)
    except MatrixError as error:
        # The URL itself is not repeated: it has a password in it.
        raise MatrixError(f"{variable(name)}: {family.TITLE} at {found.host}:{found.port}: {error}") from error
    return replace(found, version=version, series=family.series(version))


def _parse(text: str, name: str, family: Family) -> Server:
    def wrong(what: str) -> MatrixError:
        example = f"{family.SCHEMES[0]}://user:password@127.0.0.1:{family.PORT}/?ca=/path/ca.pem"
        return MatrixError(f"{variable(name)} {what}; it looks like {example}")

    try:
        parts = urlsplit(text)
        port = parts.port or family.PORT
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise wrong(f"is not a URL ({error})") from error
    if parts.scheme not in family.SCHEMES:
        schemes = " or ".join(f"{scheme}://" for scheme in family.SCHEMES)
        raise wrong(f"has to begin with {schemes}")
    if not parts.hostname or not parts.username:
        raise wrong("has to name a user and a host")
    if parts.path not in ("", "/"):
        raise wrong(f"has to name no database ({parts.path[1:]!r}): the run creates and drops its own")
    if unknown := sorted(parameters.keys() - PARAMETERS):
        raise wrong(f"has an unknown parameter {unknown[0]!r} (known: {', '.join(sorted(PARAMETERS))})")
    for parameter, value in parameters.items():
        if not Path(value).exists():
            raise wrong(f"has {parameter}={value}, and there is no such file")
    return Server(
        name=name,
        product=name,
        protocol=family.PROTOCOL,
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
