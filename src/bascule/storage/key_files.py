"""Signing keys as files: `keys/token-KID.jwk`, 0600."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.keys import KeySet, SigningKey, from_jwk, new_key, to_jwk

OVERLAP_SECONDS = 2 * 3600
"""How long a retired key's tokens are accepted: longer than any token lives."""


def load(folder: Path, *, now: UnixTime) -> KeySet:
    """Read all keys that are still accepted. Raises `BadKeyError` or `BasculeError`."""
    keys = [_read(path) for path in sorted(folder.glob("token-*.jwk"))]
    return KeySet(
        key for key in keys if key.retired is None or key.retired + OVERLAP_SECONDS > now
    )


def load_or_create(folder: Path, *, now: UnixTime) -> KeySet:
    """Read the keys; make the first one when there is none."""
    if not any(folder.glob("token-*.jwk")):
        _write(folder, new_key(now))
    return load(folder, now=now)


def rotate(folder: Path, *, compromised: bool, now: UnixTime) -> SigningKey:
    """Make a new signing key and retire the others; drop those at once when compromised."""
    fresh = new_key(now)
    _write(folder, fresh)
    for path in sorted(folder.glob("token-*.jwk")):
        key = _read(path)
        if key.kid == fresh.kid:
            continue
        if compromised:
            path.unlink()
        elif key.retired is None:
            _write(folder, replace(key, retired=now))
    return fresh


def _read(path: Path) -> SigningKey:
    try:
        return from_jwk(msgspec.json.decode(path.read_bytes(), type=dict))
    except (OSError, msgspec.DecodeError) as exc:
        raise BasculeError(f"cannot read signing key `{path}`") from exc


def _write(folder: Path, key: SigningKey) -> None:
    path = folder / f"token-{key.kid}.jwk"
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(to_jwk(key)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
