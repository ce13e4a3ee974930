"""Notices: what a provider tells unasked, signed with the keys of its ID tokens.

Logout tokens, security events and orders to revoke are the same kind of statement: each has
a type, is for one receiver, and counts once.
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
from bascule.identity.access_token import InvalidTokenError
from bascule.identity.foreign_token import Unverified, is_signed, read
from bascule.identity.id_token import issuer_of
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey
from bascule.identity.provider_profiles import profile_of

MAX_JTI_CHARACTERS = 255


class InvalidNoticeError(BasculeError):
    """The provider has told nothing by this; the text has nothing of the notice."""

    def __init__(self, text: str, error: str = "invalid_request") -> None:
        """`error`: as receivers of security events call it (RFC 8935 §2.4)."""
        super().__init__(text)
        self.error = error


@dataclass(frozen=True, slots=True)
class Expected:
    """What a notice must be."""

    provider: Provider
    issuer: str
    """As the provider's metadata says it, perhaps with a place for the tenant."""
    types: frozenset[str]
    """What `typ` may be, in lower case, without `application/`; empty: without one."""
    audience: str
    """The one receiver; with a second one, that one could send it on."""
    max_age: int
    """Seconds after which it counts no longer, whatever `exp` says."""
    also_issuer: str = ""
    """A second name by which the provider signs."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notice; its use must still be noted, so that it counts once."""

    issuer: str
    """Of the users that it may speak of."""
    signed_as: str
    """Its own `iss`: the same, or the provider's second name."""
    digest: bytes
    """SHA-256 of type, issuer and `jti`."""
    expires_at: UnixTime
    """When it is refused for its age."""
    claims: Mapping[str, Any]


def read_notice(token: str) -> Unverified:
    """Read a notice, to see which key it needs. Raises `InvalidNoticeError`."""
    try:
        return read(token.encode())
    except (InvalidTokenError, UnicodeEncodeError) as exc:
        raise InvalidNoticeError("it is no signed JWT with a key's name") from exc


def verify_notice(
    unverified: Unverified,
    key: PublicKey | None,
    expected: Expected,
    *,
    now: UnixTime,
    leeway: int,
) -> Notice:
    """Verify a notice; `key` is the provider's, None when it has none of that name.

    Raises `InvalidNoticeError`, and nothing else.
    """
    if unverified.algorithm not in ALGORITHMS:
        raise InvalidNoticeError("its algorithm is not allowed", "invalid_key")
    if unverified.has_extensions:
        raise InvalidNoticeError("it has critical extensions")
    if unverified.type not in expected.types:
        raise InvalidNoticeError("its `typ` is another")
    if key is None or not is_signed(unverified, key):
        raise InvalidNoticeError("no key of the provider has signed it", "invalid_key")
    issuer = _issuer(unverified, expected)
    claims = unverified.claims
    if claims.get("aud") not in (expected.audience, [expected.audience]):
        raise InvalidNoticeError("`aud` is not this receiver alone", "invalid_audience")
    issued_at = _check_times(claims, expected, now, leeway)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        raise InvalidNoticeError("`jti` is missing or too long")
    name = f"notice\n{unverified.type}\n{issuer}\n{jti}"
    return Notice(
        issuer=issuer,
        signed_as=unverified.issuer,
        digest=hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest(),
        expires_at=UnixTime(issued_at + expected.max_age + leeway + 1),
        claims=claims,
    )


def _issuer(unverified: Unverified, expected: Expected) -> str:
    """Give the issuer of the users; a tenant of many speaks of its own users alone."""
    issuer = issuer_of(unverified.claims, expected.issuer)
    if issuer is None:
        raise InvalidNoticeError("it names no tenant", "invalid_issuer")
    names = {issuer, *profile_of(expected.provider).issuers}
    if expected.also_issuer:
        names.add(expected.also_issuer)
    if unverified.issuer not in names:
        raise InvalidNoticeError("it is of another issuer", "invalid_issuer")
    return issuer


def _check_times(
    claims: Mapping[str, Any], expected: Expected, now: UnixTime, leeway: int
) -> int:
    issued_at = _seconds(claims, "iat")
    if issued_at - leeway > now:
        raise InvalidNoticeError("it is of the future: are both clocks right?")
    if issued_at + expected.max_age + leeway < now:
        raise InvalidNoticeError("it is too old")
    if "exp" in claims and _seconds(claims, "exp") + leeway <= now:
        raise InvalidNoticeError("it has expired: are both clocks right?")
    if "nbf" in claims and _seconds(claims, "nbf") - leeway > now:
        raise InvalidNoticeError("it is not valid yet: are both clocks right?")
    return issued_at


def _seconds(claims: Mapping[str, Any], claim: str) -> int:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidNoticeError(f"it has no usable `{claim}`")
    if math.isfinite(value):
        return math.floor(value)
    raise InvalidNoticeError(f"it has no usable `{claim}`")
