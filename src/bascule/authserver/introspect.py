"""`POST /oauth/introspect` (RFC 7662)."""

from __future__ import annotations

import asyncio
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.clients import LEEWAY_SECONDS, Client, authenticate
from bascule.authserver.endpoint import json_response
from bascule.authserver.errors import InvalidClientError
from bascule.authserver.issue import token_type
from bascule.authserver.parameters import form_of
from bascule.authserver.server import AuthorizationServer, digest_of
from bascule.identity.access_token import (
    AccessToken,
    InvalidTokenError,
    claimed_audience,
    verify,
)
from bascule.identity.authorization_details import Details, document
from bascule.identity.confirmation import Confirmation
from bascule.identity.resource import connector_of, resource_identifier
from bascule.storage import directory, refresh_tokens

INACTIVE: dict[str, object] = {"active": False}


async def introspect(server: AuthorizationServer, request: Request) -> Response:
    """Tell a client about a token of its own. Raises `OAuthError`.

    The client must authenticate, or anybody could ask whether a text is a token (§4). Of
    tokens of other clients, or for other servers, it learns no more than of nonsense.
    """
    form = await form_of(request)
    client = await authenticate(server, request, form)
    if not client.agent.authenticates:
        raise InvalidClientError("a public client cannot introspect")
    token = form.require("token")
    found = await _refresh_token(server, client, token)
    return json_response(found or await _access_token(server, client, token))


async def _refresh_token(
    server: AuthorizationServer, client: Client, token: str
) -> dict[str, object] | None:
    ask = partial(
        refresh_tokens.current,
        token_hash=digest_of(token),
        client_id=client.client_id,
        now=server.clock(),
    )
    current = await server.store.look(ask)
    if current is None:
        return None
    grant, expires_at = current
    return {
        "active": True,
        "scope": grant.scope,
        "client_id": grant.client_id,
        "sub": grant.user.removeprefix("user:"),
        "iss": server.issuer,
        "exp": expires_at,
        **_cnf(grant.cnf),
        **_details(grant.details, resource_identifier(server.issuer, grant.connector)),
    }


async def _access_token(
    server: AuthorizationServer, client: Client, token: str
) -> dict[str, object]:
    found = await token_in_force(server, client, token)
    if found is None:
        return INACTIVE
    claims, connector = found
    subject = claims.user or claims.agent
    resource = resource_identifier(server.issuer, connector)
    return {
        "active": True,
        "scope": " ".join(sorted(claims.scopes)),
        "client_id": claims.agent,
        "sub": subject.removeprefix("user:"),
        "aud": resource,
        "iss": server.issuer,
        "exp": claims.expires_at,
        "iat": claims.issued_at,
        "jti": claims.jti,
        "token_type": token_type(claims.cnf),
        **_cnf(claims.cnf),
        **_details(claims.details, resource),
    }


def _cnf(cnf: Confirmation | None) -> dict[str, object]:
    """Say what a token is bound to (RFC 9449 §6.2, RFC 8705 §3.2)."""
    return {} if cnf is None else {"cnf": cnf.document()}


def _details(details: Details | None, resource: str) -> dict[str, object]:
    """Say what a token is for (RFC 9396 §9.2)."""
    if details is None:
        return {}
    return {"authorization_details": document(details, resource)}


async def token_in_force(
    server: AuthorizationServer, client: Client, token: str
) -> tuple[AccessToken, str] | None:
    """Give the claims and the connector of an access token of that client, else None.

    Not of one that has expired, was revoked, or is for a connector that is gone.
    """
    shown = token.encode()
    connector = connector_of(server.issuer, claimed_audience(shown) or "")
    if connector is None or connector not in server.config().connectors:
        return None
    try:
        claims = verify(
            shown,
            keys=await asyncio.to_thread(server.keys),
            issuer=server.issuer,
            resource=resource_identifier(server.issuer, connector),
            now=server.clock(),
            leeway=LEEWAY_SECONDS,
        )
    except InvalidTokenError:
        return None
    known = await server.store.look(directory.load)
    if claims.agent != client.client_id or known.subject(claims, connector) is None:
        return None
    return claims, connector
