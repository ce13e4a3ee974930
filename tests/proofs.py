"""A client's own key, and the DPoP proofs that it signs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from bascule.identity.dpop import token_hash
from foreign import Signer, signer

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Prover:
    """Who holds a key."""

    signer: Signer = field(default_factory=lambda: signer("", "ES256"))

    @property
    def thumbprint(self) -> str:
        """The `jkt` of what is bound to the key."""
        return self.signer.key.thumbprint()

    def proof(
        self,
        address: str,
        *,
        now: float,
        method: str = "POST",
        token: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> bytes:
        """Sign a proof; members of header and claims may be anything, None: left out."""
        said: dict[str, Any] = {
            "jti": f"proof-{next(_numbers)}",
            "htm": method,
            "htu": address,
            "iat": int(now),
            "ath": None if token is None else token_hash(token.encode()),
            **claims,
        }
        jwk = self.signer.key.as_dict(private=False)
        jwk.pop("kid", None)
        return self.signer.sign(
            {name: value for name, value in said.items() if value is not None},
            **{"typ": "dpop+jwt", "kid": None, "jwk": jwk, **(header or {})},
        )
