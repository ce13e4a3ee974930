"""`POST /oauth/token`."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.agent_grant import issue_to_agent
from bascule.authserver.assertion_grant import GRANT_TYPE as ASSERTED
from bascule.authserver.assertion_grant import asserting_client, redeem_assertion
from bascule.authserver.clients import authenticate
from bascule.authserver.code_grant import redeem_code
from bascule.authserver.endpoint import json_response
from bascule.authserver.errors import UnsupportedGrantTypeError
from bascule.authserver.parameters import form_of
from bascule.authserver.possession import shown_possession
from bascule.authserver.refresh_grant import refresh
from bascule.authserver.server import AuthorizationServer
from bascule.web.source import peer_of

GRANT_TYPES = {
    "authorization_code": redeem_code,
    "refresh_token": refresh,
    "client_credentials": issue_to_agent,
    ASSERTED: redeem_assertion,
}


async def token(server: AuthorizationServer, request: Request) -> Response:
    """Give tokens for a grant (OAuth 2.1 §3.2). Raises `OAuthError`."""
    form = await form_of(request)
    redeem = GRANT_TYPES.get(form.require("grant_type"))
    if redeem is None:
        raise UnsupportedGrantTypeError("`grant_type` is none of this server's")
    asserted = redeem is redeem_assertion
    authenticated = asserting_client if asserted else authenticate
    client = await authenticated(server, request, form)
    client = replace(client, cnf=await shown_possession(server, request, client))
    given = await redeem(server, client, form, peer=peer_of(request))
    return json_response(given.document())
