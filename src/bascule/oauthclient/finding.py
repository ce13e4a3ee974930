"""Who gives tokens for an MCP server: as it says itself, as far as the operator allows."""

from __future__ import annotations

from urllib.parse import urlsplit

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.challenge import Challenge
from bascule.oauthclient.discovery import (
    AuthorizationServer,
    ProtectedResource,
    authorization_server,
    protected_resource,
)
from bascule.oauthclient.errors import UnusableServerError
from bascule.oauthclient.legacy import legacy_authorization_server


async def find_server(
    url: str,
    challenge: Challenge | None,
    policy: FetchPolicy,
    *,
    issuer: str | None = None,
    legacy: bool = False,
) -> tuple[ProtectedResource | None, AuthorizationServer]:
    """Give what the resource says of itself, and its authorization server.

    Where the resource says nothing the server is the configured `issuer`, else, with
    `legacy`, its own origin. Raises `UnusableServerError` when the resource does not name
    the configured one: its tokens are for others.
    """
    resource = await protected_resource(url, challenge, policy)
    if resource is None and issuer is None:
        if legacy:
            return None, await legacy_authorization_server(url, policy)
        raise UnusableServerError(
            "the server does not say where its tokens come from: configure its `issuer`"
        )
    if resource is not None and issuer is not None and not _names(resource, issuer):
        raise UnusableServerError("the server does not name the configured `issuer`")
    wanted = issuer or (resource.authorization_servers[0] if resource is not None else "")
    return resource, await authorization_server(wanted, policy)


def _names(resource: ProtectedResource, issuer: str) -> bool:
    """Tell whether a resource trusts an issuer, which is the operator's word.

    A host without a path may have a slash that its metadata has not: the same place (RFC
    3986 §6.2.3), which some servers cannot write otherwise.
    """
    wanted = {issuer} if urlsplit(issuer).path else {issuer, f"{issuer}/"}
    return not wanted.isdisjoint(resource.authorization_servers)
