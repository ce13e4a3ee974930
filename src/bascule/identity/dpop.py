"""DPoP proofs: a request that only the holder of a key can have made (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.access_token import decoded
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey, public_key

MAX_PROOF_BYTES = 8 << 10
MAX_JTI_CHARACTERS = 255
WINDOW_SECONDS = 300
"""A proof is good so long before and after its `iat`: clocks of clients differ."""
MAX_KEYS = 4096
"""Keys that are kept ready: a client signs all its proofs with the same."""
_PRIVATE = ("d", "k", "p", "q", "dp", "dq", "qi", "oth")
_HASH = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


class InvalidProofError(BasculeError):
    """There is no proof, or it is none of this request."""


class StaleNonceError(InvalidProofError):
    """The proof lacks a nonce of this server that is still good (RFC 9449 §8)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified proof; its use must still be noted, so that it counts once."""

    key: str
    """Thumbprint of the key that signed it."""
    digest: bytes
    """SHA-256 of key and `jti`."""
    issued_at: UnixTime
    content: bytes | None = None
    """SHA-256 that the body must have; None: it does not say."""


class _Header(msgspec.Struct):
    typ: str
    alg: str
    jwk: dict[str, Any]
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET


class _Claims(msgspec.Struct):
    jti: str
    htm: str
    htu: str
    iat: float
    ath: str | None = None
    nonce: str | None = None
    content_digest: str | None = None


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


def verify_proof(
    proof: bytes,
    *,
    method: str,
    address: str,
    now: UnixTime,
    token: bytes | None = None,
    is_fresh: Callable[[str | None], bool] | None = None,
) -> Proof:
    """Verify that a request was signed by the key that the proof itself has (§4.3).

    `address`: where the request went, as clients write it. `token`: the access token that
    came with it. `is_fresh`: tells whether a nonce is one of ours; None: none is wanted.
    Whether it is the right key, and the first use, is for the caller to check. Raises
    `InvalidProofError`, and nothing else, for any bytes.
    """
    if len(proof) > MAX_PROOF_BYTES:
        raise InvalidProofError("proof is too long")
    try:
        first, second, last = proof.split(b".")
        algorithm, key = _signer(first)
        claims, signature = _decode_claims(decoded(second)), decoded(last)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidProofError("proof is malformed") from exc
    _check(claims, method, address, now, token)
    if not _is_signed(proof.rpartition(b".")[0], signature, algorithm, key):
        raise InvalidProofError("signature of the proof is wrong")
    if is_fresh is not None and not is_fresh(claims.nonce):
        raise StaleNonceError("proof needs a nonce of this server")
    return Proof(
        key=key.thumbprint,
        digest=hashlib.sha256(f"{key.thumbprint}\n{claims.jti}".encode()).digest(),
        issued_at=UnixTime(int(claims.iat)),
        content=_content(claims.content_digest),
    )


@lru_cache(MAX_KEYS)
def _signer(segment: bytes) -> tuple[str, PublicKey]:
    """Read the header of a proof: the algorithm and the key that it says it is signed by.

    All proofs of one key have the same header, so it is read once.
    """
    header = _decode_header(decoded(segment))
    if header.typ != "dpop+jwt":
        raise InvalidProofError("proof is of another type")
    if header.alg not in ALGORITHMS:
        raise InvalidProofError("algorithm of the proof is not allowed")
    if (header.crit, header.b64) != (msgspec.UNSET, msgspec.UNSET):
        raise InvalidProofError("proof has critical extensions")
    if any(member in header.jwk for member in _PRIVATE):
        raise InvalidProofError("proof shows a private key")
    if header.jwk.get("kty") == "RSA" and header.jwk.get("e") != "AQAB":
        # A large exponent would make each check as slow as a signature.
        raise InvalidProofError("key of the proof is of no use")
    key = public_key(header.jwk, "")
    if key is None or header.alg not in key.algorithms:
        raise InvalidProofError("key of the proof is of no use")
    return header.alg, key


def _check(
    claims: _Claims, method: str, address: str, now: UnixTime, token: bytes | None
) -> None:
    if claims.htm != method:
        raise InvalidProofError("`htm` is another method")
    if claims.htu != address and _comparable(claims.htu) != _comparable(address):
        raise InvalidProofError("`htu` is another address")
    if not now - WINDOW_SECONDS <= claims.iat <= now + WINDOW_SECONDS:
        raise InvalidProofError("`iat` is too old, or ahead of time")
    if not 0 < len(claims.jti) <= MAX_JTI_CHARACTERS:
        raise InvalidProofError("`jti` is empty or too long")
    if token is not None and claims.ath != token_hash(token):
        raise InvalidProofError("`ath` is not of this token")


def token_hash(token: bytes) -> str:
    """Give the `ath` of an access token (§4.2)."""
    digest = hashlib.sha256(token).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _comparable(address: str) -> tuple[str, str, str]:
    """Give what of a URI counts (§4.3): without query and fragment, host in lower case.

    Raises `InvalidProofError` for what is no http URI.
    """
    try:
        parts = urlsplit(address)
        port, scheme = parts.port, parts.scheme.lower()
    except ValueError as exc:
        raise InvalidProofError("`htu` is no address") from exc
    if scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise InvalidProofError("`htu` is no address")
    default = 443 if scheme == "https" else 80
    return scheme, f"{parts.hostname}:{port or default}", parts.path or "/"


def _is_signed(signed: bytes, signature: bytes, algorithm: str, key: PublicKey) -> bool:
    try:
        return JWSRegistry.algorithms[algorithm].verify(signed, signature, key.key)
    except (JoseError, ValueError, TypeError):
        return False


def _content(claim: str | None) -> bytes | None:
    """Read `content_digest`, which a draft of MCP has beside RFC 9449."""
    if claim is None:
        return None
    found = _HASH.fullmatch(claim)
    if found is None:
        raise InvalidProofError("`content_digest` is no SHA-256 digest")
    return base64.b64decode(found[1])
