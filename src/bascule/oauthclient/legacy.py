"""Servers of MCP 2025-03-26, which are their own authorization servers.

They have no resource metadata; their authorization server is the origin of their address,
with endpoints at fixed paths where it has no metadata. Only for servers that the operator
says are so old: anybody else's origin would decide where a user logs in.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.discovery import AuthorizationServer, authorization_server
from bascule.oauthclient.errors import ServerUnavailableError


async def legacy_authorization_server(url: str, policy: FetchPolicy) -> AuthorizationServer:
    """Give the authorization server of an old server: as it says, else as the default.

    MCP 2025-03-26, authorization §2.3.2 and §2.3.3. Raises `UnusableServerError` when what
    it says must not be used.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    try:
        return await authorization_server(origin, policy)
    except ServerUnavailableError:
        return _default(origin)


def _default(origin: str) -> AuthorizationServer:
    return AuthorizationServer(
        issuer=origin,
        authorization_endpoint=f"{origin}/authorize",
        token_endpoint=f"{origin}/token",
        registration_endpoint=f"{origin}/register",
        code_challenge_methods_supported=("S256",),
        token_endpoint_auth_methods_supported=("client_secret_basic", "none"),
    )
