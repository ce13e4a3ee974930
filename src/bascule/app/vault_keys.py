"""The key-encryption keys of the vault: those that `[vault]` names, or our own."""

from __future__ import annotations

from bascule.app.secrets import key_bytes, resolve_secret
from bascule.clock import Clock, Entropy
from bascule.config.vault import VaultTable
from bascule.credentials.kms import KmsCommand
from bascule.credentials.wrapping import (
    KEY_BYTES,
    LocalKey,
    NamedKeys,
    Wrapping,
    WrappingKeys,
)
from bascule.errors import BasculeError
from bascule.storage.key_store import KeyStore

_PREFIX = "vault-"
_LOCK = "vault"


class OwnKeys:
    """Keys that lie with the other keys of the installation; the newest is in use."""

    def __init__(self, store: KeyStore, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, LocalKey] = {}

    def current(self) -> Wrapping:
        """Give the newest; the first is made when there is none. Raises `BasculeError`."""
        if not self._store.names(_PREFIX):
            with self._store.alone(_LOCK):
                if not self._store.names(_PREFIX):
                    self._make()
        return self._read(self._store.names(_PREFIX)[-1])

    def find(self, key_id: str) -> Wrapping | None:
        """Give the one of that id, another process may have made it a moment ago."""
        if key_id not in self._known:
            for name in self._store.names(_PREFIX):
                self._read(name)
        return self._known.get(key_id)

    def renew(self) -> None:
        """Make a new one, which is in use from now on."""
        with self._store.alone(_LOCK):
            self._make()

    def drop(self, needed: set[str]) -> None:
        """Remove those that nothing is encrypted under.

        The newest two stay: a process that has looked a moment ago may still use the one
        before.
        """
        with self._store.alone(_LOCK):
            for name in self._store.names(_PREFIX)[:-2]:
                if self._read(name).id not in needed:
                    self._store.remove(name)

    def _make(self) -> None:
        latest = max(
            (int(it.split("-")[1]) for it in self._store.names(_PREFIX)), default=0
        )
        # One after the other, whatever the clock says.
        number = max(latest + 1, int(self._clock()))
        name = f"{_PREFIX}{number:012}-{self._entropy(4).hex()}.key"
        self._store.write(name, self._entropy(KEY_BYTES))

    def _read(self, name: str) -> LocalKey:
        content = self._store.read(name) or b""
        if len(content) != KEY_BYTES:
            raise BasculeError(f"`{name}` is no key of the vault: bring the right one back")
        key = LocalKey(content, self._entropy)
        return self._known.setdefault(key.id, key)


def vault_keys(
    table: VaultTable, store: KeyStore, clock: Clock, entropy: Entropy
) -> WrappingKeys:
    """Give the keys of an installation. Raises `BasculeError`."""
    if table.key is None:
        return OwnKeys(store, clock, entropy)
    former = [_named("vault.former", it, entropy) for it in table.former]
    return NamedKeys(_named("vault.key", table.key, entropy), former)


def _named(place: str, reference: str, entropy: Entropy) -> Wrapping:
    if reference.startswith("kms:"):
        return KmsCommand(reference.removeprefix("kms:"))
    return LocalKey(key_bytes(place, resolve_secret(reference)), entropy)
