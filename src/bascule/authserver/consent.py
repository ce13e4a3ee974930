"""`/consent`: a user decides what a client gets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.asker import (
    Asker,
    published_asker,
    registered_asker,
    require_redirect,
)
from bascule.authserver.codes import give_code
from bascule.authserver.details import asked_in_words
from bascule.authserver.errors import AccessDeniedError
from bascule.authserver.redirects import back_with_code, back_with_error
from bascule.authserver.sealed import unseal
from bascule.authserver.server import AuthorizationServer, digest_of
from bascule.authserver.words import ceiling_in_words
from bascule.config.addresses import web_address
from bascule.identity.redirect_uri import is_local
from bascule.storage import authorization_requests, codes
from bascule.storage.authorization_requests import AuthorizationRequest, Found
from bascule.storage.browser_sessions import BrowserSession
from bascule.web.forms import form_of
from bascule.web.headers import form_target
from bascule.web.problem import PageError
from bascule.web.render import render
from bascule.web.sessions import current_session, to_login
from bascule.web.source import peer_of


def gone() -> PageError:
    """Make the page for a request that is not there for this browser."""
    return PageError(
        404,
        "There is nothing to decide",
        "The request has expired, or is of another browser. Start again from the app.",
    )


def answered() -> PageError:
    """Make the page for a request that was decided before."""
    return PageError(
        409,
        "This was decided already",
        "The app has its answer, and you can close this page. To change your mind, start "
        "again from the app.",
    )


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """`consent.html`."""

    request: str
    user: str
    connector: str
    who: str
    """Who asks, as far as somebody vouches for it."""
    client_name: str
    """What the client calls itself."""
    client_id: str
    client_host: str | None
    """The host that vouches for the client's id; None when none does."""
    self_registered: bool
    verified: bool
    redirect_host: str
    redirect_is_local: bool
    scopes: tuple[str, ...]
    """What is asked for, in words."""
    ceiling: tuple[str, ...]
    """What the operator lets the client do at most, in words; empty for nothing."""


async def consent(server: AuthorizationServer, request: Request) -> Response:
    """`GET` shows what is asked, `POST` decides. Raises `PageError`."""
    session = await current_session(request)
    if session is None:
        return to_login(request)
    if request.method == "POST":
        fields = await form_of(request)
        name, decision = fields.get("request", ""), fields.get("decision")
        found = await _find(server, name, session)
        if decision == "allow":
            return await _allow(server, request, name, found, session)
        if decision == "deny":
            return await _deny(server, request, name, found)
        raise PageError(400, "The form is incomplete", "Go back and choose again.")
    name = request.query_params.get("request", "")
    found = await _find(server, name, session)
    if found.decision is not None:
        raise answered()
    asker = await _asker(server, found.request)
    return _page(server, name, found.request, asker)


async def _find(server: AuthorizationServer, name: str, session: BrowserSession) -> Found:
    """Give a request of this very browser session. Raises `PageError`."""
    find = partial(
        authorization_requests.find,
        id_hash=digest_of(name),
        session=session.number,
        now=server.clock(),
    )
    found = await server.store.look(find)
    if found is None or found.request.user != session.user:
        raise gone()
    return found


async def _asker(server: AuthorizationServer, asked: AuthorizationRequest) -> Asker:
    """Look the client up again: it may have been disabled, or say something else by now."""
    asker = await registered_asker(server, asked.client_id)
    if asker is None:
        asker = await published_asker(server, asked.client_id)
    require_redirect(asker, asked.redirect_uri)
    if asked.connector not in server.config().connectors:
        raise gone()
    return asker


def _page(
    server: AuthorizationServer, name: str, asked: AuthorizationRequest, asker: Asker
) -> Response:
    config = server.config()
    place = web_address(asked.redirect_uri)
    address = web_address(asked.client_id) if asker.published is not None else None
    known = asked.client_id if address is None else str(address.hostname)
    page = ConsentPage(
        request=name,
        user=asked.user.removeprefix("user:"),
        connector=asked.connector,
        who="an unknown app" if asker.self_registered else known,
        client_name=asker.name or asked.client_id,
        client_id=asked.client_id,
        client_host=None if address is None else address.hostname,
        self_registered=asker.self_registered,
        verified=asker.verified(asked.redirect_uri),
        redirect_host="" if place is None else place.netloc,
        redirect_is_local=is_local(asked.redirect_uri),
        scopes=asked_in_words(config, asked.connector, asked.scope, asked.details),
        ceiling=ceiling_in_words(config, asked.connector, asked.client_id),
    )
    return render("consent.html", page, form_targets=[form_target(asked.redirect_uri)])


async def _allow(
    server: AuthorizationServer,
    request: Request,
    name: str,
    found: Found,
    session: BrowserSession,
) -> Response:
    """Give the client its code; the same one when the form comes twice."""
    asked = found.request
    code = ""
    if found.decision is None:
        asker = await _asker(server, asked)
        peer = peer_of(request)
        code = await give_code(
            server, asker, asked, session=session, peer=peer, decided=name
        )
        if not code:
            found = await _find(server, name, session)
    if not code:
        code = await _code_of(server, name, found)
    return back_with_code(
        server, request, redirect_uri=asked.redirect_uri, state=asked.state, code=code
    )


async def _code_of(server: AuthorizationServer, name: str, found: Found) -> str:
    """Give the code of a request that was allowed, while it is good. Raises `PageError`."""
    if found.decision != "allow" or found.sealed_code is None:
        raise answered()
    code = unseal(found.sealed_code, under=name)
    if code is None:
        raise answered()
    usable = partial(codes.is_usable, code_hash=digest_of(code), now=server.clock())
    if not await server.store.look(usable):
        raise answered()
    return code


async def _deny(
    server: AuthorizationServer, request: Request, name: str, found: Found
) -> Response:
    asked = found.request
    if found.decision is None:
        await server.records.event(
            "consent.deny",
            peer=peer_of(request),
            user=asked.user,
            agent=asked.client_id,
            connector=asked.connector,
            admin={"scope": asked.scope, "redirect_uri": asked.redirect_uri},
        )
        decide = partial(authorization_requests.decide, id_hash=digest_of(name))
        won = await server.store.transact(
            partial(decide, decision="deny", sealed_code=None)
        )
        if not won:
            raise answered()
    elif found.decision != "deny":
        raise answered()
    return back_with_error(
        server,
        request,
        redirect_uri=asked.redirect_uri,
        state=asked.state,
        problem=AccessDeniedError("the user has refused"),
    )
