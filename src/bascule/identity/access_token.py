"""Access tokens: JWTs after RFC 9068, signed by us, for one resource each."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from bascule.clock import UnixTime
from bascule.config.model import Issuer
from bascule.errors import BasculeError
from bascule.identity.authorization_details import (
    Details,
    InvalidDetailsError,
    document,
    parse,
)
from bascule.identity.confirmation import Confirmation, read_confirmation
from bascule.identity.keys import ALGORITHM, KeySet, SigningKey

MAX_TOKEN_BYTES = 8 << 10
TYPE = "at+jwt"


class InvalidTokenError(BasculeError):
    """The token is not valid; `permanent` tells that it never will be."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The claims of a verified token."""

    user: str | None
    """`user:NAME`, or `user:ISSUER|SUB`; None when the agent acts by itself."""
    agent: str
    """Client id, or `ISSUER|CLIENT_ID`."""
    jti: str
    scopes: frozenset[str]
    issued_at: UnixTime
    expires_at: UnixTime
    issue_number: int | None
    """Place in the order in which our tokens were issued; None for a foreign one."""
    grant: str | None = None
    """Family of tokens that came from one login."""
    details: Details | None = None
    """The calls that it is for, and nothing else; None: it does not say."""
    signed_by: str | None = field(default=None, compare=False)
    """`kid` of the key that vouches for it, or the thumbprint of a foreign issuer's; None
    for claims that are not signed yet."""
    issuer: str | None = None
    """None for a token of ours."""
    groups: frozenset[str] = frozenset()
    """`group:ISSUER|NAME`, as a foreign issuer says; ours are in the directory."""
    rules: Issuer | None = field(default=None, repr=False, compare=False)
    """What the configuration said of its foreign issuer when it was read."""
    actors: tuple[str, ...] = ()
    """Agents through which the one that shows it acts, the nearest first, as a foreign
    issuer says: `ISSUER|CLIENT_ID`."""
    cnf: Confirmation | None = None
    """What whoever shows it must hold beside it; None: whoever has it may use it."""


class _Header(msgspec.Struct):
    alg: str
    kid: str
    typ: str
    crit: Any = msgspec.UNSET


class _Claims(msgspec.Struct, kw_only=True):
    iss: str
    aud: str | list[str]
    sub: str
    client_id: str
    jti: str
    iat: int
    exp: int
    nbf: int = 0
    scope: str = ""
    subject_kind: str = msgspec.field(name="bsc_sub")
    issue_number: int = msgspec.field(name="bsc_n")
    grant: str | None = msgspec.field(name="bsc_g", default=None)
    authorization_details: msgspec.Raw = msgspec.Raw()
    cnf: Any = msgspec.UNSET


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


def issue(token: AccessToken, *, issuer: str, resource: str, key: SigningKey) -> str:
    """Sign a token for one resource."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": resource,
        "sub": token.agent if token.user is None else token.user.removeprefix("user:"),
        "client_id": token.agent,
        "jti": token.jti,
        "iat": token.issued_at,
        "exp": token.expires_at,
        "scope": " ".join(sorted(token.scopes)),
        "bsc_sub": "agent" if token.user is None else "user",
        "bsc_n": token.issue_number,
    }
    if token.grant is not None:
        claims["bsc_g"] = token.grant
    if token.details is not None:
        claims["authorization_details"] = document(token.details, resource)
    if token.cnf is not None:
        claims["cnf"] = token.cnf.document()
    header = {"typ": TYPE, "alg": ALGORITHM, "kid": key.kid}
    payload = msgspec.json.encode(claims)
    return jws.serialize_compact(header, payload, key.key, algorithms=[ALGORITHM])


def verify(
    token: bytes, *, keys: KeySet, issuer: str, resource: str, now: UnixTime, leeway: int
) -> AccessToken:
    """Verify a token for one resource (RFC 9068 §4).

    All that is cheap comes before the signature, so that a flood of bad tokens is cheap.
    Nothing in the header but `alg`, `kid`, `typ` and `crit` is heeded: keys and algorithms
    are ours to choose. Raises `InvalidTokenError`, and nothing else, for any bytes.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("token is too long")
    header, claims = _parse(token)
    key = _check_header(header, keys)
    _check_claims(claims, issuer, resource, now, leeway)
    if not _is_signed(token, key):
        raise InvalidTokenError("signature is wrong")
    return _access_token(claims, key, resource)


def claimed_audience(token: bytes) -> str | None:
    """Give the one audience that a token claims to have; nobody vouches for that yet."""
    if len(token) > MAX_TOKEN_BYTES:
        return None
    try:
        audience = _parse(token)[1].aud
    except InvalidTokenError:
        return None
    return audience if isinstance(audience, str) else None


def _parse(token: bytes) -> tuple[_Header, _Claims]:
    """Read header and claims (RFC 7515 §3.1); of two equal names the last counts (§4)."""
    try:
        header, claims, _signature = token.split(b".")
        return _header.decode(decoded(header)), _claims.decode(decoded(claims))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidTokenError("token is malformed") from exc


def decoded(segment: bytes) -> bytes:
    """Decode base64url; any other spelling of the same bytes is a ValueError."""
    decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise ValueError("not canonical")
    return decoded


def _is_signed(token: bytes, key: SigningKey) -> bool:
    try:
        compact = jws.extract_compact(token)
        return jws.validate_compact(compact, key.key, algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError, RecursionError):
        return False


def _check_header(header: _Header, keys: KeySet) -> SigningKey:
    if header.alg != ALGORITHM:
        raise InvalidTokenError("algorithm is not allowed")
    if header.typ.lower().removeprefix("application/") != TYPE:
        raise InvalidTokenError("token is no access token")
    if header.crit is not msgspec.UNSET:
        raise InvalidTokenError("token has critical extensions")
    key = keys.find(header.kid)
    if key is None:
        raise InvalidTokenError("signing key is unknown", permanent=False)
    return key


def _check_claims(
    claims: _Claims, issuer: str, resource: str, now: UnixTime, leeway: int
) -> None:
    if claims.iss != issuer:
        raise InvalidTokenError("issuer is another")
    if claims.aud not in (resource, [resource]):
        raise InvalidTokenError("audience is another", permanent=False)
    if claims.exp + leeway <= now:
        raise InvalidTokenError("token has expired")
    if max(claims.nbf, claims.iat) - leeway > now:
        raise InvalidTokenError("token is not valid yet", permanent=False)
    if claims.subject_kind not in {"user", "agent"}:
        raise InvalidTokenError("subject is of an unknown kind")


def _details(claims: _Claims, resource: str) -> Details | None:
    """Read what it is for (RFC 9396 §9.1): a claim that means nothing permits nothing."""
    text = bytes(claims.authorization_details)
    if not text:
        return None
    try:
        return parse(text.decode(), resource)
    except (InvalidDetailsError, UnicodeError) as exc:
        raise InvalidTokenError("authorization details cannot be read") from exc


def confirmation(claim: object) -> Confirmation:
    """Read what a token is bound to. Raises `InvalidTokenError` if that is not known here.

    Whoever leaves out what it cannot read takes a bound token for one of any bearer.
    """
    found = read_confirmation(claim)
    if found is None:
        raise InvalidTokenError("token is bound to something that is not known here")
    return found


def _access_token(claims: _Claims, key: SigningKey, resource: str) -> AccessToken:
    return AccessToken(
        user=f"user:{claims.sub}" if claims.subject_kind == "user" else None,
        agent=claims.client_id,
        jti=claims.jti,
        scopes=frozenset(claims.scope.split()),
        issued_at=UnixTime(claims.iat),
        expires_at=UnixTime(claims.exp),
        issue_number=claims.issue_number,
        grant=claims.grant,
        details=_details(claims, resource),
        signed_by=key.kid,
        cnf=None if claims.cnf is msgspec.UNSET else confirmation(claims.cnf),
    )
