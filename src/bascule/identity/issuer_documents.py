"""What a foreign issuer publishes: its metadata, and the keys that sign its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bascule.errors import BasculeError
from bascule.identity.client_keys import RSA_CHARACTERS

MAX_KEYS = 100
Key = RSAKey | ECKey | OKPKey

_ALGORITHMS: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
"""By kind of key and curve; a key never serves for an algorithm of another kind."""

ALGORITHMS = frozenset[str]().union(*_ALGORITHMS.values())
"""Signatures that are accepted: asymmetric, by keys that only the issuer has."""

_USES = ("sig", "jwt-svid")
"""What keys of signatures are for; the second is what SPIFFE's trust bundles say."""

_MEMBERS: Mapping[str, tuple[type[Key], tuple[str, ...]]] = {
    "RSA": (RSAKey, ("n", "e")),
    "EC": (ECKey, ("crv", "x", "y")),
    "OKP": (OKPKey, ("crv", "x")),
}


class BadDocumentError(BasculeError):
    """What the issuer published is not what it should be; the text is not repeated."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key, for the algorithms that it may be used with."""

    kid: str
    algorithms: frozenset[str]
    key: Key = field(compare=False)
    thumbprint: str
    """RFC 7638; tells whether a key of the same name is still the same key."""


class IssuerKeys:
    """The keys of one issuer, as of one reading; immutable."""

    __slots__ = ("_keys", "_thumbprints")

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._thumbprints = frozenset(key.thumbprint for key in keys)
        self._keys: Mapping[str, Sequence[PublicKey]] = {
            key.kid: [it for it in keys if it.kid == key.kid] for key in keys
        }

    def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """Give the key of that name if it serves for that algorithm."""
        found = self._keys.get(kid, ())
        return next((key for key in found if algorithm in key.algorithms), None)

    def knows(self, kid: str) -> bool:
        """Tell whether some key has that name."""
        return kid in self._keys

    @property
    def thumbprints(self) -> frozenset[str]:
        """What names the keys, whatever their `kid`."""
        return self._thumbprints


class _Jwks(msgspec.Struct):
    keys: list[Any]


class _Metadata(msgspec.Struct):
    issuer: str
    jwks_uri: str


_jwks = msgspec.json.Decoder(_Jwks)
_metadata = msgspec.json.Decoder(_Metadata)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Give where an issuer's metadata may be (OpenID Connect Discovery §4, RFC 8414 §3)."""
    parts = urlsplit(issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def read_metadata(document: bytes, issuer: str) -> str:
    """Give the address of the issuer's keys.

    Raises `BadDocumentError`, and nothing else, for any bytes; also when the document is of
    another issuer (RFC 8414 §3.3).
    """
    try:
        found = _metadata.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadDocumentError("the metadata cannot be read") from exc
    if found.issuer != issuer:
        raise BadDocumentError("the metadata is of another issuer")
    return found.jwks_uri


def read_keys(document: bytes) -> IssuerKeys:
    """Read a JWK set (RFC 7517 §5).

    Keys that are for something else, symmetric, too weak or unreadable are left out; what
    remains must not be nothing. Of each key the public numbers are taken and nothing else:
    no `x5u`, no certificate. Raises `BadDocumentError`, and nothing else, for any bytes.
    """
    try:
        documents = _jwks.decode(document).keys[:MAX_KEYS]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadDocumentError("the JWK set cannot be read") from exc
    found = [key for key in map(_named_key, documents) if key is not None]
    if not found:
        raise BadDocumentError("the JWK set has no key that could be used")
    return IssuerKeys(found)


def _named_key(document: object) -> PublicKey | None:
    if not isinstance(document, dict) or document.get("use", "sig") not in _USES:
        return None
    kid = document.get("kid")
    return public_key(document, kid) if isinstance(kid, str) and kid else None


def public_key(document: Mapping[str, Any], kid: str) -> PublicKey | None:
    """Take the public numbers out of a JWK (RFC 7517 §4); None where it is of no use here.

    Raises nothing, whatever its members are.
    """
    kind, curve = document.get("kty"), document.get("crv", "")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        return None
    algorithms = _ALGORITHMS.get((kind, str(curve)), frozenset())
    if "alg" in document:
        algorithms &= {str(document["alg"])}
    if not algorithms:
        return None
    reader, members = _MEMBERS[kind]
    numbers = {name: str(document.get(name, "")) for name in members}
    if kind == "RSA" and len(numbers["n"]) not in RSA_CHARACTERS:
        return None
    try:
        key = reader.import_key({"kty": kind, **numbers})
        return PublicKey(kid, algorithms, key, key.thumbprint())
    except (JoseError, ValueError, TypeError):
        return None
