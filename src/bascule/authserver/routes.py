"""All routes of the authorization server."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from bascule.authserver.apps import APPS, apps, end_app
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
PREFIXES = ("/oauth", "")
"""Authorize, token and register stand at the root too: there clients look that have not
read the metadata, by the rules of MCP 2025-03-26 or because they have just been started
with a refresh token that they kept."""


def routes(server: AuthorizationServer) -> list[Route]:
    """Give the routes; their pages need `app.state.site`."""
    turnstile = Turnstile()
    found = [
        endpoint(
            f"{WELL_KNOWN}/oauth-authorization-server", oauth_metadata, server, method="GET"
        ),
        endpoint(
            f"{WELL_KNOWN}/openid-configuration", openid_metadata, server, method="GET"
        ),
        page("/consent", partial(consent, server), methods=("GET", "POST")),
        page(APPS, partial(apps, server)),
        page(f"{APPS}/end", partial(end_app, server), methods=("POST",)),
        endpoint("/oauth/revoke", revoke, server),
        endpoint("/oauth/introspect", introspect, server),
    ]
    for prefix in PREFIXES:
        found += [
            page(f"{prefix}/authorize", partial(authorize, server)),
            endpoint(f"{prefix}/token", token, server),
            endpoint(f"{prefix}/register", partial(register, turnstile), server),
        ]
    return found
