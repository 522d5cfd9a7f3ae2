"""The relay as the harness sees it: a process of its own that gives each cell an address to connect to."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from matrix.errors import MatrixError
from matrix.wire.control import Address, Answer, Close, Open, decode_answer, encode

if TYPE_CHECKING:
    from types import TracebackType

    from matrix.records.wire import Connection
    from matrix.wire.control import Request

__all__ = ["Address", "Listener", "Relay", "RelayError"]

_ROOT = Path(__file__).parents[2]
_LONGEST_PATH = 107  # bytes of a Unix socket's path
_SOCKET_NAME = len("/.s.PGSQL.5432")
_PATIENCE = 30.0  # seconds for an answer of the relay, beyond the time it was given to settle


class RelayError(MatrixError):
    """The relay cannot do what it was asked for. Its text is one line."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a cell's clients connect to.

    TCP: `host` and `port`, and `socket` is None. Unix: `socket` is the path. For PostgreSQL, whose clients
    want folder and port, `host` is the folder and `port` the number in the socket's name.
    """

    number: int
    host: str
    port: int | None
    socket: Path | None


class Relay:
    """One relay process, with a listener for each cell. A context manager; every method is thread-safe.

    The process ends with the `with` block, and also when this process is killed.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Answer]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "matrix.wire.relay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            process_group=0,
        )
        threading.Thread(target=self._read_answers, name="relay answers", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with self._lock:
            self._process = None
            with contextlib.suppress(BrokenPipeError):  # it has gone already
                process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        """The relay's process."""
        if self._process is None:
            raise RelayError("the relay is not running")
        return self._process.pid

    def open(
        self, *, protocol: str, upstream: Address, listen: Literal["tcp", "unix"], folder: Path | None = None
    ) -> Listener:
        """Listen for the clients of one cell, and connect each of them to `upstream`.

        protocol: "mysql" or "postgresql". folder: where a Unix socket is made; it should be
        private to the user. Raises `RelayError` if the path would be too long, the address is unavailable or
        the relay has gone.
        """
        if listen == "unix":
            if folder is None:
                raise RelayError("a Unix socket needs a folder")
            folder = folder.resolve()
            if len(bytes(folder)) + _SOCKET_NAME > _LONGEST_PATH:
                raise RelayError(f"{folder} is too long a folder for a Unix socket")
        else:
            folder = None
        if upstream.path:
            upstream = Address(path=upstream.path.resolve())
        request = Open(next(self._numbers), protocol, upstream, folder)
        answer = self._ask(request).result(_PATIENCE)
        host = str(folder) if folder and protocol == "postgresql" else "localhost" if folder else "127.0.0.1"
        return Listener(request.id, host, answer.port, answer.path)

    def close(self, listener: Listener, *, settle: float = 0.5, drop: bool = False) -> list[Connection]:
        """Stop listening and return a `Connection` for each that was accepted, in that order.

        Returns as soon as all connections have ended, and after `settle` seconds at the latest. Those that
        are open then, their `closed_at` None, are reset if `drop` says so, and else go on unrecorded.
        Raises `RelayError` if the relay has gone.
        """
        answer = self._ask(Close(next(self._numbers), listener.number, settle, drop))
        return answer.result(_PATIENCE + settle).connections

    def _ask(self, request: Request) -> Future[Answer]:
        answer: Future[Answer] = Future()
        with self._lock:
            if self._process is None:
                raise RelayError("the relay is not running")
            assert self._process.stdin is not None
            self._waiting[request.id] = answer
            try:
                self._process.stdin.write(encode(request) + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:
                raise RelayError("the relay has gone") from error
        return answer

    def _read_answers(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            answer = decode_answer(line)
            with self._lock:
                waiting = self._waiting.pop(answer.id)
            if answer.error is not None:
                waiting.set_exception(RelayError(answer.error))
            else:
                waiting.set_result(answer)
        process.stdout.close()
        with self._lock:
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.set_exception(RelayError("the relay has gone"))


if __name__ == "__main__":
    from matrix.wire.forward import main

    main()
