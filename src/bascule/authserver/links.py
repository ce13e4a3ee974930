"""`/link`: a user is about to connect an account of theirs at an upstream.

Who follows a link must be signed in as the very user for whom it was made: otherwise one
could make another's account answer one's own calls, or one's own answer theirs. What the
user is shown is what is asked for: an upstream that says something else by the time they
agree is shown once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bascule.authserver.link_problems import gone, unusable
from bascule.authserver.sealed import seal
from bascule.credentials.link_clients import LinkClients
from bascule.credentials.link_flow import Destination, LinkFlow
from bascule.credentials.link_target import DOCUMENT_PATH, Target
from bascule.lock.invisible import visible
from bascule.oauthclient.errors import OAuthClientError
from bascule.storage import link_requests, linked_accounts
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.link_requests import LinkRequest, digest
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import leave, render
from bascule.web.sessions import current_session, to_login
from bascule.web.site import site_of
from bascule.web.source import peer_of


@dataclass(frozen=True, slots=True)
class LinkPage:
    """`link.html`."""

    id: str
    user: str
    connector: str
    host: str
    resource: str
    issuer_host: str
    agent: str
    scopes: tuple[str, ...]
    """What is new; all of it where no account is connected."""
    held: tuple[str, ...]
    """What was agreed to before."""
    shown: str
    """Digest of what the page says, which comes back with the form."""
    changed: bool
    """The upstream says something else than when the user agreed."""


class Links:
    """The page `/link/{id}`, and the document that says which client Bascule is."""

    def __init__(
        self,
        flow: LinkFlow,
        clients: LinkClients,
        target: Callable[[str], Target | None],
    ) -> None:
        """`target`: a connector, if users have accounts of their own there."""
        self._flow = flow
        self._clients = clients
        self._target = target
        self.routes: list[Route] = [
            Route(DOCUMENT_PATH, self.document, methods=["GET"]),
            page("/link/{id}", self.show),
            page("/link/{id}", self.go, methods=("POST",)),
        ]

    async def document(self, _: Request) -> Response:
        """`GET /oauth/client-metadata.json`: which client Bascule is to other servers."""
        headers = {"Cache-Control": "public, max-age=3600"}
        return JSONResponse(self._clients.document(), headers=headers)

    async def show(self, request: Request) -> Response:
        """`GET /link/{id}`: what is about to be connected."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        asked, target = await self._find(request, session)
        there = await self._destination(request, asked, target)
        return _shown(request, session, asked, there)

    async def go(self, request: Request) -> Response:
        """`POST /link/{id}`: off to the authorization server."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        asked, target = await self._find(request, session)
        there = await self._destination(request, asked, target)
        if (await form_of(request)).get("shown") != _digest(there):
            return _shown(request, session, asked, there, changed=True)
        site = site_of(request)
        left = partial(link_requests.was_left, user=asked.user, connector=asked.connector)
        again = await site.store.look(left)
        try:
            url, begun = await self._flow.begin(there, session.number, again=again)
        except OAuthClientError as exc:
            raise unusable(asked, exc) from exc
        await site.records.event(
            "link.begin",
            peer=peer_of(request),
            user=asked.user,
            agent=asked.agent or None,
            connector=asked.connector,
            admin={"issuer": begun.pending.issuer, "scope": " ".join(begun.pending.scopes)},
        )
        state = begun.pending.state
        start = partial(
            link_requests.start,
            id_hash=asked.id_hash,
            state_hash=digest(state),
            flow=seal(begun.encode(), under=state, entropy=site.entropy),
            now=site.clock(),
        )
        if not await site.store.transact(start):
            raise gone()
        return leave(url, host=urlsplit(url).netloc)

    async def _find(
        self, request: Request, session: BrowserSession
    ) -> tuple[LinkRequest, Target]:
        """Give an open request of who is signed in. Raises `PageError`."""
        site = site_of(request)
        id_hash = digest(request.path_params["id"])
        find = partial(link_requests.find, id_hash=id_hash, now=site.clock())
        asked = await site.store.look(find)
        if asked is not None and asked.user != session.user:
            await site.records.event(
                "link.refuse",
                peer=peer_of(request),
                user=session.user,
                connector=asked.connector,
                admin={"for": asked.user, "reason": "it was made for another user"},
            )
            raise PageError(
                403,
                "This link is not for you",
                "It connects an account of somebody else. If you were sent it by somebody, "
                "tell the people who run this server. If it is yours, sign in as yourself.",
            )
        target = None if asked is None else self._target(asked.connector)
        if asked is None or target is None or asked.state not in {"open", "started"}:
            raise gone()
        return asked, target

    async def _destination(
        self, request: Request, asked: LinkRequest, target: Target
    ) -> Destination:
        """Find out where the user is to go. Raises `PageError`."""
        live = partial(linked_accounts.live, user=asked.user, connector=asked.connector)
        account = await site_of(request).store.look(live)
        try:
            return await self._flow.destination(target, wanted=asked.scope, account=account)
        except OAuthClientError as exc:
            raise unusable(asked, exc) from exc


def _shown(
    request: Request,
    session: BrowserSession,
    asked: LinkRequest,
    there: Destination,
    *,
    changed: bool = False,
) -> Response:
    """Show where the user is about to go, and for what."""
    new = tuple(it for it in there.scopes if it not in there.held)
    model = LinkPage(
        id=request.path_params["id"],
        user=visible(session.name),
        connector=asked.connector,
        host=urlsplit(there.target.url).netloc,
        resource=visible(there.resource),
        issuer_host=urlsplit(there.server.issuer).netloc,
        agent=visible(asked.agent),
        scopes=tuple(map(visible, new)),
        held=tuple(map(visible, there.held)),
        shown=_digest(there),
        changed=changed,
    )
    return render("link.html", model, status=409 if changed else 200)


def _digest(there: Destination) -> str:
    """Digest what a user agrees to: at which server, by whom, for which scopes."""
    said = (there.target.url, there.resource, there.server.issuer, there.scopes, there.held)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
