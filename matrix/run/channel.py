"""The pipe through which an example reports its steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matrix.errors import UnreadableError
from matrix.records.steps import Identity, Step, read_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

#: The variable that tells an example the path of the pipe.
VARIABLE = "STEP_RECORDS"


class StepChannel:
    """A named pipe and the records that came through it; a context manager that removes the pipe.

    `ended` is called with the steps that have ended, as soon as they are known. What cannot be read is kept in
    `problem`, and nothing is read after it.
    """

    def __init__(self, path: Path, ended: Callable[[list[Step]], None]) -> None:
        self.path = path
        self.steps: list[Step] = []
        self.identities: list[Identity] = []
        self.problem: UnreadableError | None = None
        self.ready = False
        self._ended = ended
        self._rest = b""
        self._reader = self._writer = -1

    def __enter__(self) -> Self:
        os.mkfifo(self.path, 0o600)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # A writer of our own, so that the pipe does not come to its end between one process and the next.
        self._writer = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writer)
        os.close(self._reader)
        self.path.unlink(missing_ok=True)

    def fileno(self) -> int:
        """Return the descriptor that is read."""
        return self._reader

    def received(self, data: bytes) -> None:
        """Take some bytes of the stream; a record may come in pieces."""
        whole, separator, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        if self.problem or not separator:
            return
        from_here = len(self.steps)
        try:
            for record in read_records(whole, first=len(self.steps) + len(self.identities) + 1):
                if isinstance(record, Identity):
                    self.identities.append(record)
                else:
                    self.steps.append(record)
        except UnreadableError as error:
            self.problem = error
            return
        ended = [step for step in self.steps[from_here:] if step.result is not None]
        self.ready = self.ready or any(step.action == "prepare" for step in ended)
        if ended:
            self._ended(ended)

    @property
    def incomplete(self) -> bool:
        """Whether the stream ended in the middle of a record."""
        return bool(self._rest)
