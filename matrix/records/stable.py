"""Takes out what differs from run to run: times, pids, session numbers, ports, folders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.records.steps import Step


class Letters:
    """Names server sessions by letter, in the order in which they are first named: A, B, ..., Z, AA."""

    def __init__(self) -> None:
        self._letters: dict[int | str, str] = {}

    def letter(self, session: int | str) -> str:
        """Return a session's letter, always the same one."""
        if session not in self._letters:
            count, letters = len(self._letters) + 1, ""
            while count:
                count, digit = divmod(count - 1, 26)
                letters = chr(ord("A") + digit) + letters
            self._letters[session] = letters
        return self._letters[session]

    def plain(self, step: Step) -> Step:
        """Return a step without time and pid, with the session's letter, and an error's text made stable."""
        return msgspec.structs.replace(
            step,
            at=0.0,
            pid=0,
            session=None if step.session is None else self.letter(step.session),
            text=stable(step.text) if step.result == "raised" and step.text else step.text,
        )


def plain(steps: Iterable[Step]) -> list[Step]:
    """Return steps as two runs that did the same have in common. See `Letters.plain`."""
    letters = Letters()
    return [letters.plain(step) for step in steps]


def sessions(steps: Iterable[Step]) -> list[int | str]:
    """Return the server sessions that steps name, in order, each once."""
    return list(dict.fromkeys(step.session for step in steps if step.session is not None))


def stable(text: str) -> str:
    """Return a text without what differs from run to run: ports, pids, addresses, folders, generated names."""
    text = re.sub(r"\bport:? \d+", "port N", text)
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+", "N", text)
    text = re.sub(r"\b(pid|process|PID|session|thread)(:?) \d+", r"\1\2 N", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", text)
    text = re.sub(r'(?<=cursor ")[^"]+(?=")', "NAME", text)
    text = re.sub(r"(?:/[\w.+-]+)+/(?=[\w.+-]+)", ".../", text)
    text = re.sub(r"\bTask-\d+\b", "Task-N", text)
    text = re.sub(r"(?<=\.py:)\d+", "N", text)
    return re.sub(r"\b[a-z]+_[0-9a-f]{8}_\d+\b", "DATABASE", text)
