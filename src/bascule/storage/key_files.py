"""Signing keys as files: `keys/token-KID.jwk`, 0600."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.keys import KeySet, SigningKey, from_jwk, new_key, to_jwk
from bascule.storage import durable

OVERLAP_SECONDS = 2 * 3600
"""How long a retired key's tokens are accepted: longer than any token lives."""


def load(folder: Path, *, now: UnixTime) -> KeySet:
    """Read all keys that are still accepted. Raises `BadKeyError` or `BasculeError`."""
    keys = [_read(path) for path in _files(folder)]
    return KeySet(
        key for key in keys if key.retired is None or key.retired + OVERLAP_SECONDS > now
    )


def load_or_create(folder: Path, *, now: UnixTime) -> KeySet:
    """Read the keys; make the first one when there is none, the same for all who ask."""
    with durable.locked(folder / "token.lock"):
        if not _files(folder):
            _write(folder, new_key(now))
    return load(folder, now=now)


def rotate(folder: Path, *, compromised: bool, now: UnixTime) -> SigningKey:
    """Make a new signing key and retire the others; drop those at once when compromised.

    Retired keys whose tokens have all expired are dropped too. The new key is durable
    before any other is touched.
    """
    with durable.locked(folder / "token.lock"):
        older = _files(folder)
        fresh = new_key(now)
        _write(folder, fresh)
        for path in older:
            if compromised:
                durable.remove(path)
            else:
                _retire(folder, path, now)
    return fresh


def _retire(folder: Path, path: Path, now: UnixTime) -> None:
    key = _read(path)
    if key.retired is None:
        _write(folder, replace(key, retired=now))
    elif key.retired + OVERLAP_SECONDS <= now:
        durable.remove(path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("token-*.jwk"))


def _read(path: Path) -> SigningKey:
    try:
        return from_jwk(msgspec.json.decode(path.read_bytes(), type=dict))
    except (OSError, msgspec.DecodeError) as exc:
        raise BasculeError(f"cannot read signing key `{path}`") from exc


def _write(folder: Path, key: SigningKey) -> None:
    durable.write(folder / f"token-{key.kid}.jwk", msgspec.json.encode(to_jwk(key)))
