"""Tokens for agents that act by themselves (`client_credentials`, OAuth 2.1 §4.2)."""

from __future__ import annotations

from functools import partial

from bascule.authserver import issue
from bascule.authserver.clients import Client
from bascule.authserver.details import requested_details
from bascule.authserver.errors import InvalidGrantError, UnauthorizedClientError
from bascule.authserver.issue import TokenResponse, Wanted
from bascule.authserver.parameters import Parameters
from bascule.authserver.possession import require_possession
from bascule.authserver.scopes import requested_connector, requested_scopes
from bascule.authserver.server import AuthorizationServer


async def issue_to_agent(
    server: AuthorizationServer, client: Client, form: Parameters, *, peer: str
) -> TokenResponse:
    """Issue a token without a user. Raises `OAuthError`.

    Only to clients that the operator registered: who vouches for itself acts for users
    alone, who consent. There is no refresh token, since the client can ask anew.
    """
    if not client.agent.authenticates or client.agent.origin != "operator":
        raise UnauthorizedClientError("the client may not act without a user")
    config, scope = server.config(), form.get("scope")
    connector = requested_connector(config, form.resources, scope)
    require_possession(config, client, connector)
    scopes = requested_scopes(config, connector, scope)
    text = form.get("authorization_details")
    details = requested_details(config, connector, scopes, text)
    wanted = Wanted(client, None, connector, scopes, None, details)
    note = partial(issue.note, wanted=wanted, jti=issue.new_jti(), now=server.clock())
    noted = await server.store.transact_together(note)
    if noted is None:
        raise InvalidGrantError("the client is disabled")
    return await issue.give(server, wanted, noted, record="token.issue", peer=peer)
