"""Command lines: errors of one line that name what is nearest to what was typed."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")


def nearest(name: str, among: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest that there is, and all that there are."""
    among = list(among)
    near = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return f"{f'; did you mean {near[0]}?' if near else ';'} there are {', '.join(among)}"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and what is nearest to it."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments; end with status 2 if there is one that this parser, or the one of the command, lacks."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = [name for name in self._option_string_actions if name.startswith("--")]
            name = unknown[0].partition("=")[0]
            near = difflib.get_close_matches(name, options, n=1) if name.startswith("-") else []
            self.error(f"unrecognized arguments: {' '.join(unknown)}" + "".join(f"; did you mean {n}?" for n in near))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and end with status 2."""
        if match := _CHOICE.search(message):
            choices = [choice.strip(" '") for choice in match[2].split(",")]
            message = message.replace(match[0], f"there is no {match[1]!r}{nearest(match[1], choices)}")
        print(f"{self.prog}: {message}; --help shows what is possible", file=sys.stderr)
        raise SystemExit(2)
