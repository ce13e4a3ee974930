"""Handles that an upstream gives out, sealed before a client holds them.

A session id, cursor, `requestState` or task id of an upstream is a bearer secret of that
upstream. The client gets it encrypted, with an expiry, and bound to its user, agent and
connector, so that it is worthless to anybody else; the upstream gets its own bytes back.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Entropy, UnixTime
from bascule.errors import BasculeError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TIME_BYTES = 8
_STAMP_BYTES = 16
MAX_HANDLE_CHARACTERS = 64 << 10


class InvalidHandleError(BasculeError):
    """The handle was not sealed here, for this use, or has expired."""


class Sealer:
    """Seals and opens handles with one key."""

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        """`key`: 32 random bytes. AES-256-GCM with random nonces, good for 2^32 seals."""
        self._cipher = AESGCM(key)
        self._stamp_key = hmac.digest(key, b"stamps", "sha256")
        self._entropy = entropy

    def seal(self, inner: str, *, bound_to: tuple[str, ...], expires: UnixTime) -> str:
        """Give the sealed form of `inner`, which opens only with the same `bound_to`."""
        nonce = self._entropy(_NONCE_BYTES)
        clear = expires.to_bytes(_TIME_BYTES, "big") + inner.encode()
        box = nonce + self._cipher.encrypt(nonce, clear, _context(bound_to))
        return _text(box)

    def open(self, sealed: str, *, bound_to: tuple[str, ...], now: UnixTime) -> str:
        """Give back what was sealed. Raises `InvalidHandleError`, nothing else."""
        if len(sealed) > MAX_HANDLE_CHARACTERS:
            raise InvalidHandleError("handle is too long")
        try:
            box = _box(sealed)
            clear = self._cipher.decrypt(
                box[:_NONCE_BYTES], box[_NONCE_BYTES:], _context(bound_to)
            )
        except (binascii.Error, UnicodeEncodeError, ValueError, InvalidTag) as exc:
            raise InvalidHandleError("handle is not valid here") from exc
        if int.from_bytes(clear[:_TIME_BYTES], "big") <= now:
            raise InvalidHandleError("handle has expired")
        return clear[_TIME_BYTES:].decode()

    def derived(self, use: tuple[str, ...]) -> Sealer:
        """Give a sealer with a key of its own, for a use that seals very often."""
        said = _context((*use, "derived"))
        return Sealer(hmac.digest(self._stamp_key, said, "sha256"), self._entropy)

    def stamp(self, text: str, *, bound_to: tuple[str, ...]) -> str:
        """Give `text` with a proof that it was stamped here, for this use.

        Unlike a seal it can be read, does not expire and is the same each time.
        """
        return f"{text}.{self._proof(text, bound_to)}"

    def unstamp(self, stamped: str, *, bound_to: tuple[str, ...]) -> str:
        """Give back what was stamped. Raises `InvalidHandleError`, nothing else."""
        text, _, proof = stamped.rpartition(".")
        expected = self._proof(text, bound_to)
        if not hmac.compare_digest(expected.encode(), proof.encode("utf-8", "replace")):
            raise InvalidHandleError("handle is not valid here")
        return text

    def _proof(self, text: str, bound_to: tuple[str, ...]) -> str:
        said = _context((*bound_to, text))
        digest = hmac.digest(self._stamp_key, said, "sha256")[:_STAMP_BYTES]
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _text(box: bytes) -> str:
    """Write bytes as base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(box).rstrip(b"=").decode("ascii")


def _box(text: str) -> bytes:
    """Read what `_text` wrote; another spelling of the same bytes is a ValueError."""
    box = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _text(box) != text:
        raise ValueError("not canonical")
    return box


def _context(bound_to: tuple[str, ...]) -> bytes:
    """Write the bound values so that no two tuples look alike: each with its length."""
    parts = [part.encode("utf-8", "surrogatepass") for part in bound_to]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
