"""Before a token can be asked for: who gives it, who asks, and for what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.challenge import Challenge
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import (
    AuthorizationServer,
    ProtectedResource,
    authorization_server,
    protected_resource,
)
from bascule.oauthclient.errors import UnusableServerError
from bascule.oauthclient.legacy import legacy_authorization_server
from bascule.oauthclient.registration import register
from bascule.oauthclient.scopes import select_scopes


class KnownClients(Protocol):
    """Who Bascule is, by issuer: as configured, or as registered before."""

    async def get(self, issuer: str) -> Client | None:
        """Give the client of that issuer, and of no other."""
        ...

    async def keep(self, client: Client) -> None:
        """Keep a client that was just registered, under its issuer."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an authorization, or a request for a token, begins with."""

    server: AuthorizationServer
    client: Client
    resource: str
    """For `resource` in every request (RFC 8707)."""
    scopes: tuple[str, ...]


async def prepare(
    url: str,
    challenge: Challenge | None,
    policy: FetchPolicy,
    *,
    clients: KnownClients,
    document: Client | None = None,
    metadata: Mapping[str, object] | None = None,
    issuer: str | None = None,
    before: Iterable[str] = (),
    legacy: bool = False,
) -> Prepared:
    """Find out how to get a token for the MCP server at `url` that turned us away.

    `issuer`: the authorization server that the operator allows; without it the first that
    the resource names. `document`, `metadata`: see `choose_client`. `before`: scopes asked
    for earlier. `legacy`: the server may be of MCP 2025-03-26, without metadata. Raises as
    `protected_resource`, `authorization_server` and `register` do.
    """
    resource, server = await find_server(
        url, challenge, policy, issuer=issuer, legacy=legacy
    )
    client = await choose_client(
        server, policy, clients=clients, document=document, metadata=metadata
    )
    scopes = select_scopes(challenge, resource, server, before=before)
    named = url if resource is None else resource.resource
    return Prepared(server, client, named, scopes)


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


async def choose_client(
    server: AuthorizationServer,
    policy: FetchPolicy,
    *,
    clients: KnownClients,
    document: Client | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Client:
    """Choose who Bascule is at a server: known there, else by document, else registered.

    `document`: the client whose id is the address of its document. `metadata`: with what to
    register; None never does. A client of another issuer is never used: after a change of
    the server there is a new one. Raises as `register` does.
    """
    known = await clients.get(server.issuer)
    if known is not None:
        known.require_issuer(server)
        return known
    if document is not None and server.client_id_metadata_document_supported:
        return document
    if metadata is None:
        raise UnusableServerError(
            "the authorization server does not know Bascule: configure its `client_id`"
        )
    client = await register(server, dict(metadata), policy)
    await clients.keep(client)
    return client
