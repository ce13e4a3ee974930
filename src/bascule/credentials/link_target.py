"""What links users' accounts: connectors, and the addresses of Bascule as a client."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client

DOCUMENT_PATH = "/oauth/client-metadata.json"
"""Of the document that says which client Bascule is (Client ID Metadata Documents)."""
CALLBACK_PATH = "/link/callback"
"""Where authorization servers send users back to that know Bascule by hand, or by that
document."""


def callback_of(issuer: str) -> str:
    """Give where one sends them back to that has registered Bascule: nobody else does so.

    An answer that comes by another way is of another server. That tells them apart where
    their answers do not name them (mix-up, RFC 9700 §4.4.2.2).
    """
    return f"{CALLBACK_PATH}/{hashlib.sha256(issuer.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A connector whose upstream each user uses as themselves."""

    connector: str
    url: str
    policy: FetchPolicy
    """What may be fetched that the upstream names."""
    scopes: tuple[str, ...] = ()
    """Wanted by the operator beside what the upstream asks for."""
    issuer: str | None = None
    """The only authorization server to use; None for the one that the upstream names."""
    legacy: bool = False
    """Its own origin is that server, as in MCP 2025-03-26."""
    dpop: bool = False
    """Tokens are bound to a key, also where the upstream does not say that it wants it."""
    client: Client | None = None
    """As which client Bascule is registered there by hand; None to find one."""
