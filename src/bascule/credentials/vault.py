"""The vault: secrets that the database holds and nobody who reads it can read.

Envelope encryption with AES-256-GCM (NIST SP 800-38D): each owner has a data key, which is
kept encrypted under a key-encryption key, which is not in the database. A secret is bound
to its owner, its name and its version, so that no row can take another's place. Without its
data key nothing of an owner can be read any more, in no copy of the database either.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Clock, Entropy
from bascule.credentials.wrapping import (
    KEY_BYTES,
    NONCE_BYTES,
    VaultError,
    WrappingKeys,
    opened,
)
from bascule.storage import vault as stored
from bascule.storage.store import Transaction
from bascule.storage.vault import SealedEntry, WrappedKey


class Vault:
    """Secrets by owner and name; each method is part of a transaction of its caller."""

    def __init__(self, keys: WrappingKeys, clock: Clock, entropy: Entropy) -> None:
        self._keys = keys
        self._clock = clock
        self._entropy = entropy

    def put(self, conn: Transaction, owner: str, name: str, value: bytes) -> None:
        """Keep a secret, in place of the one of that name. Raises `VaultError`."""
        cipher = self._cipher(conn, owner) or self._new_cipher(conn, owner)
        before = stored.entry(conn, owner, name)
        version = 1 if before is None else before.version + 1
        self._seal(conn, cipher, owner, name, version, value)

    def get(self, conn: Transaction, owner: str, name: str) -> bytes | None:
        """Give a secret; None when there is none. Raises `VaultError`."""
        found = stored.entry(conn, owner, name)
        if found is None:
            return None
        cipher = self._cipher(conn, owner)
        if cipher is None:
            raise VaultError("a secret in the vault cannot be read: its data key is gone")
        return opened(cipher, found.sealed, _bound(owner, name, found.version))

    def delete(self, conn: Transaction, owner: str, name: str) -> None:
        """Forget a secret; there may be none."""
        stored.remove(conn, owner, name)

    def shred(self, conn: Transaction, owner: str) -> None:
        """Make all of an owner's secrets unreadable, in every copy of this database."""
        stored.remove_owner(conn, owner)

    def rotate(self, conn: Transaction, owner: str) -> None:
        """Encrypt all of an owner's secrets under a new data key.

        It is wrapped by the key-encryption key of now. Raises `VaultError` when a secret
        cannot be read; then all is as before.
        """
        secrets = {it: self.get(conn, owner, it) for it in stored.names(conn, owner)}
        cipher = self._new_cipher(conn, owner)
        for name, value in secrets.items():
            before = stored.entry(conn, owner, name)
            if before is not None and value is not None:
                self._seal(conn, cipher, owner, name, before.version, value)

    def _seal(
        self,
        conn: Transaction,
        cipher: AESGCM,
        owner: str,
        name: str,
        version: int,
        value: bytes,
    ) -> None:
        nonce = self._entropy(NONCE_BYTES)
        sealed = nonce + cipher.encrypt(nonce, value, _bound(owner, name, version))
        stored.put(conn, owner, name, SealedEntry(version, sealed))

    def _cipher(self, conn: Transaction, owner: str) -> AESGCM | None:
        found = stored.wrapped_key(conn, owner)
        if found is None:
            return None
        key = self._keys.find(found.key_id)
        if key is None:
            raise VaultError(
                f"a secret in the vault was encrypted under key `{found.key_id}`, which is "
                "not there: name it in `vault.former`"
            )
        return AESGCM(key.unwrap(found.wrapped, _bound(owner)))

    def _new_cipher(self, conn: Transaction, owner: str) -> AESGCM:
        fresh, key = self._entropy(KEY_BYTES), self._keys.current()
        wrapped = WrappedKey(key.id, key.wrap(fresh, _bound(owner)))
        stored.keep_key(conn, owner, wrapped, now=self._clock())
        return AESGCM(fresh)


def _bound(*parts: object) -> bytes:
    """Write what a ciphertext is for; no part holds a zero byte."""
    return b"\0".join(str(part).encode() for part in parts)
