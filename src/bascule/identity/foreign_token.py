"""Access tokens of foreign issuers: JWTs after RFC 9068, and those that nearly are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from bascule.clock import UnixTime
from bascule.config.model import Issuer
from bascule.identity.access_token import (
    TYPE,
    AccessToken,
    InvalidTokenError,
    confirmation,
    decoded,
)
from bascule.identity.actors import BadActorsError, actors_of
from bascule.identity.authorization_details import (
    Details,
    InvalidDetailsError,
    of_claim,
)
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey
from bascule.identity.resource import baseline_scope

MAX_TOKEN_BYTES = 16 << 10
"""Tokens that list two hundred groups take more than ten thousand bytes."""
MAX_NAME_CHARACTERS = 255
"""Of a subject, a client or a group (OpenID Connect Core §2 has this for `sub`)."""

_NEVER_IN_ACCESS_TOKENS = ("nonce", "at_hash", "c_hash", "s_hash", "events")
"""Claims of ID tokens (OpenID Connect Core §2, §3.3.2.11), and of security events."""


class _Header(msgspec.Struct):
    alg: str
    kid: str
    typ: str = ""
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token's own words: nobody vouches for them yet."""

    token: bytes
    issuer: str
    algorithm: str
    kid: str
    type: str
    """`typ` in lower case, without `application/`; empty without one."""
    has_extensions: bool
    claims: Mapping[str, Any]


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(dict[str, Any])


def read(token: bytes) -> Unverified:
    """Read a token without believing it.

    Raises `InvalidTokenError`, and nothing else, for any bytes. Nothing in the header but
    `alg`, `kid`, `typ`, `crit` and `b64` is looked at: no `jku`, `jwk` or `x5u` ever is.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("token is too long")
    try:
        first, second, _signature = token.split(b".")
        header = _header.decode(decoded(first))
        claims = _claims.decode(decoded(second))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidTokenError("token is malformed") from exc
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise InvalidTokenError("token is malformed")
    return Unverified(
        token=token,
        issuer=issuer,
        algorithm=header.alg,
        kid=header.kid,
        type=header.typ.lower().removeprefix("application/"),
        has_extensions=(header.crit, header.b64) != (msgspec.UNSET, msgspec.UNSET),
        claims=claims,
    )


def check(
    unverified: Unverified, rules: Issuer, *, connector: str, now: UnixTime, leeway: int
) -> AccessToken:
    """Give what a token of that issuer would mean if its signature were right.

    All that can be checked without a key is checked here. Raises `InvalidTokenError`.
    """
    claims = unverified.claims
    if unverified.issuer != rules.issuer:
        raise InvalidTokenError("issuer is another")
    if unverified.algorithm not in ALGORITHMS:
        raise InvalidTokenError("algorithm is not allowed")
    if unverified.has_extensions:
        raise InvalidTokenError("token has critical extensions")
    client = _name(claims, rules.client_claim)
    if unverified.type != TYPE:
        _check_untyped(unverified, rules, client)
    return meaning(
        claims, unverified.token, rules, connector=connector, now=now, leeway=leeway
    )


def meaning(
    claims: Mapping[str, Any],
    token: bytes,
    rules: Issuer,
    *,
    connector: str,
    now: UnixTime,
    leeway: int,
) -> AccessToken:
    """Give what claims of an issuer mean at a connector. Raises `InvalidTokenError`."""
    client = _name(claims, rules.client_claim)
    _check_audience(claims, rules, connector)
    issued_at, expires_at = _check_times(claims, now, leeway)
    subject = _name(claims, "sub")
    return AccessToken(
        user=None if _is_agent_alone(claims, subject, client) else _user(rules, subject),
        agent=f"{rules.issuer}|{client}",
        jti=_token_id(claims, token),
        scopes=_scopes(claims, rules, connector),
        issued_at=issued_at,
        expires_at=expires_at,
        issue_number=None,
        issuer=rules.issuer,
        groups=_groups(claims, rules),
        details=_details(claims, rules.audiences[connector]),
        actors=_actors(claims, rules),
        rules=rules,
        cnf=confirmation(claims["cnf"]) if "cnf" in claims else None,
    )


def is_signed(unverified: Unverified, key: PublicKey) -> bool:
    """Tell whether the key signed the token (RFC 7515 §5.2).

    The algorithm is put to work directly: to let the library read the header a second time
    would let two readings of it differ, and it refuses header names that it does not know.
    """
    if unverified.algorithm not in key.algorithms:
        return False
    signed, _, signature = unverified.token.rpartition(b".")
    algorithm = JWSRegistry.algorithms[unverified.algorithm]
    try:
        return algorithm.verify(signed, decoded(signature), key.key)
    except (JoseError, ValueError, TypeError):
        return False


def _check_untyped(unverified: Unverified, rules: Issuer, client: str) -> None:
    """Tell an access token that does not say so from an ID token.

    Only for issuers of which the operator said so. An ID token is for the client, is bound
    to a login, or says by a claim of its provider what it is; if in doubt, it is refused.
    """
    if not rules.untyped or unverified.type not in {"", "jwt"}:
        raise InvalidTokenError("token is no access token")
    claims = unverified.claims
    said = str(claims.get("token_use", "access")), str(claims.get("typ", "bearer")).lower()
    if said != ("access", "bearer"):  # Cognito, Keycloak
        raise InvalidTokenError("token is no access token")
    if any(claim in claims for claim in _NEVER_IN_ACCESS_TOKENS):
        raise InvalidTokenError("token is an ID token or a security event")
    if client in _texts(claims.get("aud", [])):
        raise InvalidTokenError("token is for the client itself, as ID tokens are")
    if not any(claim in claims for claim in ("scope", "scp", "roles")):
        raise InvalidTokenError("token has no scopes, so it may be an ID token")


def _check_audience(claims: Mapping[str, Any], rules: Issuer, connector: str) -> None:
    """Want this connector's audience, and no other connector's beside it."""
    meant = _texts(claims.get(rules.audience_claim))
    ours = {name for name, value in rules.audiences.items() if value in meant}
    if connector not in ours:
        raise InvalidTokenError("audience is another", permanent=False)
    if len(ours) > 1:
        raise InvalidTokenError("token is for several connectors")


def _check_times(
    claims: Mapping[str, Any], now: UnixTime, leeway: int
) -> tuple[UnixTime, UnixTime]:
    issued_at, expires_at = _seconds(claims, "iat"), _seconds(claims, "exp")
    not_before = _seconds(claims, "nbf") if "nbf" in claims else issued_at
    if expires_at + leeway <= now:
        raise InvalidTokenError("token has expired")
    if max(not_before, issued_at) - leeway > now:
        raise InvalidTokenError("token is not valid yet", permanent=False)
    return UnixTime(issued_at), UnixTime(expires_at)


def _is_agent_alone(claims: Mapping[str, Any], subject: str, client: str) -> bool:
    """Tell whether no user stands behind a token (RFC 9068 §2.2; Auth0, Entra)."""
    granted = claims.get("gty") == "client-credentials" or claims.get("idtyp") == "app"
    return subject == client or granted


def _user(rules: Issuer, subject: str) -> str:
    return f"user:{rules.issuer}|{subject}"


def _actors(claims: Mapping[str, Any], rules: Issuer) -> tuple[str, ...]:
    try:
        return actors_of(claims, rules.issuer)
    except BadActorsError as exc:
        raise InvalidTokenError(f"the chain of actors: {exc}") from exc


def _token_id(claims: Mapping[str, Any], token: bytes) -> str:
    """Give what names the token: `jti`, Entra's `uti`, else its digest."""
    for claim in ("jti", "uti"):
        if claim in claims:
            return _name(claims, claim)
    return hashlib.sha256(token).hexdigest()


def _scopes(claims: Mapping[str, Any], rules: Issuer, connector: str) -> frozenset[str]:
    """Give the scopes; `scp` is what Okta and Entra call them, as a list or a text.

    A token that has no claim for them was issued for this connector without a limit to a
    part of it; an empty claim is one that permits nothing.
    """
    for claim in ("scope", "scp"):
        if claim in claims:
            return frozenset(
                scope for text in _texts(claims[claim]) for scope in text.split()
            )
    if rules.default_scopes is None:
        return frozenset({baseline_scope(connector)})
    return frozenset(rules.default_scopes)


def _details(claims: Mapping[str, Any], audience: str) -> Details | None:
    """Give the calls that it is for (RFC 9396 §9.1), as its issuer calls the connector.

    Where there are some, but none that mean anything here, it is for no call at all.
    """
    if "authorization_details" not in claims:
        return None
    try:
        return of_claim(claims["authorization_details"], audience)
    except InvalidDetailsError as exc:
        raise InvalidTokenError("authorization details cannot be read") from exc


def _groups(claims: Mapping[str, Any], rules: Issuer) -> frozenset[str]:
    """Give the groups, `group:ISSUER|NAME`.

    A policy may forbid something to a group; so groups that cannot be known make a token
    invalid rather than its subject a member of none.
    """
    where = rules.groups.claim
    path = [where] if where in claims else where.split(".")
    elsewhere = claims.get("_claim_names", {})  # Entra, from 200 groups on
    if not isinstance(elsewhere, dict):
        raise InvalidTokenError("token is malformed")
    if path[0] in elsewhere or (where == "groups" and "hasgroups" in claims):
        raise InvalidTokenError("the issuer left the groups out, they were too many")
    *outer, last = path
    holder: Any = claims
    for name in outer:
        holder = holder.get(name, {}) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise InvalidTokenError("groups cannot be read")
    names = _texts(holder.get(last, []))
    if not all(map(_is_name, names)):
        raise InvalidTokenError("groups cannot be read")
    return frozenset(f"group:{rules.issuer}|{name}" for name in names)


def _texts(value: Any) -> list[str]:
    """Read one text or a list of texts. Raises `InvalidTokenError` for anything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise InvalidTokenError("token is malformed")


def _name(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not _is_name(value):
        raise InvalidTokenError(f"token has no usable `{claim}`")
    return value


def _is_name(text: str) -> bool:
    """Tell whether a text may name somebody: people must read in records what it is."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable()


def _seconds(claims: Mapping[str, Any], claim: str) -> int:
    """Read a NumericDate (RFC 7519 §2), rounded down."""
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTokenError(f"token has no usable `{claim}`")
    return math.floor(value)
