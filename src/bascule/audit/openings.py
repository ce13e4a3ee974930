"""Openings: the keys (and values, where kept) behind commitments, encrypted one by one."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Entropy

KEY_BYTES = 32
_NONCE_BYTES = 12


class OpeningSealer:
    """Encrypts openings with AES-256-GCM, each under a nonce of its own."""

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        self._cipher = AESGCM(key)
        self._entropy = entropy

    def seal(self, opening: bytes | None) -> bytes:
        """Give nonce and ciphertext; nothing for nothing."""
        if opening is None:
            return b""
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, opening, None)

    def open(self, sealed: bytes) -> bytes:
        """Give the opening. Raises `cryptography.exceptions.InvalidTag`."""
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
