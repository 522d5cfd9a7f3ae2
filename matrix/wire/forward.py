"""The relay's process: passes bytes, half-closes and resets between clients and servers, and records them.

One thread. Bytes are forwarded as soon as they come and decoded when nothing is left to forward. It reads
from one side only what the other has taken, so that a slow reader slows down the writer, as it would
without the relay.

How near it is to a direct connection:

- A FIN becomes a `shutdown(SHUT_WR)` on the other side once all that came before it is written. A socket
  that several processes share is one connection, whose FIN comes when the last of them has closed it, or
  when one shuts it down.
- TCP: a reset becomes a reset. A side that closed entirely looks like one that closed its writing half until
  something is sent to it, as with TCP itself; through the relay its answer, a reset, comes one hop later.
- Unix sockets tell a full close from a half-close, and a server's is passed on as what it is. A client's is a
  half-close to the server, whose own end could not be seen otherwise.
- Unix sockets have no reset on request. When one side closes with unread data, its peer gets ECONNRESET from
  the kernel; the relay sees and records it, but the other side gets it only if it has sent something that
  the relay has not read. Otherwise it sees an end of file, or EPIPE when it writes.
- A client's `connect` succeeds before the server has accepted. A server that refuses is a reset to the
  client, recorded as `refused`.
- The server sees the relay's process as the peer of a Unix socket, and the relay's port as that of TCP.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from matrix.records.wire import Connection
from matrix.wire.control import Answer, Close, Open, decode_request, encode
from matrix.wire.recorder import DECODERS, Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.wire import Sender

_CHUNK = 1 << 16
_UNDECODED_BYTES = 1 << 20  # that may wait to be decoded
_UNDECODED_PIECES = 2000
_DRAIN_LIMIT = 4 << 20  # bytes read from a broken socket
_BACKLOG = 1024
_LULL = 1  # milliseconds without traffic before decoding begins
_RETRY = 0.005  # seconds, while a server's Unix socket has no room in its backlog
_PARENT_CHECK = 1.0  # seconds
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: reset at close
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL

Handler = Callable[[int], None]
"""Is called with the poll events of a descriptor."""


class _Side:
    """One of the two sockets of a pair."""

    __slots__ = ("connecting", "cut", "ended", "gone", "mask", "out", "pair", "peer", "sender", "shut", "sock")
    peer: _Side
    pair: _Pair

    def __init__(self, sock: socket.socket, sender: Sender) -> None:
        self.sock = sock
        self.sender = sender
        self.out = b""  # what is still to be written to it
        self.ended = False  # its FIN was read
        self.shut = False  # our FIN was sent to it
        self.connecting = False
        self.cut = False  # the relay ended what it says, because the other side had closed: that end is not its FIN
        self.gone = False  # poll reported a hang-up, and would go on doing so
        self.mask: int | None = None  # poll events it is registered for


class _Pair:
    """A client's connection and the one to the server that goes with it."""

    __slots__ = ("client", "closed", "connection", "entry", "recorder", "server")

    def __init__(self, client: _Side, server: _Side, connection: Connection, recorder: Recorder, entry: _Entry) -> None:
        self.client = client
        self.server = server
        self.connection = connection
        self.recorder = recorder
        self.entry = entry
        self.closed = False
        client.peer, server.peer = server, client
        client.pair = server.pair = self


@dataclass(slots=True)
class _Entry:
    """A listener, and what came of it."""

    sock: socket.socket
    protocol: str
    upstream: tuple[str, int] | str
    path: Path | None
    recorders: list[Recorder] = field(default_factory=list)
    open_pairs: set[_Pair] = field(default_factory=set)


@dataclass(slots=True)
class _Closing:
    """A request to close a listener, which waits for its connections to end."""

    request: int
    entry: _Entry
    deadline: float
    drop: bool


class _Lateness:
    """Measures how late the loop is in seeing bytes: it was busy with others, or waited for a processor."""

    def __init__(self) -> None:
        self._returned = time.monotonic()
        self._earliest = self._returned
        try:
            self._schedule: int | None = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # not Linux, or a kernel that does not say
            self._schedule = None

    def poll(self, poll: select.poll, milliseconds: float) -> list[tuple[int, int]]:
        """Poll, and note since when what is ready may have waited."""
        entered, waited = time.monotonic(), self._waited()
        ready = poll.poll(milliseconds)
        returned = time.monotonic()
        woken = returned - (self._waited() - waited)
        # If poll did not sleep, what is ready may have come since it returned last.
        self._earliest = woken if woken - entered > 0.001 else min(woken, self._returned)
        self._returned = returned
        return ready

    def at_most(self) -> float:
        """Return for how many seconds at most bytes that are read now have waited."""
        return time.monotonic() - self._earliest

    def _waited(self) -> float:
        """Return for how many seconds this process has waited for a processor in all."""
        return int(os.pread(self._schedule, 80, 0).split()[1]) / 1e9 if self._schedule is not None else 0.0


class Forwarder:
    """Listeners and pairs of sockets, and the loop that serves them.

    `control` is a descriptor to read requests from, `answers` one to write answers to: one JSON object a
    line. The end of `control` ends the loop.
    """

    def __init__(self, control: int, answers: int) -> None:
        self._control = control
        self._answers = answers
        self._poll = select.poll()
        self._lateness = _Lateness()
        self._handlers: dict[int, Handler] = {}
        self._to_decode: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes_to_decode = 0
        self._entries: dict[int, _Entry] = {}
        self._closing: list[_Closing] = []
        self._retries: list[tuple[_Side, str]] = []
        self._full: list[_Entry] = []
        self._input = b""
        self._running = True
        self._parent = os.getppid()

    def run(self) -> None:
        """Serve until the control's end, or until the parent process is gone."""
        self._register(self._control, self._read_control)
        parent_checked = time.monotonic()
        idle = True
        while self._running:
            ready = self._lateness.poll(self._poll, self._patience(idle=idle))
            idle = not ready
            for number, events in ready:
                handler = self._handlers.get(number)
                if handler:  # an earlier one of this round may have closed it
                    handler(events)
            if idle and self._to_decode:
                self._decode_next()
            while self._bytes_to_decode > _UNDECODED_BYTES or len(self._to_decode) > _UNDECODED_PIECES:
                self._decode_next()
            if self._retries:
                self._retry()
            if self._closing:
                self._answer_closing()
            if time.monotonic() - parent_checked > _PARENT_CHECK:
                parent_checked = time.monotonic()
                # A copy of the control's other end, in a fork of the parent, would keep it open.
                self._running = self._running and os.getppid() == self._parent
        for entry in self._entries.values():
            if entry.path:
                entry.path.unlink(missing_ok=True)

    def _patience(self, *, idle: bool) -> float:
        """Milliseconds that poll may wait: an answer comes sooner than a decoder is done."""
        if self._to_decode:
            return 0 if idle else _LULL
        seconds = _RETRY if self._retries else _PARENT_CHECK
        for closing in self._closing:
            seconds = min(seconds, closing.deadline - time.monotonic())
        return max(seconds, 0) * 1000

    def _register(self, number: int, handler: Handler) -> None:
        self._handlers[number] = handler
        self._poll.register(number, select.POLLIN)

    def _forget(self, number: int) -> None:
        if self._handlers.pop(number, None):
            self._poll.unregister(number)

    # Recording

    def _later(self, record: Callable[[], None], size: int = 0) -> None:
        self._to_decode.append((record, size))
        self._bytes_to_decode += size

    def _decode_next(self) -> None:
        record, size = self._to_decode.popleft()
        record()
        self._bytes_to_decode -= size

    # Requests

    def _read_control(self, _: int) -> None:
        data = os.read(self._control, _CHUNK)
        if not data:
            self._running = False
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            request = decode_request(line)
            try:
                if isinstance(request, Open):
                    self._open(request)
                else:
                    self._close(request)
            except OSError as error:
                self._answer(Answer(request.id, error=str(error)))

    def _answer(self, answer: Answer) -> None:
        data = memoryview(encode(answer) + b"\n")
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except BrokenPipeError:
            self._running = False

    def _open(self, request: Open) -> None:
        upstream = request.upstream
        target = str(upstream.path) if upstream.path else (upstream.host or "", upstream.port or 0)
        path, port = None, None
        if request.folder:
            sock = socket.socket(socket.AF_UNIX)
            path, port = _bind_in(sock, request.folder, request.protocol)
        else:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        entry = _Entry(sock, request.protocol, target, path)
        self._entries[request.id] = entry
        self._listen(entry)
        self._answer(Answer(request.id, port=port, path=path))

    def _close(self, request: Close) -> None:
        entry = self._entries.pop(request.listener)
        self._accept(entry)  # those that connected and are not served yet
        self._forget(entry.sock.fileno())
        entry.sock.close()
        if entry.path:
            entry.path.unlink(missing_ok=True)
        self._closing.append(_Closing(request.id, entry, time.monotonic() + request.settle, request.drop))

    def _answer_closing(self) -> None:
        for closing in self._closing[:]:
            entry = closing.entry
            if entry.open_pairs and time.monotonic() < closing.deadline:
                continue
            if closing.drop:
                for pair in list(entry.open_pairs):
                    self._drop(pair)
            self._closing.remove(closing)
            while self._to_decode:
                self._decode_next()
            self._answer(Answer(closing.request, connections=[recorder.result() for recorder in entry.recorders]))

    def _drop(self, pair: _Pair) -> None:
        pair.connection.dropped = True
        self._abort(pair.client)
        self._abort(pair.server)
        self._finish(pair)

    # Sockets

    def _listen(self, entry: _Entry) -> None:
        self._register(entry.sock.fileno(), lambda _: self._accept(entry))

    def _accept(self, entry: _Entry) -> None:
        while True:
            try:
                sock, peer = entry.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    # Served again as soon as a connection has ended.
                    self._forget(entry.sock.fileno())
                    self._full.append(entry)
                return
            self._pair_up(entry, sock, peer)

    def _pair_up(self, entry: _Entry, sock: socket.socket, peer: tuple[str, int] | str) -> None:
        connection = Connection(time.time(), late=self._lateness.at_most())
        sock.setblocking(False)
        if isinstance(peer, tuple):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.client_port = peer[1]
        else:
            connection.client_pid = _peer_pid(sock)
        recorder = Recorder(DECODERS[entry.protocol](), connection)
        recorder.note("client", "connect", connection.opened_at)
        entry.recorders.append(recorder)
        kind = socket.AF_UNIX if isinstance(entry.upstream, str) else socket.AF_INET
        try:
            upstream = socket.socket(kind)
        except OSError as error:
            recorder.note("server", "refused", time.time(), error=_name(error))
            recorder.closed(time.time())
            _reset_and_close(sock)
            return
        upstream.setblocking(False)
        pair = _Pair(_Side(sock, "client"), _Side(upstream, "server"), connection, recorder, entry)
        entry.open_pairs.add(pair)
        self._connect(pair.server)

    def _connect(self, side: _Side) -> None:
        side.connecting = True
        upstream = side.pair.entry.upstream
        if not isinstance(upstream, str):
            side.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = side.sock.connect_ex(upstream)
        if code == 0:
            self._connected(side)
        elif code == errno.EAGAIN and isinstance(upstream, str):
            self._retries.append((side, upstream))
        elif code == errno.EINPROGRESS:
            self._watch(side)
        else:
            self._refused(side, code)

    def _retry(self) -> None:
        retries, self._retries = self._retries, []
        for side, _ in retries:
            if not side.pair.closed:
                self._connect(side)

    def _connected(self, side: _Side) -> None:
        side.connecting = False
        if side.sock.family != socket.AF_UNIX:
            side.pair.connection.server_port = side.sock.getsockname()[1]
        self._watch(side)
        self._watch(side.peer)

    def _refused(self, side: _Side, code: int) -> None:
        name = errno.errorcode.get(code, str(code))
        self._later(partial(side.pair.recorder.note, "server", "refused", time.time(), name))
        self._abort(side.peer)
        self._finish(side.pair)

    def _watch(self, side: _Side) -> None:
        """Tell poll what this side waits for."""
        if side.connecting:
            mask = select.POLLOUT
        else:
            peer = side.peer
            mask = 0 if side.ended or peer.out or peer.connecting else select.POLLIN
            if side.out:
                mask |= select.POLLOUT
        number = side.sock.fileno()
        if not mask and side.gone:
            self._forget(number)
            side.mask = None
        elif mask != side.mask:
            # Without any event asked for, poll still reports errors.
            self._handlers[number] = lambda events: self._serve(side, events)
            self._poll.register(number, mask)
            side.mask = mask

    def _serve(self, side: _Side, events: int) -> None:
        if side.connecting:
            code = side.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code and code != errno.ECONNRESET:
                self._refused(side, code)
                return
            self._connected(side)
            if code:  # the server accepted, and reset the connection before the relay looked
                self._fail_to_write(side, errno.errorcode[code])
            return
        if events & select.POLLOUT:
            self._write_out(side)
        readable = not side.ended and not side.peer.out and not side.peer.connecting
        if not side.pair.closed and readable and events & (select.POLLIN | _GONE):
            self._read(side)
        if not side.pair.closed and events & _GONE:
            self._hung_up(side)

    def _hung_up(self, side: _Side) -> None:
        """Poll reports a hang-up or an error again and again: act on it once."""
        if side.ended:
            code = side.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:  # a reset after its FIN
                self._broken(side, errno.errorcode.get(code, str(code)))
                return
            if side.sender == "server" and side.sock.family == side.peer.sock.family == socket.AF_UNIX:
                # It closed entirely, as poll tells of Unix sockets: what the client still says gets EPIPE at once.
                side.peer.cut = not _has_ended(side.peer.sock)
                with contextlib.suppress(OSError):
                    side.peer.sock.shutdown(socket.SHUT_RD)
        # What it still has to say is read before its error is met.
        side.gone = True
        self._watch(side)

    def _read(self, side: _Side) -> None:
        try:
            data = side.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(side, _name(error))
            return
        at = time.time()
        connection = side.pair.connection
        connection.late = max(connection.late, self._lateness.at_most())
        peer = side.peer
        if data:
            self._forward(side, data, at)
            return
        side.ended = True
        if not side.cut:
            self._later(partial(side.pair.recorder.note, side.sender, "fin", at))
        self._pass_fin(peer)
        if not side.pair.closed:
            self._watch(side)

    def _forward(self, side: _Side, data: bytes, at: float) -> None:
        peer = side.peer
        failure = None
        try:
            sent = peer.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            failure = _name(error)
        self._later(partial(side.pair.recorder.data, side.sender, data, at), len(data))
        if failure:
            self._fail_to_write(peer, failure)
        elif sent < len(data):
            peer.out = data[sent:]
            self._watch(peer)
            self._watch(side)

    def _write_out(self, side: _Side) -> None:
        try:
            side.out = side.out[side.sock.send(side.out) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._fail_to_write(side, _name(error))
            return
        if not side.out:
            if side.peer.ended:
                self._pass_fin(side)
            if not side.pair.closed:
                self._watch(side)
                self._watch(side.peer)

    def _pass_fin(self, side: _Side) -> None:
        """Send this side the FIN of its peer, once everything before it is written."""
        if side.out:
            return
        side.shut = True
        try:
            side.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # it has closed, too: reading will tell
                raise
        if side.ended and side.peer.shut:
            self._finish(side.pair)

    def _fail_to_write(self, side: _Side, error: str) -> None:
        """Pass on what a socket that takes no more has said, such as a last error message."""
        read = 0
        peer = side.peer
        while not side.ended and not peer.out and read < _DRAIN_LIMIT:
            try:
                data = side.sock.recv(_CHUNK)
            except OSError:
                break
            if not data:
                break
            read += len(data)
            self._later(partial(side.pair.recorder.data, side.sender, data, time.time()), len(data))
            try:
                if peer.sock.send(data) < len(data):
                    break
            except OSError:
                break
        self._broken(side, error)

    def _broken(self, side: _Side, error: str) -> None:
        """Pass on that a side has reset the connection."""
        self._later(partial(side.pair.recorder.note, side.sender, "rst", time.time(), error))
        peer = side.peer
        if peer.out:
            with contextlib.suppress(OSError):
                peer.sock.send(peer.out)
        self._abort(peer)
        self._finish(side.pair)

    def _abort(self, side: _Side) -> None:
        self._forget(side.sock.fileno())
        _reset_and_close(side.sock)

    def _finish(self, pair: _Pair) -> None:
        pair.closed = True
        pair.entry.open_pairs.discard(pair)
        for side in (pair.client, pair.server):
            if side.sock.fileno() >= 0:
                self._forget(side.sock.fileno())
                side.sock.close()
        self._later(partial(pair.recorder.closed, time.time()))
        full, self._full = self._full, []
        for entry in full:
            if entry.sock.fileno() >= 0:
                self._listen(entry)


def _bind_in(sock: socket.socket, folder: Path, protocol: str) -> tuple[Path, int | None]:
    """Bind to a new socket in the folder, under the name that clients of the protocol want."""
    for number in range(1000):
        port = 5432 + number if protocol == "postgresql" else None
        path = folder / (f".s.PGSQL.{port}" if port else f"{number}.sock")
        try:
            sock.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return path, port
    raise OSError(errno.EADDRINUSE, f"{folder} is full of sockets")


def _has_ended(sock: socket.socket) -> bool:
    """Whether the other end has closed, and nothing that it said before is left to be read."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except OSError:
        return False


def _peer_pid(sock: socket.socket) -> int | None:
    """Return the process that connected, where the system tells (Linux)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid) or None


def _reset_and_close(sock: socket.socket) -> None:
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    finally:
        sock.close()


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def main() -> None:
    """Serve requests on standard input until it ends."""
    # Ctrl-C goes to every process of the terminal; the parent decides when the relay ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Forwarder(sys.stdin.fileno(), sys.stdout.fileno()).run()
