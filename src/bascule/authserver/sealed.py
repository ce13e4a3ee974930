"""Secrets that are kept only for who shows another secret.

A retry must get what the first attempt got, and the database must not hold it in the clear.
So it is encrypted under a key made of what the retry shows, of which the database has only
the hash: the row by itself opens nothing.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bascule.clock import Entropy

NONCE_BYTES = 12


def seal(secret: str, *, under: str, entropy: Entropy) -> bytes:
    """Encrypt a secret under another, which has 256 random bits (NIST SP 800-38D)."""
    nonce = entropy(NONCE_BYTES)
    return nonce + _cipher(under).encrypt(nonce, secret.encode(), None)


def unseal(sealed: bytes, *, under: str) -> str | None:
    """Decrypt what `seal` made under the same secret; None for anything else."""
    try:
        plain = _cipher(under).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        return None
    return plain.decode()


def _cipher(under: str) -> AESGCM:
    derive = HKDF(SHA256(), length=32, salt=None, info=b"bascule sealed successor")
    return AESGCM(derive.derive(under.encode()))
