"""What a bystander can read of TLS: record types, lengths, and the hellos and alerts sent before encryption.

Sources: RFC 5246 (TLS 1.2) and RFC 8446 (TLS 1.3). From TLS 1.3 on every encrypted record, alerts included,
says that it is application data; its length is all that remains visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.records.wire import Event
from matrix.wire.framer import MALFORMED, Framer

if TYPE_CHECKING:
    from matrix.records.wire import Sender
    from matrix.wire.framer import Frame

HANDSHAKE_BYTE = 0x16
"""The first byte of a ClientHello's record."""

_RECORD_TYPES = {
    20: "change_cipher_spec",
    21: "alert",
    22: "handshake",
    23: "application_data",
    24: "heartbeat",
}
_HANDSHAKE_TYPES = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    8: "EncryptedExtensions",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
    22: "CertificateStatus",
}
_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    90: "user_canceled",
    109: "missing_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}
_SUPPORTED_VERSIONS = 43
_LONGEST = (1 << 14) + 2048
_GCM = frozenset(range(0x009C, 0x00A8)) | frozenset(range(0xC02B, 0xC033))
_CHACHA20 = frozenset(range(0xCCA8, 0xCCAF))


def record_framer() -> Framer:
    """Cut a direction into TLS records."""
    return Framer(5, _record_length)


def _record_length(header: bytes) -> int:
    length = int.from_bytes(header[3:5], "big")
    return length if header[0] in _RECORD_TYPES and header[1] == 3 and length <= _LONGEST else MALFORMED


class TlsSession:
    """What is known of one TLS session, shared by its two directions."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.cipher: int | None = None
        self._changed_cipher: set[Sender] = set()

    def record(self, sender: Sender, frame: Frame) -> Event:
        """Read one record: whether it is encrypted, and what can be read without the keys."""
        kind = frame.header[0]
        event = Event(frame.at, sender, "tls", _RECORD_TYPES[kind], 5 + frame.length)
        # TLS 1.3 sends a meaningless change_cipher_spec, and hellos may follow it in clear.
        event.encrypted = kind == 23 or (self.version != 0x0304 and kind != 20 and sender in self._changed_cipher)
        if event.encrypted:
            self._read_encrypted(kind, frame.length, event)
        elif kind == 20:
            self._changed_cipher.add(sender)
        elif kind == 21 and frame.length == 2:
            event.alert = _ALERTS.get(frame.body[1], str(frame.body[1]))
        elif kind == 22:
            self._read_handshake(sender, frame.body, event)
        return event

    def _read_encrypted(self, kind: int, length: int, event: Event) -> None:
        overhead = self._overhead()
        if overhead is None or length < overhead:
            return
        event.plaintext_at_most = length - overhead
        # Only an alert is two bytes long: every message of both database protocols is longer.
        if kind == 23 and self.version == 0x0304 and length - overhead == 2:
            event.could_be = "an alert, such as close_notify"

    def _overhead(self) -> int | None:
        """Bytes that encryption adds to a record, where the cipher suite fixes them."""
        if self.version == 0x0304:
            return 1 + (8 if self.cipher == 0x1305 else 16)  # the hidden record type, and the tag
        if self.cipher in _GCM:
            return 8 + 16
        return 16 if self.cipher in _CHACHA20 else None

    def _read_handshake(self, sender: Sender, body: bytes, event: Event) -> None:
        names = event.handshake = []
        position = 0
        while position + 4 <= len(body) and len(names) < 20:
            kind = body[position]
            length = int.from_bytes(body[position + 1 : position + 4], "big")
            names.append(_HANDSHAKE_TYPES.get(kind, f"type {kind}"))
            if kind == 2 and sender == "server":
                self._read_server_hello(body[position + 4 : position + 4 + length])
                event.version = _VERSIONS.get(self.version or 0, "unknown version")
            position += 4 + length

    def _read_server_hello(self, hello: bytes) -> None:
        """Learn the version and the cipher suite that the server chose."""
        session_id = hello[34] if len(hello) > 34 else 0
        rest = hello[35 + session_id :]
        if len(rest) < 2:
            return
        self.version = int.from_bytes(hello[:2], "big")
        self.cipher = int.from_bytes(rest[:2], "big")
        extensions = rest[5 : 5 + int.from_bytes(rest[3:5], "big")]
        while len(extensions) >= 4:
            length = int.from_bytes(extensions[2:4], "big")
            if int.from_bytes(extensions[:2], "big") == _SUPPORTED_VERSIONS and length == 2:
                self.version = int.from_bytes(extensions[4:6], "big")
            extensions = extensions[4 + length :]
