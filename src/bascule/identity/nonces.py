"""Nonces of the server for DPoP proofs (RFC 9449 §8, §9), which no state is kept of."""

from __future__ import annotations

import base64
import hmac

from bascule.clock import UnixTime

PERIOD_SECONDS = 60
PERIODS = 5
"""A nonce is good in the minute in which it was made, and in the four after it."""
_NUMBER_BYTES = 6
_PROOF_BYTES = 16


class Nonces:
    """Makes nonces, and knows them again on each process that has the same key."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes that nobody else has."""
        self._key = key

    def current(self, now: UnixTime) -> str:
        """Give the nonce of this minute."""
        return self._nonce(now // PERIOD_SECONDS)

    def knows(self, nonce: str | None, now: UnixTime) -> bool:
        """Tell whether a nonce was made here, a few minutes ago at most."""
        if nonce is None:
            return False
        shown = nonce.encode("utf-8", "replace")
        newest = now // PERIOD_SECONDS
        return any(
            hmac.compare_digest(self._nonce(newest - age).encode(), shown)
            for age in range(PERIODS)
        )

    def _nonce(self, period: int) -> str:
        number = period.to_bytes(_NUMBER_BYTES, "big")
        proof = hmac.digest(self._key, b"dpop nonce" + number, "sha256")[:_PROOF_BYTES]
        return base64.urlsafe_b64encode(number + proof).rstrip(b"=").decode("ascii")
