"""The command line: `python -m matrix run ...`, which `nox -s matrix -- ...` calls, and the commands that only read."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

from matrix.arguments import Parser
from matrix.errors import MatrixError
from matrix.process.ending import InterruptedBySignal, interruptible

if TYPE_CHECKING:
    import argparse

#: The modules with `add_commands`, and the commands of each: only that of the command that is called is imported.
COMMANDS = {
    "matrix.run.command": ("run", "remedies", "table", "show", "compare", "merge", "summary"),
    "matrix.run.launcher_command": ("launchers",),
    "matrix.run.versions_command": ("versions",),
    "matrix.run.drift_command": ("drift",),
    "matrix.report.command": ("report",),
    "matrix.pages.commands": ("pages", "site", "advise"),
    "matrix.pages.explain_command": ("explain",),
    "matrix.completion": ("completion",),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 as expected, 1 not as expected, 2 the work could not be done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a table's signs shows `?` beside the words that say the same.
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    try:
        with interruptible():
            status: int = options.command(options)
    except MatrixError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    except InterruptedBySignal as signal:
        print("matrix: interrupted; servers and programs are stopped, no results were written", file=sys.stderr)
        return signal.status
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "start new thread" not in str(error):
            raise
        print(
            "matrix: this machine, or a limit (ulimit), allows no more memory or threads; --jobs 1 needs the least",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return status


def whole_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    return _parser([])


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="matrix",
        description="What happens when a forked process meets a database connection.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    wanted = [module for module, names in COMMANDS.items() if arguments and arguments[0] in names]
    for module in wanted or COMMANDS:
        importlib.import_module(module).add_commands(commands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
