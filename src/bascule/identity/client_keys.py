"""Public keys with which agents authenticate (`private_key_jwt`, RFC 7523 §2.2)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import UNSET, Struct, UnsetType

from bascule.identity.keys import BadKeyError

MAX_JWKS_BYTES = 64 << 10
RSA_CHARACTERS = range(342, 1366 + 1)
"""Of the modulus in base64url: 2048 to 8192 bits. Not weaker (NIST SP 800-131A r2 §3), nor
so long that each check costs milliseconds."""


class _Key(Struct, tag_field="kty"):
    """What is kept of a JWK (RFC 7517 §4); all else in it is dropped."""

    kid: str | UnsetType = UNSET
    alg: str | UnsetType = UNSET
    use: Literal["sig"] | UnsetType = UNSET


class _Okp(_Key, tag="OKP", kw_only=True):
    crv: Literal["Ed25519"]
    x: str


class _Ec(_Key, tag="EC", kw_only=True):
    crv: Literal["P-256", "P-384", "P-521"]
    x: str
    y: str


class _Rsa(_Key, tag="RSA", kw_only=True):
    n: str
    e: str


class _Jwks(Struct):
    keys: list[_Okp | _Ec | _Rsa]


class _Secrets(Struct):
    d: Any = UNSET
    k: Any = UNSET


class _PerhapsPrivate(Struct):
    keys: list[_Secrets]


def public_jwks(document: bytes) -> str:
    """Read a JWK set (RFC 7517 §5) and write what is kept of it: public parts only.

    Raises `BadKeyError`, and nothing else, for any bytes; also when a private or symmetric
    key is among them, since its owner should know that it lay about.
    """
    if len(document) > MAX_JWKS_BYTES:
        raise BadKeyError("the JWK set is too long")
    try:
        for secrets in msgspec.json.decode(document, type=_PerhapsPrivate).keys:
            if secrets != _Secrets():
                raise BadKeyError("it holds a private key: give the public keys only")
        found = msgspec.json.decode(document, type=_Jwks)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadKeyError(
            f"not a JWK set of keys for Ed25519, P-256, P-384, P-521 or RSA: {exc}"
        ) from exc
    if not found.keys:
        raise BadKeyError("the JWK set has no keys")
    for key in found.keys:
        _require_usable(key)
    return msgspec.json.encode(found).decode()


def _require_usable(key: _Okp | _Ec | _Rsa) -> None:
    """Let the library read it: a point must be on its curve, a number be one."""
    document = msgspec.to_builtins(key)
    try:
        match key:
            case _Okp():
                OKPKey.import_key(document)
            case _Ec():
                ECKey.import_key(document)
            case _Rsa():
                if len(key.n) not in RSA_CHARACTERS:
                    raise BadKeyError("an RSA key must have 2048 to 8192 bits")
                RSAKey.import_key(document)
    except (JoseError, ValueError, TypeError) as exc:
        raise BadKeyError("a key of the JWK set cannot be read") from exc
