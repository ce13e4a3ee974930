"""Proof key for code exchange, S256 alone (RFC 7636; `plain` protects nothing)."""

from __future__ import annotations

import base64
import hashlib
import re

METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_challenge(text: str) -> bool:
    """Tell whether a text can be a SHA-256 digest in base64url (RFC 7636 §4.2)."""
    return _CHALLENGE.fullmatch(text) is not None


def challenge_of(verifier: str) -> str | None:
    """Give the challenge of a verifier; None when it is no verifier (RFC 7636 §4.1)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return None
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
