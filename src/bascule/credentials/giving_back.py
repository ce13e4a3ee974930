"""Tokens that came too late to be of use are given back at once (RFC 7009)."""

from __future__ import annotations

import logging

from bascule.clock import Entropy, UnixTime
from bascule.credentials.link_target import Target
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import OAuthClientError
from bascule.oauthclient.revocation import revoke_grant
from bascule.oauthclient.tokens import Tokens

log = logging.getLogger("bascule")


async def give_back(
    target: Target,
    server: AuthorizationServer,
    client: Client,
    tokens: Tokens,
    *,
    now: UnixTime,
    entropy: Entropy,
) -> None:
    """Revoke tokens that nobody will use; once, since they are kept nowhere."""
    try:
        await revoke_grant(server, client, tokens, target.policy, now=now, entropy=entropy)
    except OAuthClientError as exc:
        log.warning(
            "connector `%s`: tokens that came too late were not revoked: %s",
            target.connector,
            exc,
        )
