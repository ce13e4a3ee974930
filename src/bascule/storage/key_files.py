"""Signing keys of tokens, by name in the key store: `token-KID.jwk`."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.keys import KeySet, SigningKey, from_jwk, new_key, to_jwk
from bascule.storage.key_store import KeyStore

OVERLAP_SECONDS = 2 * 3600
"""How long a retired key's tokens are accepted: longer than any token lives."""
_LOCK = "token"
_PREFIX = "token-"


def load(store: KeyStore, *, now: UnixTime) -> KeySet:
    """Read all keys that are still accepted. Raises `BadKeyError` or `BasculeError`."""
    found = (_read(store, name) for name in store.names(_PREFIX))
    return KeySet(
        key
        for key in found
        if key is not None and (key.retired is None or key.retired + OVERLAP_SECONDS > now)
    )


def load_or_create(store: KeyStore, *, now: UnixTime) -> KeySet:
    """Read the keys; make the first one when there is none, the same for all who ask."""
    if not store.names(_PREFIX):
        with store.alone(_LOCK):
            if not store.names(_PREFIX):
                _write(store, new_key(now))
    return load(store, now=now)


def rotate(store: KeyStore, *, compromised: bool, now: UnixTime) -> SigningKey:
    """Make a new signing key and retire the others; drop those at once when compromised.

    Retired keys whose tokens have all expired are dropped too. The new key is durable
    before any other is touched.
    """
    with store.alone(_LOCK):
        older = store.names(_PREFIX)
        fresh = new_key(now)
        _write(store, fresh)
        for name in older:
            if compromised:
                store.remove(name)
            else:
                _retire(store, name, now)
    return fresh


def _retire(store: KeyStore, name: str, now: UnixTime) -> None:
    key = _read(store, name)
    if key is None:
        return
    if key.retired is None:
        _write(store, replace(key, retired=now))
    elif key.retired + OVERLAP_SECONDS <= now:
        store.remove(name)


def _read(store: KeyStore, name: str) -> SigningKey | None:
    """Read a key; None when it was dropped a moment ago."""
    content = store.read(name)
    if content is None:
        return None
    try:
        return from_jwk(msgspec.json.decode(content, type=dict))
    except msgspec.DecodeError as exc:
        raise BasculeError(f"cannot read signing key `{name}`") from exc


def _write(store: KeyStore, key: SigningKey) -> None:
    store.write(f"{_PREFIX}{key.kid}.jwk", msgspec.json.encode(to_jwk(key)))
