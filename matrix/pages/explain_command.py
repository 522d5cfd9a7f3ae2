"""The command `explain`. It imports nothing that draws pages, so that an answer takes half a second."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from matrix.errors import MatrixError
from matrix.pages.answers import answer
from matrix.pages.explain import printed
from matrix.pages.facts import load
from matrix.records.results import RESULTS

if TYPE_CHECKING:
    import argparse

#: How much of standard input is read.
LIMIT = 64 * 1024 * 1024


def add_commands(subparsers: Any) -> None:
    """Add the command to an argparse parser's subparsers, with its function as `command`."""
    add = subparsers.add_parser(
        "explain", help="say what causes an error message, and print a tested fix", allow_abbrev=False
    )
    add.set_defaults(command=_explain)
    add.add_argument("message", nargs="*", help="the message; else a message, a traceback or a log on standard input")
    add.add_argument("--driver", metavar="NAME", help="the driver, if the message does not name it")
    add.add_argument("--orm", metavar="NAME", help="the ORM, or `none`, if the message does not name it")
    add.add_argument(
        "--launcher", metavar="NAME", help="what starts the processes: gunicorn, celery, multiprocessing ..."
    )
    add.add_argument("--format", choices=("text", "json"), default="text", help="json is for programs (default text)")
    add.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="the folder of results (default matrix/results)"
    )


def _explain(options: argparse.Namespace) -> int:
    text: str | bytes = " ".join(options.message)
    if not text:
        if sys.stdin.isatty():
            print(
                "Waiting for a pasted message or traceback; end it with Ctrl-D on a line of its own.", file=sys.stderr
            )
        text = sys.stdin.buffer.read(LIMIT)
    if not text.strip():
        raise MatrixError('explain needs a message: python -m matrix explain "server has gone away"')
    facts = load(options.results, only="raised")
    found = answer(facts, text, driver=options.driver, orm=options.orm, launcher=options.launcher)
    if options.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    else:
        sys.stdout.buffer.write(printed(found).encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()
    return 0 if found.known else 1
