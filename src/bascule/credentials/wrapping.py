"""Key-encryption keys: what data keys of the vault are wrapped by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Entropy
from bascule.errors import BasculeError

KEY_BYTES = 32
NONCE_BYTES = 12


class VaultError(BasculeError):
    """A secret is there, and cannot be decrypted; or it cannot be kept."""


class Wrapping(Protocol):
    """One key-encryption key, wherever it lies."""

    @property
    def id(self) -> str:
        """Which key it is; no secret."""

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Encrypt a data key; `bound` must be the same at `unwrap`. Raises `VaultError`."""

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Decrypt a data key. Raises `VaultError`."""


class WrappingKeys(Protocol):
    """All key-encryption keys of an installation."""

    def current(self) -> Wrapping:
        """Give the one that data keys are wrapped by now. Raises `BasculeError`."""

    def find(self, key_id: str) -> Wrapping | None:
        """Give the one of that id, of before or now. Raises `BasculeError`."""


class LocalKey:
    """A key that this process has (AES-256-GCM, NIST SP 800-38D)."""

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        self._cipher = AESGCM(key)
        self._entropy = entropy
        self.id = hashlib.sha256(b"bascule vault key " + key).hexdigest()[:16]

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Encrypt a data key."""
        nonce = self._entropy(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, bound)

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Decrypt a data key. Raises `VaultError`."""
        return opened(self._cipher, wrapped, bound)


@dataclass(frozen=True, slots=True)
class NamedKeys:
    """Keys that the configuration names."""

    key: Wrapping
    former: Sequence[Wrapping] = field(default=())

    def current(self) -> Wrapping:
        """Give the one that data keys are wrapped by now."""
        return self.key

    def find(self, key_id: str) -> Wrapping | None:
        """Give the one of that id."""
        return next((it for it in (self.key, *self.former) if it.id == key_id), None)


def opened(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """Decrypt what begins with its nonce. Raises `VaultError`."""
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError) as exc:
        raise VaultError(
            "a secret in the vault cannot be read: its key has changed, or somebody has "
            "changed the database; store it anew"
        ) from exc
