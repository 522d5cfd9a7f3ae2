"""The command `completion`: prints a shell's completions, which shtab makes from the command line itself."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from matrix.catalogue import drivers
from matrix.catalogue.launchers import applications, launchers
from matrix.records.reading import ROOT
from matrix.servers import names as server_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHELLS = ("bash", "zsh", "fish")
#: What can be completed, by the option's name in the namespace.
_VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "driver": drivers,
    "server": server_names,
    "orm": applications,
    "launcher": launchers,
}
#: `matrix` as a function of the shell, for it is no program; the completions are for this name.
_FUNCTIONS = {
    "bash": 'matrix() {{ (cd {root} && {python} -m matrix "$@"); }}',
    "zsh": 'matrix() {{ (cd {root} && {python} -m matrix "$@") }}',
    "fish": "function matrix; env -C {root} {python} -m matrix $argv; end",
}


def add_commands(subparsers: Any) -> None:
    """Add the command to an argparse parser's subparsers, with its function as `command`."""
    add = subparsers.add_parser(
        "completion", help="print a shell function `matrix`, and completions for it", allow_abbrev=False
    )
    add.set_defaults(command=_completion)
    add.add_argument("shell", choices=SHELLS, help="eval the output, or source it")


def _completion(options: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415  # only this command needs it

    from matrix.__main__ import whole_parser  # noqa: PLC0415  # which imports this module

    parser = whole_parser()
    for each in _parsers(parser):
        for action in each._actions:
            if values := _VALUES.get(action.dest):
                action.choices = list(values())
            elif action.metavar in ("DIR", "FILE"):
                action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]
    print(_FUNCTIONS[options.shell].format(root=ROOT, python=sys.executable))
    print(shtab.complete(parser, options.shell))
    return 0


def _parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
