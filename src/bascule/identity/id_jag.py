"""ID-JAG: a provider's assertion that a client may act for one of its users.

(draft-ietf-oauth-identity-assertion-authz-grant §4.4; RFC 7523 §3.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.clock import UnixTime
from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.identity.access_token import InvalidTokenError, confirmation
from bascule.identity.confirmation import Confirmation
from bascule.identity.foreign_token import Unverified, is_signed
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey

TYPE = "oauth-id-jag+jwt"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
MAX_SECONDS = 3600
"""Longest time until one expires; so long its `jti` is remembered."""
MAX_NAME_CHARACTERS = 255


class InvalidIdJagError(BasculeError):
    """It is no assertion for this client here; the text repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class IdJag:
    """A verified assertion; its use must still be noted, so that it counts once."""

    issuer: str
    subject: str
    resources: tuple[str, ...]
    scope: str | None
    """What the provider limits it to; None: it does not."""
    cnf: Confirmation | None
    """What the client must have shown to hold."""
    claims: Mapping[str, Any]
    digest: bytes
    """SHA-256 of issuer and `jti`."""
    expires_at: UnixTime


def verify_id_jag(
    unverified: Unverified,
    key: PublicKey,
    provider: Provider,
    *,
    audience: str,
    client_id: str,
    now: UnixTime,
    leeway: int,
) -> IdJag:
    """Verify an assertion of a provider for an authenticated client.

    `audience`: our issuer, letter by letter. Raises `InvalidIdJagError`, and nothing else.
    """
    claims = unverified.claims
    if unverified.type != TYPE:
        raise InvalidIdJagError("it is no ID-JAG")
    if unverified.issuer != provider.iss:
        raise InvalidIdJagError("the issuer is another")
    if unverified.algorithm not in ALGORITHMS or unverified.has_extensions:
        raise InvalidIdJagError("the algorithm, or an extension, is not allowed")
    if claims.get("aud") not in (audience, [audience]):
        raise InvalidIdJagError("`aud` is not this server alone")
    if _text(claims, "client_id") != client_id:
        raise InvalidIdJagError("it was issued to another client")
    if "act" in claims:
        raise InvalidIdJagError("it names others who act")
    expires_at = _check_times(claims, now, leeway)
    if not is_signed(unverified, key):
        raise InvalidIdJagError("the signature is wrong")
    named = f"id-jag\n{unverified.issuer}\n{_text(claims, 'jti')}"
    return IdJag(
        issuer=unverified.issuer,
        subject=_text(claims, "sub"),
        resources=_resources(claims),
        scope=_text(claims, "scope") if "scope" in claims else None,
        cnf=_confirmation(claims),
        claims=claims,
        digest=hashlib.sha256(named.encode()).digest(),
        expires_at=UnixTime(expires_at + leeway + 1),
    )


def _check_times(claims: Mapping[str, Any], now: UnixTime, leeway: int) -> int:
    expires_at, issued_at = _seconds(claims, "exp"), _seconds(claims, "iat")
    begins = max(issued_at, _seconds(claims, "nbf") if "nbf" in claims else issued_at)
    if expires_at + leeway <= now:
        raise InvalidIdJagError("it has expired")
    if begins - leeway > now:
        raise InvalidIdJagError("it is not valid yet")
    if expires_at - issued_at > MAX_SECONDS or issued_at + MAX_SECONDS + leeway < now:
        raise InvalidIdJagError("it lasts too long")
    return expires_at


def _resources(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the resources that it is for: one that names none would be for all."""
    said = claims.get("resource")
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list) or not found:
        raise InvalidIdJagError("it names no resource")
    if not all(isinstance(it, str) for it in found):
        raise InvalidIdJagError("`resource` cannot be read")
    return tuple(found)


def _confirmation(claims: Mapping[str, Any]) -> Confirmation | None:
    if "cnf" not in claims:
        return None
    try:
        return confirmation(claims["cnf"])
    except InvalidTokenError as exc:
        raise InvalidIdJagError(str(exc)) from exc


def _text(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidIdJagError(f"it has no usable `{claim}`")
    if claim != "scope" and not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidIdJagError(f"it has no usable `{claim}`")
    return value


def _seconds(claims: Mapping[str, Any], claim: str) -> int:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidIdJagError(f"it has no usable `{claim}`")
    if not math.isfinite(value):
        raise InvalidIdJagError(f"it has no usable `{claim}`")
    return math.floor(value)
