"""Openings: what is needed to open commitments, encrypted one by one, beside the log.

An opening is the record key, and behind it the arguments where a connector keeps values.
Deleting one ends what can be proved of its record's arguments; the log stays whole.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.audit.log_files import LogFiles
from bascule.audit.state import TreeError
from bascule.audit.tile import WIDTH, index_path, unpack
from bascule.clock import Entropy
from bascule.errors import BasculeError

KEY_BYTES = 32
LENGTH_BYTES = 4
"""Openings stand behind one another, each with its length in so many bytes."""
MAX_OPENING_BYTES = 8 << 20
_RUN_BYTES = 16
_COUNTER_BYTES = 12
_HEAD_BYTES = _RUN_BYTES + _COUNTER_BYTES


class SealedOpeningError(BasculeError):
    """The opening cannot be decrypted with this key."""


def _run_key(key: bytes, run: bytes) -> bytes:
    return hmac.digest(key, b"opening\x00" + run, "sha256")


class OpeningSealer:
    """Encrypts the openings of one run with AES-256-GCM.

    Each run has a key of its own, derived from its random id, and counts its nonces:
    random nonces under one key are used up within weeks of load (NIST SP 800-38D §8.3).
    """

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        self._run = entropy(_RUN_BYTES)
        self._cipher = AESGCM(_run_key(key, self._run))
        self._count = 0

    def seal(self, opening: bytes | None) -> bytes:
        """Give run, nonce and ciphertext; nothing for nothing. Not thread-safe."""
        if opening is None:
            return b""
        nonce = self._count.to_bytes(_COUNTER_BYTES, "big")
        self._count += 1
        return self._run + nonce + self._cipher.encrypt(nonce, opening, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Decrypt an opening. Raises `SealedOpeningError`."""
    cipher = AESGCM(_run_key(key, sealed[:_RUN_BYTES]))
    try:
        return cipher.decrypt(sealed[_RUN_BYTES:_HEAD_BYTES], sealed[_HEAD_BYTES:], None)
    except (InvalidTag, ValueError) as exc:
        raise SealedOpeningError("the opening is damaged or of another key") from exc


def openings_path(index: int, width: int = WIDTH) -> str:
    """Give the path of the openings of one bundle, named as the bundle is."""
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"openings/{index_path(index)}{suffix}"


def pack_openings(openings: Iterable[bytes]) -> bytes:
    """Write openings behind one another, each with its length in four bytes."""
    return b"".join([len(it).to_bytes(LENGTH_BYTES, "big") + it for it in openings])


def unpack_openings(data: bytes) -> list[bytes]:
    """Read what `pack_openings` wrote. Raises `MalformedTileError`."""
    return unpack(data, length_bytes=LENGTH_BYTES)


def read_opening(files: LogFiles, size: int, seq: int) -> bytes:
    """Give the sealed opening of a record; empty when it has none. Raises `TreeError`."""
    index, place = divmod(seq, WIDTH)
    width = min(WIDTH, size - index * WIDTH)
    name = openings_path(index, width)
    try:
        found = unpack_openings(files.read(name))
    except OSError as exc:
        raise TreeError(f"the log lacks `{name}`") from exc
    return found[place]
