"""A token that is bound to a key of Bascule's: each request proves the key (RFC 9449)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bascule.clock import Clock, Entropy
from bascule.oauthclient.dpop import Prover


@dataclass(frozen=True, slots=True)
class Bound:
    """One such token, for one upstream; used on one event loop."""

    prover: Prover = field(repr=False)
    access_token: str = field(repr=False)
    url: str
    """Of the upstream: a proof is for it alone."""
    clock: Clock
    entropy: Entropy

    def proof(self, verb: str) -> str:
        """Give the value of `DPoP` for one request, good once."""
        return self.prover.proof(
            verb,
            self.url,
            now=self.clock(),
            entropy=self.entropy,
            access_token=self.access_token,
        )

    @property
    def nonce(self) -> str | None:
        """What the next proof repeats of the upstream's; None while it gave nothing."""
        return self.prover.nonce(self.url)

    def learn(self, nonce: bytes) -> bool:
        """Take a nonce that the upstream gave, empty for none; tell whether it is new."""
        return self.prover.learn(self.url, nonce.decode("latin-1"))
