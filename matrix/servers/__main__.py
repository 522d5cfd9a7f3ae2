"""``python -m matrix.servers``: start the servers and say how to reach them, for running an example by hand.

Names of families may follow (``python -m matrix.servers postgresql``); without any, all are started. They
run until Ctrl-C or until standard input ends.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from matrix import servers
from matrix.errors import MatrixError
from matrix.servers import Server, Unavailable

if TYPE_CHECKING:
    from types import FrameType

DATABASE = "orders"  # made for the reader, empty


def urls(server: Server, database: str) -> dict[str, str]:
    """Return a ``DATABASE_URL`` for each transport a server offers."""
    scheme = "postgresql" if server.protocol == "postgresql" else "mysql"
    account = f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"
    tcp = f"{scheme}://{account}@{server.host}:{server.port}/{database}"
    found = {"tcp": tcp}
    if server.ca:
        found["tls"] = f"{tcp}?{urlencode({'ca': server.ca}, safe='/')}"
    if server.socket:
        found["unix"] = f"{tcp}?{urlencode({'socket': server.socket}, safe='/')}"
    return found


def _stop(number: int, frame: FrameType | None) -> None:  # the signature is signal's
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 2 where no server could be had."""
    parser = argparse.ArgumentParser(
        prog="python -m matrix.servers",
        description="Start private database servers and print how to reach them. They run until Ctrl-C.",
    )
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(servers.names())} (default: all)")
    wanted = parser.parse_args(arguments).name or servers.names()
    signal.signal(signal.SIGTERM, _stop)
    try:
        with servers.running(wanted) as found:
            for server in found.values():
                _introduce(server)
            if all(isinstance(server, Unavailable) for server in found.values()):
                return 2
            print("\nCtrl-C stops and removes the servers.", flush=True)
            while sys.stdin.read(4096):
                pass
    except KeyboardInterrupt:
        print()
    except MatrixError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _introduce(server: Server | Unavailable) -> None:
    name = servers.title(server.name)
    if isinstance(server, Unavailable):
        print(f"\n{name}: {server.reason}", file=sys.stderr)
        return
    observer = servers.observer(server)
    try:
        observer.create_database(DATABASE)
    finally:
        observer.close()
    origin = {"url": "your own", "machine": "this machine's", "fetched": "fetched"}[server.origin]
    print(f"\n{name} {server.version} ({origin}), with an empty database {DATABASE!r}")
    if server.log:
        print(f"  log: {server.log}")
    for transport, url in urls(server, DATABASE).items():
        print(f"  {transport}:")
        print(f"    export DATABASE_URL={shlex.quote(url)}")


if __name__ == "__main__":
    sys.exit(main())
