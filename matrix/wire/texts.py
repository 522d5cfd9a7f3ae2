"""What is kept of the texts in messages: their beginnings, without passwords."""

from __future__ import annotations

import re

TEXT_LIMIT = 500
"""Characters kept of a statement."""

VALUE_LIMIT = 60
"""Characters kept of a value in a row or a parameter."""


_SECRET = re.compile(r"\b(?:identified|password)\b", re.IGNORECASE)
# A literal that the limit has cut has no closing quote.
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z)""", re.DOTALL)


def statement_text(raw: bytes) -> str:
    """Return the first `TEXT_LIMIT` characters of a statement, without the passwords it sets."""
    return _without_secrets(raw[: TEXT_LIMIT * 4].decode("utf-8", "replace")[:TEXT_LIMIT])


def _without_secrets(text: str) -> str:
    found = _SECRET.search(text)
    if not found:
        return text
    return text[: found.end()] + _LITERAL.sub("'***'", text[found.end() :])


def value_text(raw: bytes) -> str:
    """Return the first `VALUE_LIMIT` characters of a value; bytes that are no text come as hex digits."""
    try:
        return raw[: VALUE_LIMIT * 4].decode()[:VALUE_LIMIT]
    except UnicodeDecodeError:
        # A multi-byte character may have been cut in two.
        text = raw[: VALUE_LIMIT * 4].decode("utf-8", "replace")[:VALUE_LIMIT]
        return text if "\ufffd" not in text else "0x" + raw[: VALUE_LIMIT // 2].hex()


def message_text(raw: bytes) -> str:
    """Return the first `TEXT_LIMIT` characters of a text for people, such as an error message."""
    return raw[: TEXT_LIMIT * 4].decode("utf-8", "replace")[:TEXT_LIMIT]
