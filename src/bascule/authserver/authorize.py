"""`GET /oauth/authorize` (OAuth 2.1 §4.1.1).

A wrong client or redirect URI is told to the user; everything else to the client. Nothing
is kept and nothing is fetched for who is not signed in, who is sent to no client that
registered itself.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.asker import (
    Asker,
    published_asker,
    registered_asker,
    require_redirect,
    unknown_client,
)
from bascule.authserver.codes import give_code
from bascule.authserver.details import requested_details
from bascule.authserver.errors import (
    InvalidRequestError,
    OAuthError,
    RequestNotSupportedError,
    RequestUriNotSupportedError,
    UnsupportedResponseTypeError,
)
from bascule.authserver.parameters import Parameters, query_of
from bascule.authserver.pkce import METHOD, is_challenge
from bascule.authserver.redirects import back_with_code, back_with_error
from bascule.authserver.scopes import requested_connector, requested_scopes
from bascule.authserver.server import AuthorizationServer, digest_of
from bascule.storage import authorization_requests, consents
from bascule.storage.authorization_requests import AuthorizationRequest
from bascule.storage.browser_sessions import BrowserSession
from bascule.web.problem import PageError
from bascule.web.render import redirect
from bascule.web.sessions import current_session, to_login
from bascule.web.source import peer_of

MAX_STATE_CHARACTERS = 2048


async def authorize(server: AuthorizationServer, request: Request) -> Response:
    """Check what a client asks, and lead the user to the decision. Raises `PageError`."""
    try:
        query = query_of(request)
    except InvalidRequestError as exc:
        raise PageError(400, "This link is broken", f"{exc.description}.") from exc
    client_id = query.get("client_id")
    if client_id is None:
        raise unknown_client()
    session = await current_session(request)
    asker = await registered_asker(server, client_id)
    if asker is None:
        if session is None:
            return to_login(request)
        asker = await published_asker(server, client_id)
    redirect_uri = require_redirect(asker, query.get("redirect_uri"))
    if session is None and asker.self_registered:
        # Or anybody could make links to here that lead anywhere (RFC 9700 §4.11.2).
        return to_login(request)
    try:
        user = None if session is None else session.user
        asked = _checked(server, asker, query, redirect_uri, user)
    except OAuthError as exc:
        state = _state(query)
        return back_with_error(
            server, request, redirect_uri=redirect_uri, state=state, problem=exc
        )
    if session is None:
        return to_login(request)
    wants_page = not {"consent", "login"}.isdisjoint((query.get("prompt") or "").split())
    if not wants_page and await _remembered(server, asker, asked):
        code = await give_code(server, asker, asked, session=session, peer=peer_of(request))
        return back_with_code(
            server, request, redirect_uri=redirect_uri, state=asked.state, code=code
        )
    return await _ask_user(server, asked, session)


def _state(query: Parameters) -> str | None:
    state = query.get("state")
    return None if state is None else state[:MAX_STATE_CHARACTERS]


def _checked(
    server: AuthorizationServer,
    asker: Asker,
    query: Parameters,
    redirect_uri: str,
    user: str | None,
) -> AuthorizationRequest:
    """Check all that the client is told about. Raises `OAuthError`."""
    if query.get("request") is not None:
        raise RequestNotSupportedError("`request` is not read here")
    if query.get("request_uri") is not None:
        raise RequestUriNotSupportedError("`request_uri` is not fetched here")
    if query.require("response_type") != "code":
        raise UnsupportedResponseTypeError("`response_type` must be code")
    if query.get("response_mode") not in {None, "query"}:
        raise InvalidRequestError("`response_mode` must be query")
    if len(query.get("state") or "") > MAX_STATE_CHARACTERS:
        raise InvalidRequestError("`state` is too long")
    if query.get("code_challenge_method") != METHOD:
        raise InvalidRequestError(f"`code_challenge_method` must be {METHOD}")
    challenge = query.require("code_challenge")
    if not is_challenge(challenge):
        raise InvalidRequestError("`code_challenge` is no SHA-256 digest in base64url")
    config, scope = server.config(), query.get("scope")
    connector = requested_connector(config, query.resources, scope)
    scopes = requested_scopes(config, connector, scope)
    text = query.get("authorization_details")
    details = requested_details(config, connector, scopes, text)
    return AuthorizationRequest(
        user=user or "",
        client_id=asker.client_id,
        redirect_uri=redirect_uri,
        state=query.get("state"),
        code_challenge=challenge,
        connector=connector,
        scope=" ".join(sorted(scopes)),
        details=details,
        dpop_jkt=_dpop_jkt(query),
    )


def _dpop_jkt(query: Parameters) -> str | None:
    """Give the thumbprint of the key that the code is to be bound to (RFC 9449 §10)."""
    found = query.get("dpop_jkt")
    if found is not None and not is_challenge(found):
        raise InvalidRequestError("`dpop_jkt` is no SHA-256 digest in base64url")
    return found


async def _remembered(
    server: AuthorizationServer, asker: Asker, asked: AuthorizationRequest
) -> bool:
    """Tell whether this user need not be asked again: of verified clients alone.

    Never for single calls: what is remembered is scopes.
    """
    if asked.details is not None or not asker.verified(asked.redirect_uri):
        return False
    covers = partial(
        consents.covers,
        user=asked.user,
        client_id=asked.client_id,
        redirect_uri=asked.redirect_uri,
        connector=asked.connector,
        scope=asked.scope,
        now=server.clock(),
    )
    return await server.store.look(covers)


async def _ask_user(
    server: AuthorizationServer, asked: AuthorizationRequest, session: BrowserSession
) -> Response:
    name = server.new_secret("")
    keep = partial(
        authorization_requests.add,
        request=asked,
        id_hash=digest_of(name),
        session=session.number,
        now=server.clock(),
    )
    await server.store.transact(keep)
    return redirect(f"/consent?request={name}")
