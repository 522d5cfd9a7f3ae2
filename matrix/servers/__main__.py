"""``python -m matrix.servers``: list the servers, or start some and print how to reach them.

Without names it says which servers are known and what would be used here. With names (``python -m matrix.servers
postgresql mariadb11.8``) it starts those, for running an example by hand; they run until Ctrl-C or until standard
input ends. With ``--clean`` it drops what runs that are gone have left on your own servers.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from matrix import servers
from matrix.arguments import Parser
from matrix.errors import MatrixError
from matrix.process.ending import InterruptedBySignal, interruptible
from matrix.provision import cache
from matrix.servers import Server, Unavailable, fetch, own, private, products

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.servers.products import Known

DATABASE = "orders"  # made for the reader, empty


def urls(server: Server, database: str) -> dict[str, str]:
    """Return a ``DATABASE_URL`` for each transport a server offers."""
    account = f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"
    tcp = f"{server.protocol}://{account}@{server.host}:{server.port}/{database}"
    found = {"tcp": tcp}
    if server.ca:
        found["tls"] = f"{tcp}?{urlencode({'ca': server.ca}, safe='/')}"
    if server.socket:
        found["unix"] = f"{tcp}?{urlencode({'socket': server.socket}, safe='/')}"
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 2 if what was asked for cannot be done."""
    parser = Parser(
        prog="python -m matrix.servers",
        description="List the servers that are known and what would be used here, or start some of them.",
    )
    parser.add_argument("name", nargs="*", help="a server to start; it runs until Ctrl-C")
    parser.add_argument("--clean", action="store_true", help="drop what runs that are gone left on your own servers")
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            if options.clean:
                return _clean()
            return _start(options.name) if options.name else _list()
    except InterruptedBySignal:
        print()
    except MatrixError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _list() -> int:
    width = max(map(len, servers.names()))
    for known in products.known().values():
        print(f"{known.name:{width}}  {known.title:16}  {origin(known)}")
    print("\nName some to start them.")
    return 0


def origin(known: Known) -> str:
    """Return what would be used for a server, without starting or fetching anything."""
    if address := own.server(known):
        return f"your own at {address.host}:{address.port} ({own.variable(known)})"
    choice, code = private.choice(), servers.code(known.product.name)
    for program in code.installed() if choice != "fetched" else ():
        done = subprocess.run([program, *code.VERSION_ARGUMENTS], capture_output=True, text=True, check=False)
        version = code.reported_version(done.stdout)
        if version and known.series in (None, code.series(version)):
            return f"this machine's {version}, {program}"
    for source in fetch.sources(known, code) if choice != "machine" else ():
        return f"{source.text}, {'in the cache' if cache.find(source.cache_name) else 'to be fetched'}"
    return "not available here"


def _start(names: list[str]) -> int:
    with servers.running(names) as found:
        for server in found.values():
            _introduce(server)
        if all(isinstance(server, Unavailable) for server in found.values()):
            return 2
        print("\nCtrl-C stops and removes the servers.", flush=True)
        while sys.stdin.read(4096):
            pass
    return 0


def _introduce(server: Server | Unavailable) -> None:
    name = servers.title(server.name)
    if isinstance(server, Unavailable):
        print(f"\n{name}: {server.reason}", file=sys.stderr)
        return
    with contextlib.closing(servers.observer(server)) as observer:
        observer.create_database(DATABASE)
    origin = {"url": "your own", "machine": "this machine's", "fetched": "fetched"}[server.origin]
    print(f"\n{name}: {server.version} ({origin}), with an empty database {DATABASE!r}")
    if server.log:
        print(f"  log: {server.log}")
    for transport, url in urls(server, DATABASE).items():
        print(f"  {transport}:")
        print(f"    export DATABASE_URL={shlex.quote(url)}")


def _clean() -> int:
    variables = [variable for known in products.known().values() if (variable := own.variable(known))]
    found = list(_own_servers())
    if not found:
        raise MatrixError(f"you name no server of your own; {' or '.join(variables)} does")
    for server in found:
        with contextlib.closing(servers.observer(server)) as observer:
            for database in own.leftovers(observer):
                observer.drop_database(database)
                print(f"dropped {database} from {servers.title(server.name)} at {server.host}:{server.port}")
    return 0


def _own_servers() -> Iterator[Server]:
    for known in products.known().values():
        if address := own.server(known):
            yield own.checked(address, servers.code(address.product), servers.observer_code(address.product))


if __name__ == "__main__":
    sys.exit(main())
