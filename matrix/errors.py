"""What the harness tells its user in one line instead of a traceback."""

from __future__ import annotations


class MatrixError(Exception):
    """The work cannot be done, and the message says in one line what is wrong and what is possible.

    A command that meets it prints the message and ends with exit status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class MissingError(MatrixError):
    """What is needed is unavailable on this machine; the message says what, and how to get it."""


class UnreadableError(MatrixError):
    """A record is not what this version defines; the message names the record and the field."""
