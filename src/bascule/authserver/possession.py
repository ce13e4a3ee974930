"""What a client shows to hold beside its credentials, and what is bound to that."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request

from bascule.authserver.clients import Client
from bascule.authserver.errors import (
    InvalidDpopProofError,
    InvalidGrantError,
    InvalidRequestError,
    UseDpopNonceError,
)
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.identity.confirmation import Confirmation
from bascule.identity.dpop import (
    WINDOW_SECONDS,
    InvalidProofError,
    Proof,
    StaleNonceError,
    verify_proof,
)
from bascule.storage import grants, used_assertions
from bascule.storage.grants import Grant
from bascule.storage.store import Transaction
from bascule.web.source import certificate_of

KEEP_SECONDS = WINDOW_SECONDS + 60
"""How long after its `iat` a proof is remembered; clocks of replicas differ a little."""


async def shown_possession(
    server: AuthorizationServer, request: Request, client: Client
) -> Confirmation | None:
    """Give what tokens of this request are to be bound to; None: nothing.

    The key of a DPoP proof (RFC 9449 §5), else the client's certificate (RFC 8705 §3).

    Raises `InvalidDpopProofError`, also where a proof is missing that the operator demands
    of this agent, or that it said it always has; and `UseDpopNonceError`.
    """
    config, proofs = server.config(), request.headers.getlist("dpop")
    if len(proofs) > 1:
        raise InvalidDpopProofError("there is more than one proof")
    certificate = certificate_of(request)
    cnf = None if certificate is None else Confirmation(certificate=certificate.digest)
    if proofs:
        proof = _verified(server, request, proofs[0])
        use = partial(
            used_assertions.use,
            digest=proof.digest,
            expires_at=UnixTime(proof.issued_at + KEEP_SECONDS),
            now=server.clock(),
        )
        if not await server.store.transact_together(use):
            raise InvalidDpopProofError("the proof was shown before")
        cnf = Confirmation(key=proof.key)
    _require(config.agents.require.get(client.client_id), cnf)
    _require("dpop" if client.dpop_bound else None, cnf)
    return cnf


def _verified(server: AuthorizationServer, request: Request, proof: str) -> Proof:
    now, nonces = server.clock(), server.nonces
    is_fresh = partial(nonces.knows, now=now) if server.config().dpop.nonce else None
    try:
        return verify_proof(
            proof.encode(),
            method=request.method,
            address=f"{server.issuer}/oauth/token",
            now=now,
            is_fresh=is_fresh,
        )
    except StaleNonceError as exc:
        raise UseDpopNonceError(nonces.current(now)) from exc
    except InvalidProofError as exc:
        raise InvalidDpopProofError(str(exc)) from exc


def require_possession(config: Config, client: Client, connector: str) -> None:
    """Refuse a token that the connector would refuse, while it can still be had bound."""
    _require(config.connectors[connector].require, client.cnf)


def _require(demanded: str | None, cnf: Confirmation | None) -> None:
    if demanded == "dpop" and (cnf is None or cnf.key is None):
        raise InvalidDpopProofError("a DPoP proof is demanded here (RFC 9449)")
    if demanded == "mtls" and (cnf is None or cnf.certificate is None):
        raise InvalidRequestError("a client certificate is demanded here (RFC 8705)")


def bind_refresh_tokens(conn: Transaction, grant: Grant, client: Client) -> None:
    """Bind what comes of a code to what the client holds, if it is not known otherwise.

    The refresh tokens of a client that authenticates are its own already, and it may
    change its key (RFC 9449 §5). Raises `InvalidGrantError`, which undoes the transaction,
    for a code that is bound to somebody else's key (§10).
    """
    if grant.cnf is not None and grant.cnf != client.cnf:
        raise InvalidGrantError("`code` is for the holder of another key")
    cnf = None if client.agent.authenticates else client.cnf
    if cnf != grant.cnf:
        grants.bind(conn, grant.id, cnf)
