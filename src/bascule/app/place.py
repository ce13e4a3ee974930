"""Where a Bascule keeps what it knows: a data directory, and a database if one is named."""

from __future__ import annotations

import hmac
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.app.secrets import (
    OPERATOR,
    ReadSecret,
    key_bytes,
    resolve_secret,
    secret_name,
)
from bascule.app.vault_keys import vault_keys
from bascule.audit.log import LogKeys, log_keys
from bascule.audit.log_files import FolderFiles
from bascule.audit.log_place import LogPlace
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Server
from bascule.config.vault import VaultTable
from bascule.credentials.vault import Vault
from bascule.errors import BasculeError
from bascule.gateway.handles import KEY_BYTES
from bascule.identity.nonces import Nonces
from bascule.storage import directory, high_water
from bascule.storage.inbox import SqliteInbox
from bascule.storage.key_store import FolderKeys, KeyStore
from bascule.storage.migrate import require_current
from bascule.storage.revocations import distrust_restored
from bascule.storage.store import StateUnavailableError, Store, open_store

if TYPE_CHECKING:  # what only PostgreSQL needs is imported where it is used
    from bascule.storage.postgres import PostgresStore

SQLITE = "sqlite"
_HANDLES_KEY = "handles.key"


class Place:
    """State, keys and log of one installation; each is opened when it is asked for."""

    def __init__(self, data_dir: Path, server: Server) -> None:
        """Raises `BasculeError` when what `server` refers to cannot be read."""
        self.data_dir = data_dir
        self._store: Store | None = None
        self._database: PostgresStore | None = None
        if server.database != SQLITE:
            from bascule.storage.postgres import open_postgres

            self._database = open_postgres(resolve_secret(server.database))
        self.keys = self._keys(server)
        """The keys; with a database, wrapped in it."""

    def _keys(self, server: Server) -> KeyStore:
        if self._database is None:
            return FolderKeys(self.data_dir / "keys")
        from bascule.storage.wrapped_keys import WrappedKeys

        if server.key_encryption is None:
            raise BasculeError(
                "`server.key_encryption` is missing: keys are kept in the database, and "
                "nobody who reads it may read them; see `docs/how-to/run-a-team-server.md`"
            )
        key = key_bytes("server.key_encryption", resolve_secret(server.key_encryption))
        return WrappedKeys(self._database, key, system_entropy)

    @property
    def is_shared(self) -> bool:
        """Whether other hosts may use the same state and log."""
        return self._database is not None

    def open_unchecked(self) -> Store:
        """Open the state database whatever its version."""
        return self._database or open_store(self.data_dir / "state.db")

    def open_state(self) -> Store:
        """Give the state database, made when missing. Raises `SchemaVersionError`.

        A database that was restored from an older copy trusts nothing that was issued
        before. It is the same one each time.
        """
        if self._store is None:
            store = self.open_unchecked()
            require_current(store)
            known = high_water.read(self._mark)
            if known > store.read(directory.generation):
                now = system_clock()
                store.run(partial(distrust_restored, known_generation=known, now=now))
            self._store = store
            self.note_change()
        return self._store

    def note_change(self) -> None:
        """Remember how far the directory is; after each change."""
        high_water.raise_to(self._mark, self.open_state().read(directory.generation))

    @property
    def _mark(self) -> Path:
        return self.data_dir / "keys" / "generation"

    def identity(self) -> tuple[int, int]:
        """Give what tells the state database's file from another under its name.

        An open database goes on to read a file that was removed or replaced, and would
        never see what is revoked in the new one. Raises `StateUnavailableError`.
        """
        if self._database is not None:
            return 0, 0
        try:
            info = (self.data_dir / "state.db").stat()
        except OSError as exc:
            raise StateUnavailableError("the state database is gone") from exc
        return info.st_dev, info.st_ino

    def nonces(self) -> Nonces:
        """Give the nonces of DPoP proofs: the same in all processes."""
        return Nonces(hmac.digest(self.sealing_key(), b"dpop nonces", "sha256"))

    def sealing_key(self) -> bytes:
        """Read the key that seals handles, made when missing. Raises `BasculeError`."""
        key = self.keys.create(_HANDLES_KEY, system_entropy(KEY_BYTES))
        if len(key) != KEY_BYTES:
            raise BasculeError(f"`{_HANDLES_KEY}` is no key: remove it, and one is made")
        return key

    def vault(self, table: VaultTable) -> Vault:
        """Give the vault, opened by what `[vault]` names. Raises `BasculeError`."""
        keys = vault_keys(table, self.keys, system_clock, system_entropy)
        return Vault(keys, system_clock, system_entropy)

    def secrets(self, table: VaultTable) -> ReadSecret:
        """Give what reads references to secrets, those to the vault included."""

        def read(reference: str) -> str:
            if not reference.startswith("vault:"):
                return resolve_secret(reference)
            name = reference.removeprefix("vault:")
            get = partial(self.vault(table).get, owner=OPERATOR, name=secret_name(name))
            value = self.open_state().read(get)
            if value is None:
                raise BasculeError(
                    f"secret `{reference}` is not in the vault: `bascule secret set {name}`"
                )
            return value.decode()

        return read

    def log(self) -> LogPlace:
        """Give the parts of the log."""
        folder = self.data_dir / "audit"
        database = self._database
        if database is None:
            return LogPlace(
                keys=self.keys,
                files=lambda: FolderFiles(folder),
                inbox=lambda: SqliteInbox(folder / "inbox.db"),
                shared_inbox=None,
                seen=None,
                disk=folder,
            )
        from bascule.storage.database_inbox import DatabaseInbox
        from bascule.storage.log_database import DatabaseFiles

        self.open_state()  # the tables must be there
        return LogPlace(
            keys=self.keys,
            files=lambda: DatabaseFiles(database),
            inbox=lambda: DatabaseInbox(database),
            shared_inbox=lambda: DatabaseInbox(database),
            seen=folder / "seen",
            disk=folder,
        )

    def log_keys(self) -> LogKeys:
        """Read the log's keys; the log is begun when there is none."""
        return log_keys(self.log(), system_entropy)

    def close(self) -> None:
        """Let go of the database."""
        for store in (self._store, self._database):
            if store is not None:
                store.close()
