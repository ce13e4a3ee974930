"""Keys in the database, each encrypted under a key that the database does not hold.

AES-256-GCM under `server.key_encryption`, with the key's name as associated data, so that
no wrapped key can be put in another's place (NIST SP 800-38D). Few keys are ever written,
so nonces are random.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import Entropy
from bascule.errors import BasculeError
from bascule.storage.postgres import PostgresStore
from bascule.storage.schema import keys

_NONCE_BYTES = 12


class KeyEncryptionError(BasculeError):
    """The key that wraps the others is another one."""


class WrappedKeys:
    """Keys as rows that only who has the key-encryption key can read."""

    def __init__(self, store: PostgresStore, key: bytes, entropy: Entropy) -> None:
        self._store = store
        self._cipher = AESGCM(key)
        self._entropy = entropy

    def names(self, prefix: str) -> list[str]:
        """Give the names that begin so, in order."""
        query = select(keys.c.name).order_by(keys.c.name)
        found = self._store.read(lambda conn: list(conn.execute(query).scalars()))
        return [name for name in found if name.startswith(prefix)]

    def read(self, name: str) -> bytes | None:
        """Give a key. Raises `KeyEncryptionError` when it was wrapped by another one."""
        wrapped = self._store.read(lambda conn: _wrapped(conn, name))
        return None if wrapped is None else self._unwrap(name, wrapped)

    def create(self, name: str, fresh: bytes) -> bytes:
        """Give a key; `fresh` becomes the key when there is none."""
        ours = self._wrap(name, fresh)

        def work(conn: Connection) -> bytes:
            found = _wrapped(conn, name)
            if found is None:
                conn.execute(insert(keys).values(name=name, wrapped=ours))
            return ours if found is None else found

        return self._unwrap(name, self._store.run(work))

    def write(self, name: str, content: bytes) -> None:
        """Replace a key, or make it."""
        wrapped = self._wrap(name, content)

        def work(conn: Connection) -> None:
            conn.execute(delete(keys).where(keys.c.name == name))
            conn.execute(insert(keys).values(name=name, wrapped=wrapped))

        self._store.run(work)

    def remove(self, name: str) -> None:
        """Remove a key that may be missing."""
        self._store.run(lambda conn: conn.execute(delete(keys).where(keys.c.name == name)))

    def rename(self, name: str, to: str) -> None:
        """Give a key another name, which none may have."""
        content = self.read(name)
        if content is None:
            raise BasculeError(f"there is no key `{name}`")
        change = update(keys).where(keys.c.name == name)
        change = change.values(name=to, wrapped=self._wrap(to, content))
        self._store.run(lambda conn: conn.execute(change))

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold a lock of the database, which goes with the connection at the latest."""
        digest = hashlib.sha256(b"bascule lock " + what.encode()).digest()
        with self._store.locked(int.from_bytes(digest[:8], "big", signed=True)):
            yield

    def _wrap(self, name: str, content: bytes) -> bytes:
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _bound_to(name))

    def _unwrap(self, name: str, wrapped: bytes) -> bytes:
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, _bound_to(name))
        except (InvalidTag, ValueError) as exc:
            raise KeyEncryptionError(
                f"key `{name}` in the database was not wrapped by this "
                "`server.key_encryption`, or was changed"
            ) from exc


def _bound_to(name: str) -> bytes:
    return b"bascule key " + name.encode()


def _wrapped(conn: Connection, name: str) -> bytes | None:
    found = conn.execute(select(keys.c.wrapped).where(keys.c.name == name)).scalar()
    return None if found is None else bytes(found)
