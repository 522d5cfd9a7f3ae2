"""Starts examples in copies of an interpreter that has imported their driver and ORM already.

Importing takes most of an example's time: more than its database work, and much more than its forks. So the
run keeps, for each stack and driver, one interpreter that has imported what the examples of that stack import from
elsewhere, and nothing of ours. For each cell it forks, and the copy does what ``python -m <example>`` does from there
on: the same ``__main__``, the same arguments, the same end of the interpreter. No connection, thread or
descriptor comes with the copy: what an example imports opens none. `matrix run --fresh` starts an interpreter for
each cell instead, as a reader would.

The copy is forked twice, so that it becomes a child of the run, which adopts orphans (`matrix.process.execute`);
that is possible on Linux only.

This file is started as a program by its path too, and so imports the standard library only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, Self

    from matrix.process.execute import Groups

#: Seconds that an interpreter may take to start, and to fork.
PATIENCE = 30.0
#: The resource limit that marks a program's processes, as in `matrix.process.watchdog`.
_LIMIT = 10
#: Bytes of a request at most: what a socket's buffer takes without anybody raising it.
_REQUEST = 1 << 17


class Request(TypedDict):
    """What an interpreter is asked to run: a module, what differs in its environment, and its processes' mark."""

    module: str
    set: Mapping[str, str]
    unset: Sequence[str]
    mark: int


def possible() -> bool:
    """Whether this system lets the run adopt what an interpreter forks."""
    return sys.platform == "linux"


class Interpreter:
    """One preloaded interpreter, started when it is first needed; safe to use from several threads."""

    def __init__(
        self, python: Path, names: Sequence[str], *, cwd: Path, env: Mapping[str, str], groups: Groups
    ) -> None:
        self._python, self._names, self._cwd, self._env, self._groups = str(python), names, cwd, env, groups
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, mark: int) -> Program:
        """Start `python -m MODULE` in a copy of the interpreter: a session of its own, pipes for what it prints.

        Raises OSError where the interpreter has ended or does not answer.
        """
        python, option, module = command
        if (python, option, cwd) != (self._python, "-m", self._cwd):
            raise ValueError(f"a preloaded interpreter cannot run {command} in {cwd}")
        # Only what differs: an environment may be larger than a request.
        changed = {name: value for name, value in env.items() if self._env.get(name) != value}
        unset = [*self._env.keys() - env.keys()]
        request = json.dumps(Request(module=module, set=changed, unset=unset, mark=mark)).encode()
        if len(request) > _REQUEST:
            raise OSError("more in the environment than a preloaded interpreter can be told; --fresh does without")
        with contextlib.ExitStack() as stack:
            output, write_output = _pipe(stack)
            errors, write_errors = _pipe(stack)
            with self._lock:
                answers = self._connect()
                try:
                    socket.send_fds(answers, [request], [write_output, write_errors])
                    answer = answers.recv(64)
                except OSError:  # it ended, or does not answer in time
                    answer = b""
                if not answer:
                    self._stop()
                    raise OSError("the preloaded interpreter ended; --fresh does without")
            os.close(write_output)
            os.close(write_errors)
            stack.pop_all()
        return Program(int(answer), open(output, "rb"), open(errors, "rb"))  # noqa: PTH123 - by descriptor

    def close(self) -> None:
        """End the interpreter; copies that run go on."""
        with self._lock:
            self._stop()

    def _connect(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.settimeout(PATIENCE)
            with theirs:
                self._process = subprocess.Popen(
                    [self._python, str(Path(__file__).resolve()), *self._names],
                    env=dict(self._env),
                    cwd=self._cwd,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._groups.watch_group(self._process.pid)
            self._socket = ours
        return self._socket

    def _stop(self) -> None:
        if self._socket is not None and self._process is not None:
            self._socket.close()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._groups.release_group(self._process.pid)
        self._socket = self._process = None


class Program:
    """A program that a preloaded interpreter forked: what `matrix.process.execute` needs of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the program runs."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the program has ended.

        Raises `subprocess.TimeoutExpired` where it has not after `timeout` seconds.
        """
        until = time.monotonic() + (timeout or 0)
        while (status := self._reap(os.WNOHANG if timeout is not None else 0)) is None:
            if timeout is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.001)
        return status

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Interpreters:
    """The preloaded interpreters of a run, one for each Python, list of modules and environment; a context manager."""

    def __init__(self, *, cwd: Path, env: Mapping[str, str], groups: Groups) -> None:
        self._cwd, self._env, self._groups = cwd, env, groups
        self._lock = threading.Lock()
        self._all: dict[tuple[Path, tuple[str, ...], tuple[tuple[str, str], ...]], Interpreter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for interpreter in self._all.values():
            interpreter.close()

    def of(self, python: Path, names: tuple[str, ...], environ: Mapping[str, str] | None = None) -> Interpreter:
        """Return the interpreter that has imported these modules, as far as they are installed for a Python.

        `environ` are variables that it is started with beside those of the run: what the dynamic linker looks for.
        """
        environ = environ or {}
        key = python, names, tuple(sorted(environ.items()))
        with self._lock:
            if key not in self._all:
                env = {**self._env, **environ}
                self._all[key] = Interpreter(python, names, cwd=self._cwd, env=env, groups=self._groups)
            return self._all[key]


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Make a pipe, both ends of which are closed with `stack`."""
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        stack.callback(_close, descriptor)
    return reader, writer


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)


# The interpreter itself.


def _preload(names: Sequence[str]) -> None:
    """Import what there is of some modules; what is not there, the example will say."""
    for name in names:
        # Whatever an import may raise, it is the example's to meet: it imports the same, and prints what happens.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _serve(requests: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork for each request; return the request in the copy, and None in the interpreter when there are no more."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, _REQUEST, 2)
        if not request:
            return None
        reader, writer = os.pipe()
        if between := os.fork():
            os.close(writer)
            for descriptor in descriptors:
                os.close(descriptor)
            os.waitpid(between, 0)  # from now on, the copy is the run's
            with open(reader, "rb") as file:  # noqa: PTH123 - by descriptor
                requests.send(file.read())
            continue
        if copy := os.fork():
            os.write(writer, str(copy).encode())
            os._exit(0)
        os.close(reader)
        os.close(writer)
        return json.loads(request), descriptors


def _become(asked: Request, descriptors: list[int]) -> None:
    """Do in this process what `python -m MODULE` does."""
    os.setsid()
    for name in asked["unset"]:
        os.environ.pop(name, None)
    os.environ.update(asked["set"])
    resource.setrlimit(_LIMIT, (asked["mark"], resource.getrlimit(_LIMIT)[1]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in zip([nothing, *descriptors], (0, 1, 2), strict=True):
        if descriptor != standard:
            os.dup2(descriptor, standard)
            os.close(descriptor)
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    sys.argv[:] = ["-m"]
    # What `python -m` itself calls; public `runpy.run_module` would undo everything before the interpreter ends, and
    # how an example's objects go at the end of the interpreter is part of what is looked at.
    runpy._run_module_as_main(asked["module"])  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    _preload(sys.argv[1:])
    # As the documentation of `gc` has it for what forks. Otherwise each copy, when it ends, looks through all that was
    # imported, and copies it for that. What the example itself makes is collected as ever.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=0) as _requests:
        _request = _serve(_requests)
    if _request:
        _become(*_request)
