"""Signed notes (C2SP signed-note) with Ed25519 keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from bascule.errors import BasculeError

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SEED_BYTES = 32
_DASH = "\N{EM DASH}"
MAX_NOTE_BYTES = 64 << 10


class MalformedNoteError(BasculeError):
    """The text is no signed note, or no key."""


class UnverifiedNoteError(BasculeError):
    """The note is not signed by the key."""


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[
        :_KEY_ID_BYTES
    ]


def _check_name(name: str) -> str:
    # Printable rules out what UTF-8 cannot write, and what a terminal would obey.
    if not name.isprintable() or not name or "+" in name or " " in name:
        raise MalformedNoteError(
            "key name must be printable, without spaces and plus signs"
        )
    return name


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedNoteError("not Base64") from exc
    # The bits behind the last byte are free: without this, two texts would be one note.
    if base64.b64encode(raw).decode("ascii") != text:
        raise MalformedNoteError("not Base64 as we write it")
    return raw


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read `NAME+ID+KEY`. Raises `MalformedNoteError`, nothing else, for any text."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise MalformedNoteError("a verifier key is NAME+ID+KEY")
        name = _check_name(parts[0])
        raw = _decode(parts[2])
        if raw[:1] != _ED25519 or len(raw) != 1 + _SEED_BYTES:
            raise MalformedNoteError("verifier key is not of Ed25519")
        found = cls(name, raw[1:])
        if found.text != text.strip():
            raise MalformedNoteError("verifier key has the wrong id")
        return found

    @property
    def key_id(self) -> bytes:
        """Give the id that signatures carry."""
        return _key_id(self.name, self.public)

    @property
    def text(self) -> str:
        """Write it as `NAME+ID+KEY`."""
        key = base64.b64encode(_ED25519 + self.public).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def open(self, note: bytes) -> str:
        """Give the text of a note that this key signed.

        Raises `MalformedNoteError` or `UnverifiedNoteError`, nothing else, for any bytes.
        """
        text, signatures = _split(note)
        for name, raw in signatures:
            if name != self.name or raw[:_KEY_ID_BYTES] != self.key_id:
                continue
            try:
                key = Ed25519PublicKey.from_public_bytes(self.public)
                key.verify(raw[_KEY_ID_BYTES:], text.encode())
            except (InvalidSignature, ValueError) as exc:
                raise UnverifiedNoteError("note has a wrong signature") from exc
            return text
        raise UnverifiedNoteError(f"note is not signed by `{self.name}`")


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with its name."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Read what `text` wrote. Raises `MalformedNoteError`."""
        parts = text.strip().split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise MalformedNoteError("not a signer key")
        raw = _decode(parts[4])
        if raw[:1] != _ED25519 or len(raw) != 1 + _SEED_BYTES:
            raise MalformedNoteError("signer key is not of Ed25519")
        found = cls(_check_name(parts[2]), raw[1:])
        if found.text != text.strip():
            raise MalformedNoteError("signer key has the wrong id")
        return found

    @property
    def text(self) -> str:
        """Write it as `PRIVATE+KEY+NAME+ID+KEY`; for its file only."""
        key = base64.b64encode(_ED25519 + self.seed).decode("ascii")
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{key}"

    @property
    def verifier(self) -> Verifier:
        """Give the public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return Verifier(self.name, key.public_key().public_bytes_raw())

    def derived_key(self, purpose: bytes) -> bytes:
        """Give 32 bytes that only this key's holder can know, for one purpose."""
        return hmac.digest(self.seed, purpose, "sha256")

    def sign(self, text: str) -> bytes:
        """Write a note with this key's signature; `text` ends with a newline."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        raw = self.verifier.key_id + key.sign(text.encode())
        signature = base64.b64encode(raw).decode("ascii")
        return f"{text}\n{_DASH} {self.name} {signature}\n".encode()


def _split(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Cut a note into its text and its signatures."""
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedNoteError("note is too long")
    try:
        whole = note.decode()
    except UnicodeDecodeError as exc:
        raise MalformedNoteError("note is not UTF-8") from exc
    if any(ord(char) < 0x20 and char != "\n" for char in whole):
        raise MalformedNoteError("note has control characters")
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise MalformedNoteError("note has no signatures")
    return text + "\n", [_signature(line) for line in tail[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise MalformedNoteError("note has a malformed signature line")
    raw = _decode(parts[2])
    if len(raw) <= _KEY_ID_BYTES:
        raise MalformedNoteError("note has a malformed signature line")
    return _check_name(parts[1]), raw
