"""What a client must show to hold beside its token: proofs and certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from bascule.audit.once import Once
from bascule.clock import UnixTime
from bascule.config.possession import Possession
from bascule.gateway.callers import Caller, UnauthenticatedError
from bascule.gateway.exchange import Exchange
from bascule.identity.dpop import (
    InvalidProofError,
    Proof,
    StaleNonceError,
    verify_proof,
)
from bascule.identity.nonces import Nonces


class UnprovenError(UnauthenticatedError):
    """The token is good, but who shows it does not show what it is, or must be, bound to.

    `error` is what the client is told (RFC 9449 §7.1); `nonce` what its next proof needs.
    """

    def __init__(self, reason: str, error: str, nonce: str = "") -> None:
        super().__init__(reason, token_shown=True)
        self.error = error
        self.nonce = nonce


@dataclass(frozen=True, slots=True)
class Demands:
    """What is demanded of proofs, and of whom; replaced on reload."""

    nonces: Nonces = field(repr=False)
    wants_nonce: bool = False
    agents: Mapping[str, Possession] = field(default_factory=dict)
    """What an agent must show, by client id."""


def prove(
    exchange: Exchange,
    caller: Caller,
    resource: str,
    now: UnixTime,
    *,
    demands: Demands,
    demanded: Possession | None,
) -> Proof | None:
    """Check that whoever shows a token holds what it is bound to.

    `demanded`: by the connector. Gives the proof, which must still be noted so that it
    counts once; None where none is needed. Raises `UnprovenError`.
    """
    cnf = caller.token.cnf
    key = None if cnf is None else cnf.key
    certificate = None if cnf is None else cnf.certificate
    wanted = {demanded, demands.agents.get(caller.principal.agent)}
    if "dpop" in wanted and key is None:
        raise UnprovenError("token is not bound to a key, as is demanded", "invalid_token")
    if "mtls" in wanted and certificate is None:
        reason = "token is not bound to a certificate, as is demanded"
        raise UnprovenError(reason, "invalid_token")
    shown = None if exchange.certificate is None else exchange.certificate.digest
    if certificate is not None and certificate != shown:
        raise UnprovenError("token is bound to another certificate", "invalid_token")
    return None if key is None else _proof(exchange, key, resource, now, demands)


def _proof(
    exchange: Exchange, key: str, resource: str, now: UnixTime, demands: Demands
) -> Proof:
    shown = exchange.header(b"dpop")
    if shown is None:
        raise UnprovenError("proof is missing", "invalid_dpop_proof")
    token = (exchange.header(b"authorization") or b"").partition(b" ")[2].strip(b" ")
    try:
        proof = verify_proof(
            shown,
            method=exchange.method,
            address=resource,
            now=now,
            token=token,
            is_fresh=partial(demands.nonces.knows, now=now)
            if demands.wants_nonce
            else None,
        )
    except StaleNonceError as exc:
        nonce = demands.nonces.current(now)
        raise UnprovenError(str(exc), "use_dpop_nonce", nonce) from exc
    except InvalidProofError as exc:
        raise UnprovenError(str(exc), "invalid_dpop_proof") from exc
    if proof.key != key:
        raise UnprovenError("proof is by another key", "invalid_token")
    return proof


def once_of(proof: Proof) -> Once:
    """Give what is noted of a proof, so that it counts once."""
    return Once(proof.digest, proof.issued_at)


def require_first(once: Once | None) -> None:
    """Refuse what came with a proof that was shown before. Raises `UnprovenError`."""
    if once is not None and once.spent:
        raise UnprovenError("proof was shown before", "invalid_dpop_proof")


def require_content(proof: Proof | None, body: bytes) -> None:
    """Refuse a body that is not what its proof says. Raises `UnprovenError`."""
    if proof is None or proof.content is None:
        return
    if hashlib.sha256(body).digest() != proof.content:
        raise UnprovenError("proof is for another body", "invalid_dpop_proof")
