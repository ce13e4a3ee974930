"""`/link`: a user connects an account of theirs at an upstream, and ends it again.

Who follows a link must be signed in as the very user for whom it was made: otherwise one
could make another's account answer one's own calls, or one's own answer theirs. The way
back is bound to the browser session that went.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bascule.authserver.sealed import seal, unseal
from bascule.credentials.link_clients import LinkClients, Secrets
from bascule.credentials.link_flow import Begun, Destination, LinkFlow, decode_begun
from bascule.credentials.link_target import CALLBACK_PATH, DOCUMENT_PATH, Target
from bascule.credentials.linking import link
from bascule.lock.invisible import visible
from bascule.oauthclient.authorization import (
    AuthorizationRefusedError,
    ForeignResponseError,
)
from bascule.oauthclient.errors import OAuthClientError
from bascule.oauthclient.tokens import Tokens
from bascule.storage import link_requests, linked_accounts
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.link_requests import LinkRequest, digest
from bascule.storage.linked_accounts import LinkedAccount
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import leave, redirect, render
from bascule.web.sessions import current_session, to_login
from bascule.web.site import site_of
from bascule.web.source import peer_of
from bascule.web.times import minute

log = logging.getLogger("bascule")

CONNECTIONS = "/account/connections"
REASON = "disconnected by the user"


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


@dataclass(frozen=True, slots=True)
class LinkedPage:
    """`linked.html`."""

    connector: str


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One account."""

    id: str
    connector: str
    issuer_host: str
    scopes: tuple[str, ...]
    since: str
    refreshed: str


@dataclass(frozen=True, slots=True)
class ConnectionsPage:
    """`connections.html`."""

    user: str
    connections: tuple[ConnectionRow, ...]


class Links:
    """The pages `/link/{id}`, `/link/callback` and `/account/connections`."""

    def __init__(
        self,
        flow: LinkFlow,
        clients: LinkClients,
        vault: Secrets,
        target: Callable[[str], Target | None],
    ) -> None:
        """`target`: a connector, if users have accounts of their own there."""
        self._flow = flow
        self._clients = clients
        self._vault = vault
        self._target = target
        self.routes: list[Route] = [
            Route(DOCUMENT_PATH, self.document, methods=["GET"]),
            page(CALLBACK_PATH, self.back),
            page("/link/{id}", self.show),
            page("/link/{id}", self.go, methods=("POST",)),
            page(CONNECTIONS, self.connections),
            page(f"{CONNECTIONS}/end", self.end, methods=("POST",)),
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
        model = LinkPage(
            id=request.path_params["id"],
            user=visible(session.name),
            connector=asked.connector,
            host=urlsplit(target.url).netloc,
            resource=visible(there.resource),
            issuer_host=urlsplit(there.server.issuer).netloc,
            agent=visible(asked.agent),
            scopes=tuple(map(visible, there.scopes)),
        )
        return render("link.html", model)

    async def go(self, request: Request) -> Response:
        """`POST /link/{id}`: off to the authorization server."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        asked, target = await self._find(request, session)
        there = await self._destination(request, asked, target)
        try:
            url, begun = await self._flow.begin(there, session.number)
        except OAuthClientError as exc:
            raise _unusable(asked, exc) from exc
        site = site_of(request)
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
            raise _gone()
        return leave(url, host=urlsplit(url).netloc)

    async def back(self, request: Request) -> Response:
        """`GET /link/callback`: back from the authorization server."""
        session = await current_session(request)
        if session is None:
            raise _foreign()
        site = site_of(request)
        state = request.query_params.get("state", "")
        take = partial(
            link_requests.take,
            state_hash=digest(state),
            user=session.user,
            now=site.clock(),
        )
        asked = await site.store.transact(take)
        if asked is None:
            raise _foreign()
        begun = _begun(asked, state)
        target = self._target(asked.connector)
        if begun is None or begun.session != session.number:
            await self._failed(request, asked, "another browser session came back")
            raise _foreign()
        if target is None or target.url != begun.url:
            await self._failed(request, asked, "the connector was changed meanwhile")
            raise _gone()
        tokens = await self._tokens(request, asked, begun, target)
        await site.records.event(
            "link",
            peer=peer_of(request),
            user=asked.user,
            agent=asked.agent or None,
            connector=asked.connector,
            admin={"issuer": begun.server.issuer, "scope": " ".join(tokens.scope)},
        )
        account_id = site.entropy(16).hex()
        keep = partial(link, vault=self._vault, request=asked, begun=begun, tokens=tokens)
        if not await site.store.transact(
            partial(keep, account_id=account_id, now=site.clock())
        ):
            raise _gone()
        return render("linked.html", LinkedPage(asked.connector))

    async def connections(self, request: Request) -> Response:
        """`GET /account/connections`."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        find = partial(linked_accounts.of_user, user=session.user)
        found = await site_of(request).store.look(find)
        rows = tuple(map(_row, found))
        return render("connections.html", ConnectionsPage(visible(session.name), rows))

    async def end(self, request: Request) -> Response:
        """`POST /account/connections/end`: field `connection`."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        site = site_of(request)
        wanted = (await form_of(request)).get("connection", "")
        account = await site.store.look(partial(linked_accounts.find, account_id=wanted))
        if account is None or account.user != session.user or account.ended_at is not None:
            raise PageError(
                404, "There is no such connection", "It may have ended already."
            )
        await site.records.event(
            "unlink",
            peer=peer_of(request),
            user=session.user,
            connector=account.connector,
            admin={"issuer": account.issuer, "reason": REASON},
        )
        end = partial(linked_accounts.end, account_id=account.id, reason=REASON)
        await site.store.transact(partial(end, now=site.clock()))
        return redirect(CONNECTIONS)

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
            raise _gone()
        return asked, target

    async def _destination(
        self, request: Request, asked: LinkRequest, target: Target
    ) -> Destination:
        """Find out where the user is to go. Raises `PageError`."""
        live = partial(linked_accounts.live, user=asked.user, connector=asked.connector)
        account = await site_of(request).store.look(live)
        is_same = account is not None and account.resource == target.url
        before = account.scope if account is not None and is_same else ()
        try:
            return await self._flow.destination(target, wanted=asked.scope, before=before)
        except OAuthClientError as exc:
            raise _unusable(asked, exc) from exc

    async def _tokens(
        self, request: Request, asked: LinkRequest, begun: Begun, target: Target
    ) -> Tokens:
        """Redeem what came back. Raises `PageError`, and shows nothing of a forgery."""
        try:
            return await self._flow.complete(begun, request.url.query, target.policy)
        except ForeignResponseError as exc:
            await self._failed(request, asked, str(exc))
            raise _foreign() from exc
        except AuthorizationRefusedError as exc:
            await self._failed(request, asked, str(exc))
            raise PageError(
                403,
                f"{asked.connector} was not connected",
                f"Its authorization server says `{exc.error}`. To try once more, make the "
                "same call again, or ask for a new link.",
            ) from exc
        except OAuthClientError as exc:
            await self._failed(request, asked, str(exc))
            raise _unusable(asked, exc) from exc

    async def _failed(self, request: Request, asked: LinkRequest, why: str) -> None:
        """Record why nothing came of a request, which is thereby over."""
        site = site_of(request)
        await site.records.event(
            "link.fail",
            peer=peer_of(request),
            user=asked.user,
            agent=asked.agent or None,
            connector=asked.connector,
            admin={"reason": why},
        )
        finish = partial(link_requests.finish, id_hash=asked.id_hash, linked=False)
        await site.store.transact(partial(finish, now=site.clock()))


def _begun(asked: LinkRequest, state: str) -> Begun | None:
    """Open what was kept while the user was away; only its `state` can."""
    kept = None if asked.flow is None else unseal(asked.flow, under=state)
    try:
        return None if kept is None else decode_begun(kept)
    except msgspec.DecodeError:  # of another version of this program
        return None


def _row(account: LinkedAccount) -> ConnectionRow:
    return ConnectionRow(
        id=account.id,
        connector=account.connector,
        issuer_host=urlsplit(account.issuer).netloc,
        scopes=tuple(map(visible, account.scope)),
        since=minute(account.linked_at),
        refreshed=minute(account.refreshed_at),
    )


def _gone() -> PageError:
    return PageError(
        410,
        "This link is over",
        "It was used, or is older than ten minutes. Make the same call again, or ask for a "
        "new link.",
    )


def _foreign() -> PageError:
    return PageError(
        400,
        "This is not what you have begun",
        "The answer does not belong to anything that was begun in this browser, so nothing "
        "was connected. If you did not just connect an account, somebody may have sent you "
        "here: tell the people who run this server.",
    )


def _unusable(asked: LinkRequest, problem: OAuthClientError) -> PageError:
    log.warning("connector `%s` cannot be linked: %s", asked.connector, problem)
    return PageError(
        502,
        f"{asked.connector} cannot be connected now",
        "Its server or its authorization server does not answer as it should. Try again "
        "later, or tell the people who run this server.",
    )
