"""Tokens for Bascule itself, for nobody (RFC 6749 §4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.token_endpoint import request_token
from bascule.oauthclient.tokens import Tokens, read_tokens


async def client_credentials(
    server: AuthorizationServer,
    client: Client,
    policy: FetchPolicy,
    *,
    resource: str | None,
    scopes: Sequence[str],
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Tokens:
    """Ask for a token for the client itself. Raises as `request_token` does."""
    form = {
        "grant_type": "client_credentials",
        "resource": resource,
        "scope": " ".join(scopes) or None,
    }
    answer = await request_token(
        server, client, form, policy, now=now, entropy=entropy, prover=prover
    )
    return read_tokens(answer, asked=scopes, now=now)
