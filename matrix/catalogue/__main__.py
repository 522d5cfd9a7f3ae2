"""Prints the ids of cells: `nox -s matrix -- --list`. Needs nothing but msgspec, so that it takes no environment."""

from __future__ import annotations

import sys

from matrix import catalogue
from matrix.arguments import Parser, nearest
from matrix.errors import MatrixError
from matrix.servers import names as server_names


def main(arguments: list[str] | None = None) -> int:
    """Print the ids and return 0; return 2 if there is no such driver, server or cell."""
    parser = Parser(prog="matrix run --list", description="Print the ids of cells.", allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="what this does")
    parser.add_argument("--driver", action="append", metavar="NAME", help="only this driver's cells (repeatable)")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only these cells (repeatable)")
    parser.add_argument("--server", action="append", metavar="NAME", help="not on the default servers (repeatable)")
    options = parser.parse_args(arguments)
    try:
        for what, given, known in (
            ("driver", options.driver, catalogue.drivers()),
            ("server", options.server, server_names()),
        ):
            for name in given or ():
                if name not in known:
                    raise MatrixError(f"there is no {what} {name!r}{nearest(name, known)}")
        cells = catalogue.cells(servers=tuple(options.server) if options.server else None)
        chosen = [
            cell.id
            for cell in catalogue.select(options.only, cells)
            if cell.driver in (options.driver or [cell.driver])
        ]
    except MatrixError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    print("\n".join(chosen))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
