"""Keys that sign access tokens: Ed25519, named by their thumbprint (RFC 8037, RFC 7638)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bascule.clock import UnixTime
from bascule.errors import BasculeError

ALGORITHM = "Ed25519"
"""The curve, and since RFC 9864 the `alg` too. `EdDSA` is not accepted beside it: it names
no curve, and no token of ours says it."""


class BadKeyError(BasculeError):
    """A key file does not hold a signing key of ours."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    kid: str
    created: UnixTime
    retired: UnixTime | None
    """Since when it signs nothing new; what it signed is still valid."""
    key: OKPKey = field(repr=False)

    def public(self) -> dict[str, Any]:
        """Give the public key as a JWK (RFC 7517 §4)."""
        return {
            **self.key.as_dict(private=False),
            "kid": self.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }


class KeySet:
    """The keys whose tokens are accepted, and the one that signs."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._keys: Mapping[str, SigningKey] = {key.kid: key for key in keys}

    def find(self, kid: str) -> SigningKey | None:
        """Give the key of that name."""
        return self._keys.get(kid)

    def active(self) -> SigningKey:
        """Give the newest key that is not retired. Raises `BadKeyError` without one."""
        usable = [key for key in self._keys.values() if key.retired is None]
        if not usable:
            raise BadKeyError("there is no signing key: run `bascule key rotate`")
        return max(usable, key=lambda key: (key.created, key.kid))

    def jwks(self) -> dict[str, object]:
        """Give the public keys (RFC 7517 §5)."""
        ordered = sorted(self._keys.values(), key=lambda key: (key.created, key.kid))
        return {"keys": [key.public() for key in ordered]}


def new_key(now: UnixTime) -> SigningKey:
    """Make a key."""
    key = OKPKey.generate_key("Ed25519", private=True)
    return SigningKey(key.thumbprint(), now, None, key)


def to_jwk(key: SigningKey) -> dict[str, Any]:
    """Write a private key, for its file."""
    extra = {"kid": key.kid, "created": key.created, "retired": key.retired}
    return {**key.key.as_dict(private=True), **extra}


def from_jwk(document: Mapping[str, Any]) -> SigningKey:
    """Read what `to_jwk` wrote. Raises `BadKeyError`."""
    try:
        plain = {name: str(document[name]) for name in ("kty", "crv", "x", "d")}
        if (plain["kty"], plain["crv"]) != ("OKP", ALGORITHM):
            raise BadKeyError("not an Ed25519 key")
        key = OKPKey.import_key(dict(plain))
        retired = document["retired"]
        return SigningKey(
            kid=key.thumbprint(),
            created=UnixTime(int(document["created"])),
            retired=None if retired is None else UnixTime(int(retired)),
            key=key,
        )
    except (KeyError, TypeError, ValueError, JoseError) as exc:
        raise BadKeyError("not a signing key of ours") from exc
