"""Signing in by an identity provider: there, and back again.

The state is good once, for ten minutes, in the browser that began, and at the address of
that provider alone; so no answer can be replayed, planted in somebody else's browser or
passed off as another provider's (RFC 9700 §4.4, §4.7).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bascule.authserver.accounts import HOME, browser_of, remember_browser
from bascule.authserver.begun_logins import Begun, begin_login, take_login, was_ended
from bascule.authserver.kept_logins import keep, kept_of
from bascule.authserver.provider_exchange import SignedIn
from bascule.authserver.provider_problems import PROBLEMS, page_of
from bascule.authserver.provisioned import as_provisioned, vouch
from bascule.authserver.server import AuthorizationServer
from bascule.config.providers import Provider
from bascule.identity.provider_claims import NotAdmittedError, require_admission
from bascule.oauthclient.authorization import read_response
from bascule.storage import provider_sessions
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.store import Transaction
from bascule.web.cookies import BROWSER, read_cookie
from bascule.web.local_path import local_path
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import leave, redirect
from bascule.web.sessions import begin_session
from bascule.web.site import site_of
from bascule.web.source import peer_of

log = logging.getLogger("bascule")


def lost() -> PageError:
    """Make the page for an answer that nobody waits for in this browser."""
    return PageError(
        400,
        "This login is over",
        "It took longer than ten minutes, was finished before, or was begun in another "
        "browser. Sign in again from the login page.",
    )


def callback_uri(public_url: str, name: str) -> str:
    """Give a provider's own redirect URI: none can answer for another."""
    return f"{public_url}/login/callback/{name}"


def leave_for(url: str) -> Response:
    """Send a browser to a provider from a form."""
    return leave(url, host=urlsplit(url).netloc)


@dataclass(frozen=True, slots=True)
class ProviderButton:
    """One provider on the login page."""

    label: str
    address: str


class ProviderLogins:
    """The pages below `/login/with` and `/login/callback`."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._exchange = server.exchange
        self.routes: list[Route] = [
            page("/login/with/{name}", self.begin),
            page("/login/callback/{name}", self.finish),
        ]

    async def begin(self, request: Request) -> Response:
        """`GET /login/with/NAME?next=PATH`: send the browser to the provider."""
        name = request.path_params["name"]
        browser, site = browser_of(request), site_of(request)
        try:
            url, pending = await self._exchange.begin(
                name, redirect_uri=callback_uri(site.url, name)
            )
        except PROBLEMS as exc:
            raise page_of(exc, name) from exc
        begin = partial(
            begin_login,
            name=name,
            browser=browser,
            next_=local_path(request.query_params.get("next")) or "",
            pending=pending,
            site=site,
        )
        await site.store.transact(begin)
        response = redirect(url)
        remember_browser(request, response, browser)
        return response

    async def finish(self, request: Request) -> Response:
        """`GET /login/callback/NAME`: the provider's answer."""
        name = request.path_params["name"]
        begun = await self._taken(request, name)
        pending = begun.pending
        provider: Provider | None = None
        found: SignedIn | None = None
        try:
            provider = self._exchange.providers.provider(name)
            code = read_response(request.url.query, pending)
            found = await self._exchange.finish(name, code, pending)
            person = await as_provisioned(self._server, found.who, found.person)
            found = replace(found, person=person)
            require_admission(found.person, provider)
        except PROBLEMS as exc:
            await self._refused(request, name, found, exc)
            raise page_of(exc, provider.label or name if provider else name) from exc
        return await self._welcome(request, found, begun)

    def buttons(self, next_: str) -> tuple[ProviderButton, ...]:
        """Give the providers as the login page shows them; `next_`: a path of this site."""
        query = f"?next={quote(next_, safe='')}" if next_ else ""
        return tuple(
            ProviderButton(provider.label or name, f"/login/with/{name}{query}")
            for name, provider in self._server.config().providers.items()
        )

    async def logout_url(
        self, request: Request, session: BrowserSession | None
    ) -> str | None:
        """Give where who signs out here is signed out at the provider; None for nowhere.

        A provider that does not answer keeps nobody from signing out here.
        """
        if session is None:
            return None
        site, name = site_of(request), session.name
        of_session = partial(provider_sessions.provider_of, number=session.number)
        provider = await site.store.look(of_session)
        if provider is None:
            return None
        kept = await site.store.look(
            partial(kept_of, self._server.vault, user=name, provider=provider)
        )
        try:
            return await self._exchange.logout_url(provider, kept, back=f"{site.url}/login")
        except PROBLEMS as exc:
            log.warning("no logout at `%s`: %s", ascii(provider), exc)
            return None

    async def _taken(self, request: Request, name: str) -> Begun:
        """Give the login that an answer is for; from now on it is no more."""
        site = site_of(request)
        state = request.query_params.get("state", "")
        browser = read_cookie(request, BROWSER)
        if browser is None or not state:
            raise lost()
        take = partial(
            take_login, name=name, browser=browser, state=state, now=site.clock()
        )
        begun = await site.store.transact(take)
        if begun is None:
            site.records.failed("login_state", peer=peer_of(request))
            raise lost()
        return begun

    async def _refused(
        self, request: Request, name: str, found: SignedIn | None, why: Exception
    ) -> None:
        """Write down why nobody came in, in words that repeat nothing of the provider's."""
        log.warning("login by `%s` failed: %s", ascii(name), why)
        await site_of(request).records.event(
            "login.refused",
            peer=peer_of(request),
            user=None if found is None else f"user:{found.who.name}",
            admin={"method": "provider", "provider": name, "reason": str(why)},
        )

    async def _welcome(self, request: Request, found: SignedIn, begun: Begun) -> Response:
        """Let somebody in."""
        site, who = site_of(request), found.who
        await site.records.event(
            "login",
            peer=peer_of(request),
            user=f"user:{who.name}",
            admin={"method": "provider", "provider": who.provider},
        )
        take_up = partial(
            vouch,
            config=self._server.config(),
            who=who,
            claimed=found.person.groups,
            now=site.clock(),
        )
        response = redirect(begun.next or HOME)
        try:
            if not await self._server.change(take_up) or not await begin_session(
                request,
                response,
                name=who.name,
                method="provider",
                also=partial(self._remember, found=found, begun=begun),
            ):
                raise NotAdmittedError("Your account is disabled here.")
        except NotAdmittedError as exc:
            await self._refused(request, who.provider, found, exc)
            raise page_of(exc, who.provider) from exc
        return response

    def _remember(
        self, conn: Transaction, number: int, *, found: SignedIn, begun: Begun
    ) -> None:
        """Keep what came of a login. Raises `NotAdmittedError` where it has ended."""
        if was_ended(conn, found, begun):
            raise NotAdmittedError("You were signed out in the meantime. Sign in again.")
        provider_sessions.remember(
            conn,
            number=number,
            user=found.who.name,
            provider=found.who.provider,
            sid=found.session,
        )
        keep(self._server.vault, conn, found)
