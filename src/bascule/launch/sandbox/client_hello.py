"""Which host a TLS client asks for, read from its first message; nothing is decrypted.

RFC 8446 §4.1.2 (ClientHello), RFC 6066 §3 (server name), RFC 9849 (encrypted ClientHello).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 32 << 10
"""Of the records that hold it; post-quantum key shares make it two kilobytes today."""

_HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ENCRYPTED_CLIENT_HELLO = 0xFE0D


class NotTlsError(Exception):
    """These bytes do not begin a TLS connection."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client says before anything is encrypted."""

    server_name: str | None
    """In lower case, without a final dot."""
    encrypted: bool
    """It holds a second, encrypted one, which may name another host."""


class _Cut(Exception):
    """There is less than it says."""


class _Bytes:
    """Reads numbers and pieces from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise _Cut
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def piece(self, size_of_length: int) -> _Bytes:
        return _Bytes(self.take(self.number(size_of_length)))

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def may_begin_tls(data: bytes) -> bool:
    """Tell whether the first two bytes, or the one there is, begin a handshake record."""
    return bool(data) and bytes((_HANDSHAKE, 3)).startswith(data[:2])


def read_client_hello(data: bytes) -> ClientHello | None:
    """Read the ClientHello that `data` begins with; None when more bytes are needed.

    Raises `NotTlsError` for what cannot become one, also for one beyond `MAX_BYTES` and for
    one that names two hosts.
    """
    try:
        message = _message(data)
    except _Cut:
        if len(data) >= MAX_BYTES:
            raise NotTlsError("its ClientHello is too long") from None
        return None
    try:
        return _hello(_Bytes(message))
    except _Cut:
        raise NotTlsError("its ClientHello is malformed") from None


def _message(data: bytes) -> bytes:
    """Put the first handshake message together; it may be spread over records."""
    records = _Bytes(data)
    message = b""
    wanted = 4
    while len(message) < wanted:
        if records.number(1) != _HANDSHAKE or records.number(1) != 3:
            raise NotTlsError("it does not begin with a TLS handshake")
        records.number(1)
        piece = records.piece(2).data
        if not piece:
            raise NotTlsError("it begins with an empty record")
        message += piece
        if message[0] != _CLIENT_HELLO:
            raise NotTlsError("it does not begin with a ClientHello")
        if len(message) >= 4:
            wanted = 4 + int.from_bytes(message[1:4], "big")
        if wanted > MAX_BYTES:
            raise NotTlsError("its ClientHello is too long")
    return message[4:wanted]


def _hello(hello: _Bytes) -> ClientHello:
    hello.take(2 + 32)  # version and random
    hello.piece(1)  # session id
    hello.piece(2)  # cipher suites
    hello.piece(1)  # compression methods
    names: list[str] = []
    encrypted = False
    extensions = hello.piece(2) if hello.more else _Bytes(b"")
    while extensions.more:
        kind, body = extensions.number(2), extensions.piece(2)
        if kind == _SERVER_NAME:
            names += _server_names(body.piece(2))
        encrypted = encrypted or kind == _ENCRYPTED_CLIENT_HELLO
    if len(names) > 1:
        raise NotTlsError("its ClientHello names more than one host")
    return ClientHello(names[0] if names else None, encrypted)


def _server_names(listed: _Bytes) -> list[str]:
    names = []
    while listed.more:
        kind, name = listed.number(1), listed.piece(2).data
        if kind != 0:
            raise NotTlsError("its ClientHello names a host in an unknown way")
        names.append(name.decode("ascii", "replace").lower().removesuffix("."))
    return names
