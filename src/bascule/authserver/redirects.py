"""Answers of the authorization endpoint: back to the client, by the browser."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.errors import OAuthError
from bascule.authserver.server import AuthorizationServer
from bascule.web.render import leave, redirect


def back_with_code(
    server: AuthorizationServer,
    request: Request,
    *,
    redirect_uri: str,
    state: str | None,
    code: str,
) -> Response:
    """Give the client its code (OAuth 2.1 §4.1.2)."""
    return _back(server, request, redirect_uri, {"code": code, "state": state})


def back_with_error(
    server: AuthorizationServer,
    request: Request,
    *,
    redirect_uri: str,
    state: str | None,
    problem: OAuthError,
) -> Response:
    """Tell the client why it gets none (OAuth 2.1 §4.1.2.1)."""
    told = {
        "error": problem.error,
        "error_description": problem.description,
        "state": state,
    }
    return _back(server, request, redirect_uri, told)


def _back(
    server: AuthorizationServer,
    request: Request,
    redirect_uri: str,
    answer: dict[str, str | None],
) -> Response:
    """Send the browser to a redirect URI that was checked.

    `iss` lets the client tell this server's answers from another's (RFC 9207). When the
    browser came here from a page of ours, that page's `form-action` would stop a redirect
    to elsewhere, unless it is the consent page, which names the place.
    """
    given = {name: value for name, value in answer.items() if value is not None}
    query = urlencode({**given, "iss": server.issuer})
    parts = urlsplit(redirect_uri)
    url = parts._replace(query=f"{parts.query}&{query}" if parts.query else query).geturl()
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "same-origin":
        return leave(url, host=parts.hostname or "")
    return redirect(url)
