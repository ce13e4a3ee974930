"""An issuer that tests own: its keys, and tokens signed with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Key = RSAKey | ECKey | OKPKey


def segment(value: object) -> bytes:
    """Write one part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass(frozen=True, slots=True)
class Signer:
    """One key with its name."""

    kid: str
    algorithm: str
    key: Key = field(repr=False)

    def sign(self, claims: object, **header: Any) -> bytes:
        """Sign claims; what the header says may be anything, the signature is right."""
        full = {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt", **header}
        named = {name: value for name, value in full.items() if value is not None}
        signed = segment(named) + b"." + segment(claims)
        algorithm = JWSRegistry.algorithms[self.algorithm]
        return signed + b"." + segment(algorithm.sign(signed, self.key))

    def jwk(self, **more: Any) -> dict[str, Any]:
        """Give the public key, as an issuer publishes it."""
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", **more}


def signer(kid: str, algorithm: str) -> Signer:
    """Make a key for an algorithm."""
    match algorithm:
        case "RS256" | "PS256":
            return Signer(kid, algorithm, RSAKey.generate_key(2048))
        case "ES256":
            return Signer(kid, algorithm, ECKey.generate_key("P-256"))
        case "ES384":
            return Signer(kid, algorithm, ECKey.generate_key("P-384"))
        case _:
            return Signer(kid, algorithm, OKPKey.generate_key("Ed25519"))


def jwks(*signers: Signer) -> bytes:
    """Write the set of their public keys."""
    return json.dumps({"keys": [it.jwk() for it in signers]}).encode()


def changed(claims: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Give claims with some changed; None takes one away."""
    full = {**claims, **changes}
    return {name: value for name, value in full.items() if value is not None}
