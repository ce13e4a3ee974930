"""Client assertions: how an agent with keys authenticates (RFC 7523 §2.2, §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from bascule.clock import UnixTime
from bascule.errors import BasculeError

MAX_BYTES = 8 << 10
MAX_JTI_CHARACTERS = 255
MAX_KEYS = 10
"""Keys that are tried for one assertion; a client with more says which by `kid`."""
MAX_SECONDS = 3600
"""Longest time until an assertion expires; so long its `jti` is remembered."""
ALGORITHMS = ("Ed25519", "EdDSA", "ES256", "ES384", "ES512", "PS256", "RS256")
_BY_KIND = {
    "OKP": ("Ed25519", "EdDSA"),
    "EC": ("ES256", "ES384", "ES512"),
    "RSA": ("PS256", "RS256"),
}
_Key = OKPKey | ECKey | RSAKey


class InvalidAssertionError(BasculeError):
    """The assertion does not authenticate the client."""


class UnknownKeyError(InvalidAssertionError):
    """None of the keys that are known of the client has signed it; it may have new ones."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion; its use must still be noted, so that it counts once."""

    digest: bytes
    """SHA-256 of client id and `jti`."""
    expires_at: UnixTime


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: Any = msgspec.UNSET


class _Claims(msgspec.Struct):
    iss: str
    sub: str
    aud: str | list[str]
    jti: str
    exp: float
    nbf: float = 0
    iat: float = 0


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


def claimed_client(assertion: str) -> str | None:
    """Give whom an assertion says it is of; nobody vouches for that yet."""
    try:
        payload = jws.extract_compact(_encoded(assertion)).payload
        return _decode_claims(payload).sub
    except (JoseError, InvalidAssertionError, msgspec.DecodeError, ValueError):
        return None


def verify_assertion(
    assertion: str,
    *,
    client_id: str,
    jwks: str,
    audiences: frozenset[str],
    now: UnixTime,
    leeway: int,
) -> Assertion:
    """Verify an assertion with the client's own keys.

    `audiences`: what `aud` may be, alone; a second audience might be another server, to
    which the client sent it and which sends it on. Raises `InvalidAssertionError`, and
    nothing else, for any text.
    """
    token = _encoded(assertion)
    try:
        compact = jws.extract_compact(token)
        header = _decode_header(msgspec.json.encode(compact.headers()))
        claims = _decode_claims(compact.payload)
    except (JoseError, msgspec.DecodeError, ValueError, TypeError, RecursionError) as exc:
        raise InvalidAssertionError("assertion is malformed") from exc
    _check(header, claims, client_id, audiences, now, leeway)
    keys = islice(_keys(jwks, header), MAX_KEYS)
    if not any(_signed(token, header.alg, key) for key in keys):
        raise UnknownKeyError("signature is by none of the client's keys")
    name = hashlib.sha256(f"{client_id}\n{claims.jti}".encode()).digest()
    return Assertion(name, UnixTime(int(claims.exp) + leeway + 1))


def _encoded(assertion: str) -> bytes:
    if len(assertion) > MAX_BYTES or not assertion.isascii():
        raise InvalidAssertionError("assertion is too long, or no JWT")
    return assertion.encode("ascii")


def _check(
    header: _Header,
    claims: _Claims,
    client_id: str,
    audiences: frozenset[str],
    now: UnixTime,
    leeway: int,
) -> None:
    if header.alg not in ALGORITHMS:
        raise InvalidAssertionError("algorithm is not allowed")
    if header.crit is not msgspec.UNSET:
        raise InvalidAssertionError("assertion has critical extensions")
    if not claims.iss == claims.sub == client_id:
        raise InvalidAssertionError("`iss` and `sub` are not the client")
    audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
    if len(audience) != 1 or audience[0] not in audiences:
        raise InvalidAssertionError("`aud` is not this server alone")
    if not 0 < len(claims.jti) <= MAX_JTI_CHARACTERS:
        raise InvalidAssertionError("`jti` is missing or too long")
    if not now - leeway < claims.exp <= now + MAX_SECONDS + leeway:
        raise InvalidAssertionError("`exp` is over, or too far ahead")
    if max(claims.nbf, claims.iat) > now + leeway:
        raise InvalidAssertionError("assertion is not valid yet")


def _keys(jwks: str, header: _Header) -> Iterator[_Key]:
    """Give the keys that may have signed: of that name if it says one, of that kind."""
    for document in msgspec.json.decode(jwks, type=dict[str, list[dict[str, str]]])["keys"]:
        named = header.kid is None or document.get("kid", header.kid) == header.kid
        fits = document.get("alg", header.alg) == header.alg
        if named and fits and header.alg in _BY_KIND.get(document["kty"], ()):
            yield _import(document)


def _import(document: dict[str, str]) -> _Key:
    kind: dict[str, type[_Key]] = {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}
    return kind[document["kty"]].import_key(dict(document))


def _signed(token: bytes, algorithm: str, key: _Key) -> bool:
    try:
        if algorithm == "EdDSA":  # the older name of Ed25519, of which the library warns
            return _signed_ed25519(token, key)
        compact = jws.extract_compact(token)
        return jws.validate_compact(compact, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError):
        return False


def _signed_ed25519(token: bytes, key: _Key) -> bool:
    signed, _, signature = token.rpartition(b".")
    public = key.public_key
    if not isinstance(public, Ed25519PublicKey):
        return False
    try:
        public.verify(urlsafe_b64decode(signature), signed)
    except InvalidSignature:
        return False
    return True
