"""OpenSSH signatures (SSHSIG) by Ed25519 keys, as `ssh-keygen -Y sign` makes them.

Formats: PROTOCOL.sshsig, and for keys in hardware PROTOCOL.u2f, of OpenSSH.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from bascule.lock.model import LockError

NAMESPACE = "mcp-approval"
PLAIN = b"ssh-ed25519"
HARDWARE = b"sk-ssh-ed25519@openssh.com"
_MAGIC = b"SSHSIG"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
_TOUCHED = 1
"""Flag of a hardware key: somebody touched it for this signature."""
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE = 70


class SignatureError(LockError):
    """The bytes are no signature that is accepted, or do not fit what was signed."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as it stands in a line of `allowed_signers`, in SSH's wire format."""

    blob: bytes
    point: bytes
    """Ed25519 public key."""
    application: bytes | None = None
    """Of keys in hardware."""

    @property
    def fingerprint(self) -> str:
        """Name it as OpenSSH does."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode("ascii")
        return "SHA256:" + digest.rstrip("=")


def parse_public_key(blob: bytes) -> PublicKey:
    """Read a public key in wire format. Raises `SignatureError` for other kinds."""
    reader = _Reader(blob)
    kind = reader.text()
    if kind not in {PLAIN, HARDWARE}:
        shown = kind[:40].decode("ascii", "replace")
        raise SignatureError(f"keys of type `{shown}` are not accepted: use ed25519")
    point = reader.text()
    application = reader.text() if kind == HARDWARE else None
    reader.end()
    if len(point) != 32:
        raise SignatureError("the key has not 32 bytes")
    return PublicKey(blob, point, application)


def public_key_of(private: Ed25519PrivateKey) -> PublicKey:
    """Give the public half of a plain key."""
    point = private.public_key().public_bytes_raw()
    return PublicKey(_text(PLAIN) + _text(point), point)


def public_half(private: bytes) -> PublicKey:
    """Read the public key in front of a private one (PROTOCOL.key of OpenSSH).

    Raises `SignatureError`.
    """
    reader = _Reader(private)
    reader.literal(b"openssh-key-v1\0")
    for _ in ("cipher", "kdf", "options of the kdf"):
        reader.text()
    if reader.number() != 1:
        raise SignatureError("not one key")
    return parse_public_key(reader.text())


def sign(message: bytes, private: Ed25519PrivateKey, *, namespace: str) -> bytes:
    """Sign; gives the signature's bytes, without armour."""
    signature = private.sign(_signed_data(message, namespace.encode(), b"sha512"))
    return b"".join(
        (
            _MAGIC,
            (1).to_bytes(4, "big"),
            _text(public_key_of(private).blob),
            _text(namespace.encode()),
            _text(b""),
            _text(b"sha512"),
            _text(_text(PLAIN) + _text(signature)),
        )
    )


def verify(message: bytes, signature: bytes, *, namespace: str) -> PublicKey:
    """Give the key that signed `message`. Raises `SignatureError`, whatever the bytes."""
    reader = _Reader(signature)
    reader.literal(_MAGIC)
    if reader.number() != 1:
        raise SignatureError("another version of SSHSIG")
    key = parse_public_key(reader.text())
    named, reserved, hash_name = reader.text(), reader.text(), reader.text()
    blob = reader.text()
    reader.end()
    if named != namespace.encode():
        shown = named[:40].decode("ascii", "replace")
        raise SignatureError(f"made for namespace `{shown}`, not for `{namespace}`")
    if reserved or hash_name not in _HASHES:
        raise SignatureError("made with a hash or an extension that is not accepted")
    _check(key, blob, _signed_data(message, named, hash_name))
    return key


def _check(key: PublicKey, blob: bytes, data: bytes) -> None:
    reader = _Reader(blob)
    reader.literal(_text(PLAIN if key.application is None else HARDWARE))
    signature = reader.text()
    if key.application is not None:
        flags, counter = reader.take(1), reader.take(4)
        if not flags[0] & _TOUCHED:
            raise SignatureError("nobody touched the key for it")
        data = hashlib.sha256(key.application).digest() + flags + counter + _sha256(data)
    reader.end()
    try:
        Ed25519PublicKey.from_public_bytes(key.point).verify(signature, data)
    except (InvalidSignature, ValueError) as exc:
        raise SignatureError("the signature does not fit what it signs") from exc


def _signed_data(message: bytes, namespace: bytes, hash_name: bytes) -> bytes:
    digest = _HASHES[hash_name](message).digest()
    return _MAGIC + b"".join(map(_text, (namespace, b"", hash_name, digest)))


def armour(signature: bytes) -> str:
    """Write a signature as `ssh-keygen -Y verify -s` reads it."""
    text = base64.b64encode(signature).decode("ascii")
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def unarmour(text: str) -> bytes:
    """Read what `ssh-keygen -Y sign` writes. Raises `SignatureError`."""
    if not text.startswith(_BEGIN) or not text.rstrip().endswith(_END):
        raise SignatureError("no armoured signature")
    inner = "".join(text.replace(_BEGIN, "").replace(_END, "").split())
    try:
        return base64.b64decode(inner, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise SignatureError("no armoured signature") from exc


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _text(content: bytes) -> bytes:
    """Write a `string` of RFC 4251 §5."""
    return len(content).to_bytes(4, "big") + content


class _Reader:
    """Reads the fields of RFC 4251 §5 from the front."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    def take(self, size: int) -> bytes:
        if size > len(self._rest):
            raise SignatureError("the signature or key is cut off")
        found, self._rest = self._rest[:size], self._rest[size:]
        return bytes(found)

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def text(self) -> bytes:
        return self.take(self.number())

    def literal(self, wanted: bytes) -> None:
        if self.take(len(wanted)) != wanted:
            raise SignatureError("no signature of that kind")

    def end(self) -> None:
        if self._rest:
            raise SignatureError("there is something behind its end")
