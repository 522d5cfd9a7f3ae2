"""Attribution proven right: what evidence says a process sent, the system saw that process send."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from matrix.records.transcript import parse

from matrix import catalogue, servers
from matrix.catalogue import Cell
from matrix.process.execute import execute
from matrix.process.watchdog import Watchdog
from matrix.records.reading import ROOT
from matrix.records.wire import Connection
from matrix.run import cell
from matrix.servers import Server
from matrix.wire.attribution import Attribution, attribute, is_socket, undelivered
from matrix.wire.processes import processes
from matrix.wire.relay import Relay

#: A cell for each way of sending and of leaving, on every driver; few, for the tracing is slow.
CELLS = [
    "bare/closed_in_child/{driver}/{server}/tcp",
    "bare/shared_at_once/{driver}/{server}/tcp",
    "bare/exited_child/{driver}/{server}/tcp",
    "bare/committed_in_child/{driver}/{server}/tls",
    "bare/dropped_in_child/{driver}/{server}/unix",
    "bare/reconnected_in_parent/{driver}/{server}/tcp",
    "bare/closed_before_fork/{driver}/{server}/tcp",
    "sqlalchemy/shared_in_turn/{driver}/{server}/tls",
]
#: The modules whose presence says that a driver is installed.
DRIVERS = {"mysqlclient": "MySQLdb", "pymysql": "pymysql", "psycopg": "psycopg"}
KEYS = [
    key.format(driver=driver, server="postgresql" if driver == "psycopg" else "mariadb")
    for key in CELLS
    for driver in DRIVERS
] + ["bare/pool_closed_in_child/psycopg/postgresql/tcp", "bare/killed_in_child/psycopg/postgresql/tcp"]
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


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed here; nox -s tests installs it")


@dataclass
class Socket:
    """What the system saw of one connection: who wrote how many bytes, in order, who let go of it last, or shut it."""

    opener: int
    writes: list[tuple[int, int]] = field(default_factory=list)
    holders: set[tuple[int, str]] = field(default_factory=set)
    last: int = 0
    shut: int = 0
    port: int = 0

    def let_go(self, pid: int, descriptor: str) -> None:
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


def trace(text: str, listening: str) -> list[Socket]:
    """Follow descriptors through fork, dup2 and close; return the sockets that were connected to an address."""
    held: dict[int, dict[str, Socket]] = collections.defaultdict(dict)
    leaders: dict[int, int] = {}
    found: list[Socket] = []
    for line in resumed(text):
        if match := _EXIT.fullmatch(line):
            # The end of a thread lets go of nothing.
            pid = int(match["pid"])
            for descriptor, socket in held.pop(pid, {}).items():
                socket.let_go(pid, descriptor)
            continue
        match = _CALL.fullmatch(line)
        if match is None:
            continue
        name, result = match["name"], int(match["result"])
        pid = leaders.get(int(match["pid"]), int(match["pid"]))
        # With -yy a descriptor is followed by what it leads to: 3<TCP:[127.0.0.1:40000->127.0.0.1:3306]>.
        numbers = re.findall(r"(?:^|, )(\d+)(?=<|,|$)", match["arguments"])
        descriptor, rest = (numbers or [""])[0], match["arguments"]
        if name in ("clone", "clone3", "fork", "vfork"):
            # A thread shares the descriptors, and is its process here; a process has copies of its own.
            if result > 0 and "CLONE_THREAD" in match["arguments"]:
                leaders[result] = pid
            elif result > 0:
                held[result] = dict(held[pid])
                for descriptor, socket in held[pid].items():
                    socket.holders.add((result, descriptor))
        elif name == "connect" and listening in rest:
            socket = Socket(pid, holders={(pid, descriptor)})
            held[pid][descriptor] = socket
            found.append(socket)
        elif name in ("close", "dup2", "dup3"):
            target = numbers[name != "close"]
            if result >= 0 and (closed := held[pid].pop(target, None)):
                closed.let_go(pid, target)
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
    found: dict[str, Traced] = {}
    cells = {cell.id: cell for cell in catalogue.cells()}
    wanted = [cells[key] for key in KEYS if importlib.util.find_spec(DRIVERS[cells[key].driver])]
    with contextlib.ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())
        running = stack.enter_context(servers.running(["mariadb", "postgresql"], watchdog=watchdog))
        relay = stack.enter_context(Relay())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fc-", dir="/tmp")))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))
        futures = {
            each.id: pool.submit(run, each, server, f"matrix_strace_{number}", watchdog, relay, folder)
            for number, each in enumerate(wanted)
            if isinstance(server := running[each.server], Server)
        }
        found |= {key: future.result() for key, future in futures.items()}
        yield found


def run(each: Cell, server: Server, database: str, watchdog: Watchdog, relay: Relay, folder: Path) -> Traced:
    with contextlib.closing(servers.observer(server)) as observer:
        observer.create_database(database)
        try:
            return run_in(database, each, server, watchdog, relay, folder)
        finally:
            observer.drop_database(database)


def run_in(database: str, each: Cell, server: Server, watchdog: Watchdog, relay: Relay, folder: Path) -> Traced:
    listener = cell._listen(relay, server, each.transport, folder)
    address = cell._through(server, listener)
    output = folder / f"{database}.txt"
    ours = ["strace", "-f", "-yy", "-ttt", "-x", "-s", "64", "-e", f"trace={CALLS}", "-e", "signal=none"]
    driver = catalogue.drivers()[each.driver]
    url = driver.url(each.stack, each.transport, address, database)
    execution = execute(
        [*ours, "-o", str(output), sys.executable, "-m", catalogue.module(each)],
        env=cell.clean_environ(watchdog.environ()) | {"DATABASE_URL": url},
        cwd=ROOT,
        deadline=20,
        groups=watchdog,
        mark=database,
    )
    connections = relay.close(listener, settle=2, drop=True)
    lines, other = parse(execution.output)
    assert lines, f"{each.id}: {execution.errors} {other}"
    steps = [cell._step(line, connections[0].opened_at) for line in lines]
    known = processes(steps)
    users = [{step.who for step in steps if step.session == c.session is not None} for c in connections]
    listening = f"htons({listener.port})" if listener.socket is None else str(listener.socket)
    sockets = trace(output.read_text(errors="replace"), listening)
    names = {step.pid: step.who for step in steps}
    return Traced(connections, attribute(connections, known, users), in_order(sockets, connections), names)


@pytest.mark.parametrize("key", KEYS)
def test_every_attributed_message_was_written_by_the_process_that_evidence_names(
    key: str, traced: dict[str, Traced]
) -> None:
    needs(DRIVERS[key.split("/")[2]])
    if key not in traced:
        pytest.skip("its server cannot be had here")
    told = traced[key]
    proven = 0
    for connection, attribution, socket in zip(told.connections, told.attributions, told.sockets, strict=True):
        if attribution.opener.who:
            assert told.names[socket.opener] == attribution.opener.who
        position = 0
        for index, event in enumerate(connection.events):
            if event.sender != "client":
                continue
            begin, position = position, position + event.length
            sender = attribution.senders.get(index)
            if sender is None or sender.who is None or undelivered(event):
                continue
            if not is_socket(event):
                writers = {told.names.get(pid, str(pid)) for pid in socket.writer(begin, position)}
                assert writers == {sender.who}, f"{event} of {replace(connection, events=[])}: {sender.how}"
                proven += 1
            elif event.kind == "fin":
                assert told.names.get(socket.shut or socket.last) == sender.who, f"{event}: {sender.how}"
        # What is written after the server has closed the connection may be lost, and nothing else.
        assert position <= sum(length for _, length in socket.writes)
    assert proven >= 3


def test_most_of_what_was_sent_can_be_attributed(traced: dict[str, Traced]) -> None:
    senders = [
        sender.who is not None
        for told in traced.values()
        for attribution in told.attributions
        for sender in attribution.senders.values()
    ]
    assert sum(senders) > 0.8 * len(senders)
