"""Who calls, told to the host of stdio servers and to nobody else.

The host gives each user a process of their own where the configuration says so, and binds
sessions to who began them. It listens on a Unix socket that only this OS user can reach,
and believes these two headers; they are written here from the verified principal, never
taken from a client, and never sent to an upstream at a URL.
"""

from __future__ import annotations

from functools import lru_cache

from bascule.config.model import Connector
from bascule.decision.facts import Principal
from bascule.gateway.exchange import Exchange, Headers, header_block
from bascule.protocol import header_value

USER = b"bascule-user"
AGENT = b"bascule-agent"
ITSELF = "agent:"
"""Begins the user's name of an agent that acts by itself; no user's begins so."""


def identity_headers(connector: Connector, principal: Principal) -> Headers:
    """Give the headers for a hosted server; none for a server at a URL."""
    if connector.command is None:
        return b""
    return _written(principal.user, principal.agent)


@lru_cache(1024)
def _written(user: str | None, agent: str) -> Headers:
    name = f"{ITSELF}{agent}" if user is None else user
    return header_block(
        (b"Bascule-User", header_value.encode(name)),
        (b"Bascule-Agent", header_value.encode(agent)),
    )


def identity_of(exchange: Exchange) -> tuple[str, str] | None:
    """Read user and agent on the host's side; None when they are not said."""
    user, agent = exchange.header(USER), exchange.header(AGENT)
    if not user or not agent:
        return None
    try:
        return header_value.decode(user), header_value.decode(agent)
    except header_value.HeaderValueError:
        return None
