"""The relay: what one side does to its socket is what the other side sees, and all of it is recorded."""

from __future__ import annotations

import hashlib
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.records.wire import Connection, Event
from matrix.wire import describe, forward, fuzz, recorder
from matrix.wire.mysql import MySQLDecoder
from matrix.wire.relay import Address, Listener, Relay, RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.records.wire import Sender

ROOT = Path(__file__).parents[1]
PATIENCE = 10.0  # seconds until a test gives up


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay() as relay:
        yield relay


class Ends:
    """A client's socket, the server's socket it is relayed to, and their listener."""

    def __init__(self, relay: Relay, transport: str, folder: Path) -> None:
        self.started = time.time()
        self.relay = relay
        if transport == "unix":
            self.server_listener = socket.socket(socket.AF_UNIX)
            self.server_listener.bind(str(folder / "server"))
            address = Address(path=folder / "server")
        else:
            self.server_listener = socket.socket()
            self.server_listener.bind(("127.0.0.1", 0))
            address = Address(*self.server_listener.getsockname())
        self.server_listener.listen()
        self.server_listener.settimeout(PATIENCE)
        listen = "unix" if transport == "unix" else "tcp"
        self.listener = relay.open(protocol="postgresql", upstream=address, listen=listen, folder=folder)  # type: ignore[arg-type]  # one of the two
        self.client = connect(self.listener)
        self.server = self.server_listener.accept()[0]
        self.server.settimeout(PATIENCE)

    def record(self) -> Connection:
        (connection,) = self.relay.close(self.listener, settle=PATIENCE)
        return connection

    def close(self) -> None:
        for sock in (self.client, self.server, self.server_listener):
            sock.close()


def connect(listener: Listener) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if listener.socket else socket.AF_INET)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(str(listener.socket) if listener.socket else (listener.host, listener.port))
    except OSError:
        sock.close()
        raise
    return sock


@pytest.fixture(params=["tcp", "unix"])
def ends(relay: Relay, request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Ends]:
    ends = Ends(relay, request.param, short_folder)
    yield ends
    ends.close()


@pytest.fixture
def tcp_ends(relay: Relay, short_folder: Path) -> Iterator[Ends]:
    ends = Ends(relay, "tcp", short_folder)
    yield ends
    ends.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    # pytest's own temporary folders may be too long for a socket's path.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def receive_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def kinds(connection: Connection) -> list[tuple[str, str]]:
    return [(event.sender, event.kind) for event in connection.events]


def test_bytes_pass_both_ways_and_are_decoded(ends: Ends) -> None:
    conversation = fuzz.read_conversation(fuzz.CORPUS / "postgresql-psycopg.hex")
    for sender, data in conversation:
        source, target = (ends.client, ends.server) if sender == "client" else (ends.server, ends.client)
        source.sendall(data)
        got = b""
        while len(got) < len(data):
            got += target.recv(len(data) - len(got))
        assert got == data
    ends.client.close()
    ends.server.close()
    connection = ends.record()
    decoder = recorder.DECODERS["postgresql"]()
    expected = [describe(event) for event in fuzz.decode(decoder, conversation)]
    assert [describe(event) for event in connection.events] == ["connect", *expected, "FIN", "FIN"]
    assert connection.session == decoder.session
    assert connection.closed_at is not None
    assert ends.started <= connection.opened_at <= connection.events[1].at <= connection.closed_at <= time.time()


def test_a_half_close_is_one_and_leaves_the_other_half_open(ends: Ends) -> None:
    ends.client.sendall(b"question")
    ends.client.shutdown(socket.SHUT_WR)
    assert receive_all(ends.server) == b"question"
    ends.server.sendall(b"answer")
    assert ends.client.recv(100) == b"answer"
    ends.server.close()
    assert ends.client.recv(100) == b""
    record = kinds(ends.record())
    assert [entry for entry in record if entry[1] == "fin"] == [("client", "fin"), ("server", "fin")]


def test_the_server_may_close_first(ends: Ends) -> None:
    ends.server.sendall(b"last words")
    ends.server.shutdown(socket.SHUT_WR)
    assert receive_all(ends.client) == b"last words"
    ends.client.sendall(b"still here")
    ends.client.close()
    assert receive_all(ends.server) == b"still here"
    record = kinds(ends.record())
    assert [entry for entry in record if entry[1] == "fin"] == [("server", "fin"), ("client", "fin")]


def test_a_shared_socket_has_its_fin_when_the_last_process_has_closed_it(ends: Ends) -> None:
    copy = ends.client.dup()
    ends.client.close()
    ends.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ends.server.recv(1)
    copy.close()
    assert ends.server.recv(1) == b""


def test_a_shutdown_by_one_process_ends_it_for_all(ends: Ends) -> None:
    copy = ends.client.dup()
    copy.shutdown(socket.SHUT_RDWR)
    assert ends.server.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        ends.client.sendall(b"x")
    copy.close()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_is_a_reset(tcp_ends: Ends, who: Sender) -> None:
    one, other = (tcp_ends.client, tcp_ends.server)[:: 1 if who == "client" else -1]
    one.sendall(b"said before")
    assert other.recv(100) == b"said before"
    reset(one)
    with pytest.raises(ConnectionResetError):
        other.recv(1)
    connection = tcp_ends.record()
    assert kinds(connection)[-1] == (who, "rst")
    assert (who, "fin") not in kinds(connection)


def test_what_was_said_before_a_reset_arrives(tcp_ends: Ends) -> None:
    tcp_ends.server.sendall(b"last words")
    reset(tcp_ends.server)
    time.sleep(0.1)  # both have arrived, as they would without the relay
    assert tcp_ends.client.recv(100) == b"last words"
    with pytest.raises(ConnectionResetError):
        tcp_ends.client.recv(1)


def test_a_reset_after_a_fin_is_passed_on(tcp_ends: Ends) -> None:
    tcp_ends.server.close()
    assert tcp_ends.client.recv(1) == b""
    tcp_ends.client.sendall(b"to no one")  # the server's kernel answers with a reset
    time.sleep(0.1)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        tcp_ends.client.sendall(b"x")
    assert kinds(tcp_ends.record())[-1] == ("server", "rst")


@pytest.mark.parametrize("said_before", [b"", b"x" * 200_000])
def test_a_unix_server_that_closes_entirely_gives_a_broken_pipe_as_without_a_relay(
    relay: Relay, short_folder: Path, said_before: bytes
) -> None:
    path = short_folder / "up"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        listener = relay.open(protocol="mysql", upstream=Address(path=path), listen="unix", folder=short_folder)
        client.settimeout(10)
        client.connect(str(listener.socket))
        accepted, _ = server.accept()
        accepted.sendall(said_before)
        accepted.close()
        heard = b""
        while data := client.recv(65_536):
            heard += data
        assert heard == said_before
        time.sleep(0.1)  # end of file comes before the relay is told that it was a full close
        with pytest.raises(BrokenPipeError):
            client.send(b"x")


def test_closing_a_unix_socket_with_unread_data_is_recorded(relay: Relay, short_folder: Path) -> None:
    ends = Ends(relay, "unix", short_folder)
    ends.server.sendall(b"never read")
    while not ends.client.recv(1, socket.MSG_PEEK):
        pass
    ends.client.close()
    assert ends.server.recv(1) == b""
    ends.server.close()
    assert kinds(ends.record())[-1] == ("client", "rst")
    ends.close()


def test_a_server_that_is_not_there_is_a_reset(relay: Relay) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = Address(*free.getsockname())
    listener = relay.open(protocol="mysql", upstream=address, listen="tcp")
    # The reset may come before the client's kernel has returned from connecting.
    with pytest.raises(ConnectionResetError), connect(listener) as client:
        client.recv(1)
    (connection,) = relay.close(listener)
    assert kinds(connection) == [("client", "connect"), ("server", "refused")]
    assert connection.events[1].error == "ECONNREFUSED"


def test_50_megabytes_arrive_whole_in_both_directions_at_once(ends: Ends) -> None:
    data = random.Random(1).randbytes(1 << 20) * 50

    def send(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    def receive(sock: socket.socket) -> str:
        digest = hashlib.sha256()
        while piece := sock.recv(1 << 20):
            digest.update(piece)
        return digest.hexdigest()

    with ThreadPoolExecutor(4) as pool:
        pool.submit(send, ends.client)
        pool.submit(send, ends.server)
        got = {pool.submit(receive, sock) for sock in (ends.client, ends.server)}
        assert {future.result() for future in got} == {hashlib.sha256(data).hexdigest()}
    connection = ends.record()
    for sender in ("client", "server"):
        assert sum(event.length for event in connection.events if event.sender == sender) == len(data)


def test_a_reader_that_does_not_read_stops_the_writer(ends: Ends) -> None:
    ends.client.settimeout(0.3)
    sent = 0
    while sent < 200 << 20:
        try:
            sent += ends.client.send(b"x" * (1 << 20))
        except TimeoutError:
            break
    assert sent < 200 << 20
    assert memory(ends.relay.pid) < 200 << 20
    got = 0
    ends.client.close()
    while piece := ends.server.recv(1 << 20):
        got += len(piece)
    assert got == sent


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_many_connections_at_once(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        listener = relay.open(protocol="mysql", upstream=Address(*server.getsockname()), listen="tcp")

        def echo() -> None:
            accepted = [server.accept()[0] for _ in range(200)]
            for sock in accepted:
                sock.sendall(sock.recv(100))
                sock.close()

        thread = threading.Thread(target=echo)
        thread.start()
        clients = [connect(listener) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        for number, client in enumerate(clients):
            assert receive_all(client) == b"%d" % number
            client.close()
        thread.join()
        connections = relay.close(listener, settle=PATIENCE)
    assert len(connections) == 200
    assert all(connection.closed_at for connection in connections)


def test_connections_that_were_not_served_yet_are_recorded(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = relay.open(protocol="mysql", upstream=Address(*server.getsockname()), listen="tcp")
        with connect(listener) as client:
            client.sendall(b"quit")
        server.accept()[0].close()
        (connection,) = relay.close(listener, settle=PATIENCE)
    assert sum(event.length for event in connection.events) == len(b"quit")


def test_open_connections_go_on_after_close_unless_dropped(relay: Relay, tmp_path: Path) -> None:
    for drop in (False, True):
        ends = Ends(relay, "tcp", tmp_path)
        (connection,) = relay.close(ends.listener, settle=0, drop=drop)
        assert connection.dropped is drop
        assert (connection.closed_at is None) is not drop
        with pytest.raises(ConnectionRefusedError):
            connect(ends.listener)
        if drop:
            with pytest.raises(ConnectionResetError):
                ends.client.recv(1)
        else:
            ends.client.sendall(b"still there")
            assert ends.server.recv(100) == b"still there"
        ends.close()


def test_the_relay_knows_how_late_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy with another connection it sees bytes late; while it sleeps it does not."""
    lateness = forward._Lateness()
    reader, writer = socket.socketpair()
    with reader, writer:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        writer.send(b"at once")
        lateness.poll(poll, 1000)
        reader.recv(100)
        writer.send(b"while it is busy")
        time.sleep(0.2)
        lateness.poll(poll, 1000)
        reader.recv(100)
        assert lateness.at_most() >= 0.2
        threading.Timer(0.3, writer.send, [b"while it sleeps"]).start()
        lateness.poll(poll, 5000)
        assert lateness.at_most() < 0.2
        reader.recv(100)
        monkeypatch.setattr(lateness, "_waited", iter([0.0, 0.4]).__next__)
        threading.Timer(0.3, writer.send, [b"while it waits for a processor"]).start()
        lateness.poll(poll, 5000)
        assert lateness.at_most() >= 0.4


def test_the_sockets_of_postgresql_have_the_names_its_clients_want(relay: Relay, short_folder: Path) -> None:
    upstream = Address(path=short_folder / "nothing")
    made = [relay.open(protocol="postgresql", upstream=upstream, listen="unix", folder=short_folder) for _ in "12"]
    assert [listener.socket for listener in made] == [
        short_folder / ".s.PGSQL.5432",
        short_folder / ".s.PGSQL.5433",
    ]
    assert [listener.host for listener in made] == [str(short_folder)] * 2
    for listener in made:
        relay.close(listener)
    assert not list(short_folder.iterdir())


def test_the_process_that_connects_to_a_unix_socket_is_known(relay: Relay, short_folder: Path) -> None:
    ends = Ends(relay, "unix", short_folder)
    ends.close()
    assert ends.record().client_pid == os.getpid()


def test_the_ports_of_both_sides_are_known(tcp_ends: Ends) -> None:
    ports = tcp_ends.client.getsockname()[1], tcp_ends.server.getpeername()[1]
    tcp_ends.close()
    connection = tcp_ends.record()
    assert (connection.client_port, connection.server_port) == ports


def test_impossible_requests_are_one_line(relay: Relay, tmp_path: Path) -> None:
    upstream = Address("127.0.0.1", 1)
    for folder, listen in ((None, "unix"), (tmp_path / ("x" * 100), "unix"), (tmp_path / "missing", "unix")):
        with pytest.raises(RelayError, match=r"^[^\n]+$"):
            relay.open(protocol="mysql", upstream=upstream, listen=listen, folder=folder)  # type: ignore[arg-type]  # "unix"


def test_a_relay_that_dies_is_an_error_and_no_hang() -> None:
    with Relay() as relay:
        os.kill(relay.pid, signal.SIGKILL)
        with pytest.raises(RelayError):
            relay.open(protocol="mysql", upstream=Address("127.0.0.1", 1), listen="tcp")


def test_after_the_owner_is_killed_nothing_is_left(short_folder: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from matrix.wire.relay import Address, Relay
with Relay() as relay:
    listener = relay.open(protocol="mysql", upstream=Address("127.0.0.1", 1), listen="unix", folder=Path(sys.argv[1]))
    print(relay.pid, listener.socket, flush=True)
    time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", program, short_folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pid, path = owner.stdout.readline().split()
    assert Path(path).exists()
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + PATIENCE
    while running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running(int(pid))
    assert not Path(path).exists()


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The recorder


def test_the_first_and_the_last_events_are_kept_and_the_rest_is_counted() -> None:
    record = recorder.Recorder(MySQLDecoder(), Connection(0.0))
    for number in range(10_000):
        record._add([Event(float(number), "client", "message", str(number), 10)])
    record.note("client", "fin", 10_000.0)
    events = record.result().events
    assert len(events) == recorder.FIRST_EVENTS + 1 + recorder.LAST_EVENTS
    assert [event.name for event in events[:3]] == ["0", "1", "2"]
    assert events[-1].kind == "fin"
    omitted = events[recorder.FIRST_EVENTS]
    assert describe(omitted) == "5001 events not recorded"
    assert omitted.length == 50_010


def test_a_decoder_that_fails_is_recorded_as_such() -> None:
    class Broken(MySQLDecoder):
        def feed(self, sender: Sender, data: bytes, at: float) -> list[Event]:
            raise ZeroDivisionError("on purpose")

    record = recorder.Recorder(Broken(), Connection(0.0))
    record.data("client", b"abc", 1.0)
    record.data("client", b"de", 2.0)
    record.closed(3.0)
    first, second = record.result().events
    assert describe(first) == "3 bytes not decoded (the decoder failed: ZeroDivisionError: on purpose)"
    assert second.length == 2


# Used by many cells at once


def test_cells_in_many_threads_do_not_disturb_each_other(relay: Relay, short_folder: Path) -> None:
    def cell(number: int) -> list[bytes]:
        folder = short_folder / str(number)
        folder.mkdir()
        said = []
        for _ in range(5):
            ends = Ends(relay, ("tcp", "unix")[number % 2], folder)
            ends.client.sendall(b"%d" % number)
            ends.client.close()
            said.append(receive_all(ends.server))
            ends.server.close()
            assert sum(event.length for event in ends.record().events) == len(said[-1])
            ends.close()
            (folder / "server").unlink(missing_ok=True)
        return said

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(cell, range(8))) == [[b"%d" % number] * 5 for number in range(8)]
