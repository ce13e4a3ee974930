"""The vault: secrets that the database holds and nobody who reads it can read.

Envelope encryption with AES-256-GCM (NIST SP 800-38D): each owner has a data key, which is
kept encrypted under the key-encryption key, which is not in the database. A secret is bound
to its owner, its name and its version, so that no row can take another's place. Without its
data key nothing of an owner can be read any more, in no copy of the database either.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Clock, Entropy
from bascule.errors import BasculeError
from bascule.storage import vault as stored
from bascule.storage.store import Transaction
from bascule.storage.vault import SealedEntry

KEY_BYTES = 32
KEY_NAME = "vault.key"
"""Of the key-encryption key, where keys are kept."""
_NONCE_BYTES = 12
_CHANGED = (
    "a secret in the vault cannot be read: its key has changed, or somebody has changed "
    "the database; store it anew"
)


class VaultError(BasculeError):
    """A secret is there, and cannot be decrypted."""


class Vault:
    """Secrets by owner and name; each method is part of a transaction of its caller."""

    def __init__(self, key: bytes, clock: Clock, entropy: Entropy) -> None:
        """`key`: the key-encryption key, 32 bytes."""
        self._wrapping = AESGCM(key)
        self._clock = clock
        self._entropy = entropy

    def put(self, conn: Transaction, owner: str, name: str, value: bytes) -> None:
        """Keep a secret, in place of the one of that name. Raises `VaultError`."""
        cipher = self._cipher(conn, owner) or self._new_cipher(conn, owner)
        before = stored.entry(conn, owner, name)
        version = 1 if before is None else before.version + 1
        nonce = self._entropy(_NONCE_BYTES)
        sealed = nonce + cipher.encrypt(nonce, value, _bound(owner, name, version))
        stored.put(conn, owner, name, SealedEntry(version, sealed))

    def get(self, conn: Transaction, owner: str, name: str) -> bytes | None:
        """Give a secret; None when there is none. Raises `VaultError`."""
        found = stored.entry(conn, owner, name)
        if found is None:
            return None
        cipher = self._cipher(conn, owner)
        if cipher is None:
            raise VaultError(_CHANGED)
        return _opened(cipher, found.sealed, _bound(owner, name, found.version))

    def delete(self, conn: Transaction, owner: str, name: str) -> None:
        """Forget a secret; there may be none."""
        stored.remove(conn, owner, name)

    def shred(self, conn: Transaction, owner: str) -> None:
        """Make all of an owner's secrets unreadable, in every copy of this database."""
        stored.remove_owner(conn, owner)

    def _cipher(self, conn: Transaction, owner: str) -> AESGCM | None:
        wrapped = stored.wrapped_key(conn, owner)
        if wrapped is None:
            return None
        return AESGCM(_opened(self._wrapping, wrapped, _bound(owner)))

    def _new_cipher(self, conn: Transaction, owner: str) -> AESGCM:
        key, nonce = self._entropy(KEY_BYTES), self._entropy(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, key, _bound(owner))
        stored.keep_key(conn, owner, wrapped, now=self._clock())
        return AESGCM(key)


def _bound(*parts: object) -> bytes:
    """Write what a ciphertext is for; no part holds a zero byte."""
    return b"\0".join(str(part).encode() for part in parts)


def _opened(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError) as exc:
        raise VaultError(_CHANGED) from exc
