"""Proofs that Bascule holds the key of a token (RFC 9449), toward others."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from urllib.parse import urlsplit

from joserfc.jwk import ECKey

from bascule.clock import Entropy, UnixTime
from bascule.oauthclient.client import AssertionKey, signed

ALGORITHM = "ES256"
"""The one that every server that knows DPoP is sure to know."""
MAX_NONCES = 1000
MAX_NONCE_CHARACTERS = 1024


class Prover:
    """One key, with the last nonce that each server gave (§8.2); used on one event loop.

    A token is bound to the key, so keep it as long as the token, and as secret.
    """

    __slots__ = ("_key", "_nonces")

    def __init__(self, key: ECKey) -> None:
        """`key`: private, on P-256."""
        self._key = AssertionKey(key, ALGORITHM, {"jwk": key.as_dict(private=False)})
        self._nonces: OrderedDict[str, str] = OrderedDict()

    @classmethod
    def of(cls, kept: str) -> Prover:
        """Give the one whose key `kept` was."""
        return cls(ECKey.import_key(json.loads(kept)))

    @property
    def kept(self) -> str:
        """The private key as JSON, for where secrets are kept."""
        return json.dumps(self._key.key.as_dict(private=True))

    @property
    def thumbprint(self) -> str:
        """What a token bound to the key says in `cnf.jkt` (§6.1, RFC 7638)."""
        return self._key.key.thumbprint()

    def proof(
        self,
        verb: str,
        url: str,
        *,
        now: UnixTime,
        entropy: Entropy,
        access_token: str | None = None,
    ) -> str:
        """Give the value of `DPoP` for one request, good once (§4.2).

        `access_token`: the one that goes with it to a resource.
        """
        claims: dict[str, object] = {
            "jti": base64.urlsafe_b64encode(entropy(12)).decode(),
            "htm": verb,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": now,
        }
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode("ascii")).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        nonce = self.nonce(url)
        if nonce is not None:
            claims["nonce"] = nonce
        return signed(claims, self._key, typ="dpop+jwt")

    def nonce(self, url: str) -> str | None:
        """Give the nonce of the next proof; None where the server gave none."""
        return self._nonces.get(_origin(url))

    def learn(self, url: str, nonce: str | None) -> bool:
        """Note the `DPoP-Nonce` of an answer; tell whether there is a new one to use."""
        if (
            nonce is None
            or not 0 < len(nonce) <= MAX_NONCE_CHARACTERS
            or not nonce.isascii()
        ):
            return False
        origin = _origin(url)
        is_new = self._nonces.get(origin) != nonce
        self._nonces[origin] = nonce
        self._nonces.move_to_end(origin)
        if len(self._nonces) > MAX_NONCES:
            self._nonces.popitem(last=False)
        return is_new


def new_prover() -> Prover:
    """Make one with a key of its own."""
    return Prover(ECKey.generate_key("P-256", private=True))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
