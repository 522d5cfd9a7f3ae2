"""Lines of the answers that commands print."""

from __future__ import annotations

import re
import textwrap

#: Characters in a line of prose; code is left as it stands.
WIDTH = 100


def prose(text: str, indent: int = 0) -> list[str]:
    """Return a text as lines of at most WIDTH characters, those after the first indented by two more."""
    lead = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead + "  ", break_on_hyphens=False)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def code(text: str) -> list[str]:
    """Return a program's lines, indented."""
    return [f"    {line}".rstrip() for line in text.splitlines()]


def lower_first(text: str) -> str:
    """Return a text whose first letter is small, unless it begins a name in capitals."""
    return text if text[1:2].isupper() or text.startswith("macOS") else text[:1].lower() + text[1:]
