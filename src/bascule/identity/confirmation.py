"""Confirmation: what whoever shows a token must hold beside it (RFC 7800 §3.1)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

_MEMBERS = {"jkt": "key", "x5t#S256": "certificate"}
_DIGEST_CHARACTERS = 43
"""Of a SHA-256 digest in base64url without padding."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The `cnf` of a token. Whatever it names must be shown: all of it."""

    key: str | None = None
    """`jkt`: thumbprint of the key that signs a DPoP proof (RFC 9449 §6.1, RFC 7638)."""
    certificate: str | None = None
    """`x5t#S256`: digest of the certificate that the client shows (RFC 8705 §3.1)."""

    def document(self) -> dict[str, str]:
        """Give it as a token has it."""
        members = {name: getattr(self, field) for name, field in _MEMBERS.items()}
        return {name: value for name, value in members.items() if value is not None}


def certificate_digest(certificate: bytes) -> str:
    """Give the `x5t#S256` of a certificate in DER (RFC 8705 §3.1)."""
    digest = hashlib.sha256(certificate).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def read_confirmation(claim: object) -> Confirmation | None:
    """Read a `cnf` claim.

    None for one that cannot be read, or names anything else: what is not understood
    cannot be demanded, so a token that has it must be refused.
    """
    if not isinstance(claim, Mapping) or not claim or not claim.keys() <= _MEMBERS.keys():
        return None
    values = claim.values()
    if not all(isinstance(it, str) and len(it) == _DIGEST_CHARACTERS for it in values):
        return None
    return Confirmation(**{_MEMBERS[name]: value for name, value in claim.items()})
