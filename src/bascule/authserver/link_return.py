"""`/link/callback`: a user is back from the authorization server of an upstream.

The way back is bound to the browser session that went, and counts once. Nothing is looked
at, let alone shown, of an answer that is not the one to the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.link_problems import foreign, gone, refused, unusable
from bascule.authserver.sealed import unseal
from bascule.credentials.link_clients import Secrets
from bascule.credentials.link_flow import Begun, LinkFlow, decode_begun
from bascule.credentials.link_target import CALLBACK_PATH, Target
from bascule.credentials.linking import link
from bascule.oauthclient.authorization import (
    AuthorizationRefusedError,
    ForeignResponseError,
)
from bascule.oauthclient.errors import OAuthClientError
from bascule.oauthclient.tokens import Tokens
from bascule.storage import link_requests
from bascule.storage.link_requests import LinkRequest, digest
from bascule.web.page import page
from bascule.web.render import render
from bascule.web.sessions import current_session
from bascule.web.site import site_of
from bascule.web.source import peer_of


@dataclass(frozen=True, slots=True)
class LinkedPage:
    """`linked.html`."""

    connector: str


class LinkReturn:
    """The page `/link/callback`, and those below it, one for each issuer."""

    def __init__(
        self, flow: LinkFlow, vault: Secrets, target: Callable[[str], Target | None]
    ) -> None:
        """`target`: a connector, if users have accounts of their own there."""
        self._flow = flow
        self._vault = vault
        self._target = target
        ways = (CALLBACK_PATH, f"{CALLBACK_PATH}/{{issuer}}")
        self.routes = [page(way, self.back) for way in ways]

    async def back(self, request: Request) -> Response:
        """`GET /link/callback`: back from the authorization server."""
        session = await current_session(request)
        if session is None:
            raise foreign()
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
            raise foreign()
        begun = _begun(asked, state)
        target = self._target(asked.connector)
        if begun is None or begun.session != session.number:
            await self._failed(request, asked, "another browser session came back")
            raise foreign()
        if urlsplit(begun.pending.redirect_uri).path != request.url.path:
            await self._failed(request, asked, "the answer came by another server's way")
            raise foreign()
        if target is None or target.url != begun.url:
            await self._failed(request, asked, "the connector was changed meanwhile")
            raise gone()
        tokens = await self._tokens(request, asked, begun, target)
        if not await self._kept(request, asked, begun, target, tokens):
            await self._failed(request, asked, "it was over before its tokens came")
            raise gone()
        return render("linked.html", LinkedPage(asked.connector))

    async def _kept(
        self,
        request: Request,
        asked: LinkRequest,
        begun: Begun,
        target: Target,
        tokens: Tokens,
    ) -> bool:
        """Record and keep an account; give its tokens back where that does not come about.

        False when the request is over meanwhile: its user was revoked, say.
        """
        site, kept = site_of(request), False
        try:
            await site.records.event(
                "link",
                peer=peer_of(request),
                user=asked.user,
                agent=asked.agent or None,
                connector=asked.connector,
                admin={"issuer": begun.server.issuer, "scope": " ".join(tokens.scope)},
            )
            keep = partial(
                link,
                vault=self._vault,
                request=asked,
                begun=begun,
                tokens=tokens,
                account_id=site.entropy(16).hex(),
                now=site.clock(),
            )
            kept = await site.store.transact(keep)
            return kept
        finally:
            if not kept:
                await self._flow.give_back(begun, tokens, target)

    async def _tokens(
        self, request: Request, asked: LinkRequest, begun: Begun, target: Target
    ) -> Tokens:
        """Redeem what came back. Raises `PageError`, and shows nothing of a forgery."""
        try:
            return await self._flow.complete(begun, request.url.query, target)
        except ForeignResponseError as exc:
            await self._failed(request, asked, str(exc))
            raise foreign() from exc
        except AuthorizationRefusedError as exc:
            await self._failed(request, asked, str(exc))
            raise refused(asked, exc.error) from exc
        except OAuthClientError as exc:
            await self._failed(request, asked, str(exc))
            raise unusable(asked, exc) from exc

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
