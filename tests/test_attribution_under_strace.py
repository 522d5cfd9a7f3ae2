"""Attribution is right: what evidence says a process sent, strace saw that process send."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from matrix import catalogue, servers
from matrix.process.execute import Process, start
from matrix.process.watchdog import Watchdog
from matrix.records.reading import ROOT
from matrix.records.wire import Connection
from matrix.run.cell import Subject, Surroundings, clean_environ, run_cell
from matrix.run.environment import environment, interpreter
from matrix.run.tap import Tap
from matrix.servers import Server
from matrix.wire.attribution import Attribution, attribute, is_socket, undelivered
from matrix.wire.processes import processes, slack

#: A cell for each way of sending and of exiting, on every driver; few, because tracing is slow.
CELLS = catalogue.select(
    [
        "bare/closed_in_child/*/*/tcp",
        "bare/shared_at_once/*/*/tcp",
        "bare/exited_child/*/*/tcp",
        "bare/committed_in_child/*/*/tls",
        "bare/dropped_in_child/*/*/unix",
        "bare/reconnected_in_parent/*/*/tcp",
        "bare/closed_before_fork/*/*/tcp",
        "bare/pool_closed_in_child/*/*/tcp",
        "bare/killed_in_child/*/*/tcp",
        "sqlalchemy/shared_in_turn/*/*/tls",
    ],
    catalogue.cells(),
)
CALLS = "connect,sendto,write,sendmsg,writev,shutdown,close,dup,dup2,dup3,fcntl,clone,clone3,fork,vfork"
_CALL = re.compile(r"(?P<pid>\d+) +(?P<at>\d+\.\d+) (?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+).*")
_EXIT = re.compile(r"(?P<pid>\d+) +(?P<at>\d+\.\d+) \+\+\+ (?:exited with|killed by) .*")


@functools.cache
def obstacle() -> str | None:
    """Why nothing can be traced here, None where it can."""
    if not shutil.which("strace"):
        return "strace is not on PATH"
    probe = subprocess.run(["strace", "-f", "-e", "trace=close", "true"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"tracing is not permitted here: {probe.stderr.strip().splitlines()[-1]}"


@dataclass
class Socket:
    """What strace saw of one connection: who wrote how many bytes, in order, who closed it last, or shut it down."""

    opener: int
    writes: list[tuple[int, int]] = field(default_factory=list)
    holders: set[tuple[int, str]] = field(default_factory=set)
    last: int = 0
    shut: int = 0
    port: int = 0

    def close(self, pid: int, descriptor: str) -> None:
        if (pid, descriptor) in self.holders:
            self.holders.discard((pid, descriptor))
            self.last = pid

    def writer(self, begin: int, end: int) -> set[int]:
        """The processes that wrote the bytes from one position to another."""
        found, position = set(), 0
        for pid, length in self.writes:
            if position < end and position + length > begin:
                found.add(pid)
            position += length
        return found


def trace(text: str, folder: Path) -> list[Socket]:
    """Follow descriptors through fork, dup2 and close; return the sockets connected over TCP or in a folder."""
    held: dict[int, dict[str, Socket]] = collections.defaultdict(dict)
    leaders: dict[int, int] = {}
    found: list[Socket] = []
    for line in resumed(text):
        if match := _EXIT.fullmatch(line):
            # The end of a thread closes nothing.
            pid = int(match["pid"])
            for descriptor, socket in held.pop(pid, {}).items():
                socket.close(pid, descriptor)
            continue
        match = _CALL.fullmatch(line)
        if match is None:
            continue
        name, result = match["name"], int(match["result"])
        pid = leaders.get(int(match["pid"]), int(match["pid"]))
        # With -yy a descriptor is followed by what it leads to: 3<TCP:[127.0.0.1:40000->127.0.0.1:3306]>.
        # Some libraries close -1, which fails and closes nothing.
        numbers = re.findall(r"(?:^|, )(-?\d+)(?=<|,|$)", match["arguments"])
        descriptor, rest = (numbers or [""])[0], match["arguments"]
        if name in ("clone", "clone3", "fork", "vfork"):
            # A thread shares the descriptors, and is its process here; a process has copies of its own.
            if result > 0 and "CLONE_THREAD" in match["arguments"]:
                leaders[result] = pid
            elif result > 0:
                held[result] = dict(held[pid])
                for descriptor, socket in held[pid].items():
                    socket.holders.add((result, descriptor))
        elif name == "connect" and ("sa_family=AF_INET," in rest or str(folder) in rest):
            socket = Socket(pid, holders={(pid, descriptor)})
            held[pid][descriptor] = socket
            found.append(socket)
        elif name in ("close", "dup2", "dup3"):
            target = numbers[name != "close"]
            if result >= 0 and (closed := held[pid].pop(target, None)):
                closed.close(pid, target)
        elif (
            name in ("dup", "fcntl") and result >= 0 and descriptor in held[pid] and (name == "dup" or "DUPFD" in rest)
        ):
            held[pid][str(result)] = held[pid][descriptor]
            held[pid][descriptor].holders.add((pid, str(result)))
        elif name == "shutdown" and descriptor in held[pid]:
            held[pid][descriptor].shut = held[pid][descriptor].shut or pid
        elif name in ("sendto", "write", "sendmsg", "writev") and result > 0 and descriptor in held[pid]:
            held[pid][descriptor].writes.append((pid, result))
            if port := re.match(r"\d+<TCP:\[127\.0\.0\.1:(\d+)->", rest):
                held[pid][descriptor].port = int(port[1])
    return found


def resumed(text: str) -> Iterator[str]:
    """Join calls that strace printed in two parts; what they did counts from when they began, but for a fork."""
    lines = text.splitlines()
    rest: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for line in lines:
        if match := re.fullmatch(r"(\d+) +\S+ <\.\.\. (\w+) resumed>(.*)", line):
            rest[match[1], match[2]].append(match[3])
    for line in lines:
        if match := re.fullmatch(r"((\d+) +\S+ (\w+)\(.*?) <unfinished \.\.\.>", line):
            ends = rest[match[2], match[3]]
            yield match[1] + (ends.pop(0) if ends else ") = -1")
        elif "resumed>" not in line:
            yield line


def in_order(sockets: list[Socket], connections: list[Connection]) -> list[Socket]:
    """Return the socket of each connection: they may have been accepted in another order than strace has seen."""
    left, found = list(sockets), []
    for connection in connections:
        socket = next(
            socket
            for socket in left
            if (
                socket.port == connection.client_port
                if connection.client_port
                else socket.opener == connection.client_pid
            )
        )
        left.remove(socket)
        found.append(socket)
    return found


@dataclass
class Traced:
    """A run with what evidence says of it and what the system saw."""

    connections: list[Connection]
    attributions: list[Attribution]
    sockets: list[Socket]
    names: dict[int, str]


@pytest.fixture(scope="module")
def traced() -> Iterator[dict[str, Traced]]:
    if why := obstacle():
        pytest.skip(why)
    drivers, stacks = catalogue.drivers(), catalogue.stacks()
    installed = {name: environment(interpreter(name)) for name in drivers}
    wanted = [cell for cell in CELLS if installed[cell.driver].has(drivers[cell.driver])]
    with contextlib.ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())
        running = stack.enter_context(servers.running(sorted({cell.server for cell in wanted}), watchdog=watchdog))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fc-", dir="/tmp")))
        tap = stack.enter_context(Tap(folder))
        environ = clean_environ(watchdog.environ())
        around = Surroundings(deadline=20, groups=watchdog, environ=environ, folder=folder, root=ROOT, tap=tap)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))
        futures = {}
        for number, cell in enumerate(wanted):
            if isinstance(server := running[cell.server], Server):
                subject = Subject(cell, drivers[cell.driver], stacks[cell.stack], installed[cell.driver], server)
                futures[cell.id] = pool.submit(run, subject, around, f"matrix_strace_{number}", watchdog.mark(number))
        yield {key: future.result() for key, future in futures.items()}


def run(subject: Subject, around: Surroundings, database: str, mark: int) -> Traced:
    """Run a cell under strace."""
    output = around.folder / f"{database}.txt"
    strace = ["strace", "-f", "-yy", "-ttt", "-x", "-s", "64", "-e", f"trace={CALLS}", "-e", "signal=none"]

    def start_traced(command: Sequence[str], env: Mapping[str, str], cwd: Path, mark: int) -> Process:
        return start([*strace, "-o", str(output), *command], env, cwd, mark)

    with contextlib.closing(servers.observer(subject.server)) as observer:
        found = run_cell(subject, around, observer, database=database, mark=mark, start=start_traced).run
    users = [{step.who for step in found.steps if step.session == c.session is not None} for c in found.connections]
    attributions = attribute(found.connections, processes(found.steps, slack(found.connections)), users)
    sockets = trace(output.read_text(errors="replace"), around.folder)
    names = {step.pid: step.who for step in found.steps}
    return Traced(found.connections, attributions, in_order(sockets, found.connections), names)


@pytest.mark.parametrize("key", [cell.id for cell in CELLS])
def test_every_attributed_message_was_written_by_the_process_that_evidence_names(
    key: str, traced: dict[str, Traced]
) -> None:
    if key not in traced:
        pytest.skip("its driver or its server is not available here")
    found = traced[key]
    checked = 0
    for connection, attribution, socket in zip(found.connections, found.attributions, found.sockets, strict=True):
        if attribution.opener.who:
            assert found.names[socket.opener] == attribution.opener.who
        position = 0
        for index, event in enumerate(connection.events):
            if event.sender != "client":
                continue
            begin, position = position, position + event.length
            sender = attribution.senders.get(index)
            if sender is None or sender.who is None or undelivered(event):
                continue
            if not is_socket(event):
                writers = {found.names.get(pid, str(pid)) for pid in socket.writer(begin, position)}
                assert writers == {sender.who}, f"{event} of session {connection.session}: {sender.how}"
                checked += 1
            elif event.kind == "fin":
                assert found.names.get(socket.shut or socket.last) == sender.who, f"{event}: {sender.how}"
        # What is written after the server has closed the connection may be lost, and nothing else.
        assert position <= sum(length for _, length in socket.writes)
    assert checked >= 3


def test_most_of_what_was_sent_is_attributed(traced: dict[str, Traced]) -> None:
    senders = [
        sender.who is not None
        for found in traced.values()
        for attribution in found.attributions
        for sender in attribution.senders.values()
    ]
    assert sum(senders) > 0.8 * len(senders)
