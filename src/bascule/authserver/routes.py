"""All routes of the authorization server."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from bascule.authserver.authorize import authorize
from bascule.authserver.consent import consent
from bascule.authserver.endpoint import endpoint
from bascule.authserver.introspect import introspect
from bascule.authserver.metadata import oauth_metadata, openid_metadata
from bascule.authserver.register import Turnstile, register
from bascule.authserver.revoke import revoke
from bascule.authserver.server import AuthorizationServer
from bascule.authserver.token import token
from bascule.web.page import page

WELL_KNOWN = "/.well-known"


def routes(server: AuthorizationServer) -> list[Route]:
    """Give the routes; their pages need `app.state.site`."""
    return [
        endpoint(
            f"{WELL_KNOWN}/oauth-authorization-server", oauth_metadata, server, method="GET"
        ),
        endpoint(
            f"{WELL_KNOWN}/openid-configuration", openid_metadata, server, method="GET"
        ),
        page("/oauth/authorize", partial(authorize, server)),
        page("/consent", partial(consent, server), methods=("GET", "POST")),
        endpoint("/oauth/token", token, server),
        endpoint("/oauth/register", partial(register, Turnstile()), server),
        endpoint("/oauth/revoke", revoke, server),
        endpoint("/oauth/introspect", introspect, server),
    ]
