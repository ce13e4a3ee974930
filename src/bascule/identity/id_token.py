"""ID tokens: what a provider says of who has signed in (OpenID Connect Core §2, §3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.clock import UnixTime
from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.identity.access_token import InvalidTokenError
from bascule.identity.foreign_token import Unverified, is_signed, read
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey
from bascule.identity.provider_metadata import TENANT, TENANT_ID
from bascule.identity.provider_profiles import profile_of

MAX_NAME_CHARACTERS = 255
"""Of a subject (§2)."""
MAX_AGE_SECONDS = 600
"""How long ago a token of a login may have been issued."""
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384}
"""By the end of the algorithm's name (§3.1.3.6)."""


class InvalidIdTokenError(BasculeError):
    """Nobody has signed in by this token; the text says why, with nothing of the token."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token must be for."""

    provider: Provider
    issuer: str
    """As the provider's metadata says it, perhaps with a place for the tenant."""
    nonce: str | None
    """Of this login; None for a token that came with a refresh, where it may be missing
    (§12.2)."""
    access_token: str | None
    """The access token that came with it."""
    subject: str | None = None
    """Whom it must be of, when that is known."""


@dataclass(frozen=True, slots=True)
class IdToken:
    """A verified ID token."""

    issuer: str
    """Of the user: with Entra's many tenants, that of the user's own."""
    subject: str
    session: str | None
    """`sid`: the session at the provider, by which it tells of its end."""
    claims: Mapping[str, Any]


def read_id_token(token: str) -> Unverified:
    """Read a token, to see which key it needs. Raises `InvalidIdTokenError`."""
    try:
        return read(token.encode())
    except (InvalidTokenError, UnicodeEncodeError) as exc:
        raise InvalidIdTokenError("the ID token is malformed") from exc


def verify_id_token(
    unverified: Unverified, key: PublicKey, wanted: Wanted, *, now: UnixTime, leeway: int
) -> IdToken:
    """Verify a token as §3.1.3.7 says, every rule of it; `key` is the provider's.

    Raises `InvalidIdTokenError`, and nothing else.
    """
    _check_kind(unverified, wanted.provider)
    if not is_signed(unverified, key):
        raise InvalidIdTokenError("the signature of the ID token is wrong")
    claims = unverified.claims
    issuer = _issuer(unverified, wanted)
    _check_audience(claims, wanted.provider.client_id)
    _check_times(claims, wanted, now, leeway)
    _check_nonce(claims, wanted.nonce)
    _check_access_token(unverified, wanted.access_token)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _is_name(subject):
        raise InvalidIdTokenError("the ID token names nobody")
    if wanted.subject not in {None, subject}:
        raise InvalidIdTokenError("the ID token is of somebody else")
    session = claims.get("sid")
    usable = isinstance(session, str) and _is_name(session)
    return IdToken(issuer, subject, session if usable else None, claims)


def _check_kind(unverified: Unverified, provider: Provider) -> None:
    """Tell ID tokens from other tokens of the same provider, which it signs alike."""
    if unverified.algorithm not in ALGORITHMS:
        raise InvalidIdTokenError("the algorithm of the ID token is not allowed")
    if unverified.has_extensions:
        raise InvalidIdTokenError("the ID token has critical extensions")
    if unverified.type not in {"", "jwt"} or "events" in unverified.claims:
        raise InvalidIdTokenError("it is no ID token")
    for claim, value in profile_of(provider).token_claims.items():
        if unverified.claims.get(claim, value) != value:
            raise InvalidIdTokenError("it is no ID token")


def _issuer(unverified: Unverified, wanted: Wanted) -> str:
    """Give the user's issuer, which must be the provider's, letter by letter.

    Where one provider stands for many tenants, its metadata has a place in the issuer for
    the tenant, and the token names it; which tenants may sign in is decided later.
    """
    expected = issuer_of(unverified.claims, wanted.issuer)
    if expected is None:
        raise InvalidIdTokenError("the ID token names no tenant")
    if unverified.issuer not in {expected, *profile_of(wanted.provider).issuers}:
        raise InvalidIdTokenError("the ID token is of another issuer")
    return expected


def issuer_of(claims: Mapping[str, Any], issuer: str) -> str | None:
    """Give the issuer that claims must be of: that of metadata, with the tenant put in.

    None where there is a place for the tenant, and the claims name none.
    """
    if TENANT not in issuer:
        return issuer
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or TENANT_ID.fullmatch(tenant) is None:
        return None
    return issuer.replace(TENANT, tenant)


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Want a token for Bascule, and for nobody beside it: another could have sent it on."""
    audience = claims.get("aud")
    if audience not in (client_id, [client_id]):
        raise InvalidIdTokenError("the ID token is not for Bascule alone")
    if claims.get("azp", client_id) != client_id:
        raise InvalidIdTokenError("the ID token was issued to another client")


def _check_times(
    claims: Mapping[str, Any], wanted: Wanted, now: UnixTime, leeway: int
) -> None:
    expires_at, issued_at = _seconds(claims, "exp"), _seconds(claims, "iat")
    not_before = _seconds(claims, "nbf") if "nbf" in claims else issued_at
    if expires_at + leeway <= now:
        raise InvalidIdTokenError("the ID token has expired: are both clocks right?")
    if max(issued_at, not_before) - leeway > now:
        raise InvalidIdTokenError("the ID token is of the future: are both clocks right?")
    if wanted.nonce is not None and issued_at + MAX_AGE_SECONDS + leeway < now:
        raise InvalidIdTokenError("the ID token is old")


def _check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    if nonce is None:
        return
    found = claims.get("nonce")
    if not isinstance(found, str) or not hmac.compare_digest(
        found.encode(), nonce.encode()
    ):
        raise InvalidIdTokenError("the ID token is of another login")


def _check_access_token(unverified: Unverified, access_token: str | None) -> None:
    """Compare `at_hash` where there is one; the code flow may leave it out (§3.1.3.8)."""
    said = unverified.claims.get("at_hash")
    if said is None or access_token is None:
        return
    digest = _HASHES.get(unverified.algorithm[-3:])
    if digest is None:
        return  # of EdDSA no hash is laid down; the token came from the provider itself
    whole = digest(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(whole[: len(whole) // 2]).rstrip(b"=").decode()
    if said != half:
        raise InvalidIdTokenError("the ID token came with another access token")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable()


def _seconds(claims: Mapping[str, Any], claim: str) -> int:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidIdTokenError(f"the ID token has no usable `{claim}`")
    if math.isfinite(value):
        return math.floor(value)
    raise InvalidIdTokenError(f"the ID token has no usable `{claim}`")
