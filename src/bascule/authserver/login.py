"""Signing in and out.

An unknown name, a wrong password, a disabled user: one answer after the same work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bascule.authserver.accounts import (
    HOME,
    Accounts,
    PasskeyForm,
    browser_of,
    remember_browser,
)
from bascule.authserver.challenges import Challenge
from bascule.authserver.passkeys import PasskeyError, credential_of
from bascule.authserver.passwords import TooBusyError, is_outdated
from bascule.authserver.provider_login import ProviderButton, ProviderLogins, leave_for
from bascule.storage import login_failures, passkeys, passwords, users
from bascule.storage.passkeys import Passkey
from bascule.storage.store import Store
from bascule.web.forms import form_of
from bascule.web.local_path import local_path
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import begin_session, current_session, end_session
from bascule.web.site import Site, site_of
from bascule.web.source import peer_of, source_of

WRONG = "Name and password do not go together."
WRONG_PASSKEY = (
    "This passkey is not known here, or the page has waited too long. Try again."
)
SHOWN_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class LoginPage:
    """`login.html`."""

    name: str
    next: str
    problem: str
    signed_in: str
    """Who is signed in already, empty when nobody is."""
    passkey: PasskeyForm | None
    providers: tuple[ProviderButton, ...]
    """Identity providers by which somebody can sign in instead."""


class Login:
    """The pages `/login` and `/logout`."""

    def __init__(self, accounts: Accounts, logins: ProviderLogins) -> None:
        self._accounts = accounts
        self._logins = logins
        self.routes: list[Route] = [
            page("/login", self.show),
            page("/login", self.with_password, methods=("POST",)),
            page("/login/passkey", self.with_passkey, methods=("POST",)),
            page("/logout", self.out, methods=("POST",)),
        ]

    async def show(self, request: Request) -> Response:
        """`GET /login?next=PATH`."""
        return await self._form(request, request.query_params)

    async def with_password(self, request: Request) -> Response:
        """`POST /login`: fields `username`, `password`, `next`."""
        form = await form_of(request)
        name = form.get("username", "").strip().removeprefix("user:")
        try:
            with self._accounts.passwords.turn(source_of(request)):
                return await self._check_password(request, form, name)
        except TooBusyError as exc:
            raise PageError(
                503, "Too many logins at once", "Try again in a moment.", retry_after=2
            ) from exc

    async def _check_password(
        self, request: Request, form: Mapping[str, str], name: str
    ) -> Response:
        site = site_of(request)
        source = source_of(request)
        begin = partial(
            login_failures.begin_attempt, name=name, source=source, now=site.clock()
        )
        wait = await site.store.transact(begin)
        hash_ = await site.store.look(partial(passwords.hash_of, name=name))
        if wait:
            await self._failed(request, "login_wait", name)
            problem = f"Too many logins have failed. Try again in {wait} seconds."
            return await self._form(request, form, problem, status=429, retry_after=wait)
        password = form.get("password", "")
        if not await self._accounts.passwords.verify(password, hash_):
            await self._failed(request, "login_password", name)
            return await self._form(request, form, WRONG, status=403)
        if hash_ is not None and is_outdated(hash_):
            await self._renew_hash(site, name, password)
        return await self._welcome(request, form, name, source)

    async def _renew_hash(self, site: Site, name: str, password: str) -> None:
        """Keep a password under the parameters of today."""
        fresh = await self._accounts.passwords.hash(password)
        now = site.clock()
        await site.store.transact(
            partial(passwords.replace, name=name, hash_=fresh, now=now)
        )

    async def _welcome(
        self, request: Request, form: Mapping[str, str], name: str, source: str
    ) -> Response:
        site = site_of(request)
        await site.records.event(
            "login",
            peer=peer_of(request),
            user=f"user:{name}",
            admin={"method": "password"},
        )
        forget = partial(login_failures.succeeded, name=name, source=source)
        await site.store.transact(forget)
        response = redirect(_destination(form))
        if not await begin_session(request, response, name=name, method="password"):
            return await self._form(request, form, WRONG, status=403)
        return response

    async def with_passkey(self, request: Request) -> Response:
        """`POST /login/passkey`: fields `state`, `credential`, `next`."""
        site = site_of(request)
        form = await form_of(request)
        challenge = self._accounts.challenges.recognize(
            form.get("state", ""),
            "login",
            browser=browser_of(request),
            subject="",
            now=site.clock(),
        )
        try:
            if challenge is None:
                raise PasskeyError("the challenge is not good here")
            passkey, count = await asyncio.to_thread(
                self._check_passkey, site.store, form.get("credential", ""), challenge
            )
            return await self._welcome_passkey(request, form, challenge, passkey, count)
        except PasskeyError:
            await self._failed(request, "login_passkey", "")
            return await self._form(request, form, WRONG_PASSKEY, status=403)

    def _check_passkey(
        self, store: Store, answer: str, challenge: Challenge
    ) -> tuple[Passkey, int]:
        credential_id, user_handle = credential_of(answer)
        passkey = store.read(partial(passkeys.find, credential_id=credential_id))
        if passkey is None or passkey.user_handle != user_handle:
            raise PasskeyError("there is no such passkey")
        count = self._accounts.relying_party.verify_use(answer, challenge, passkey)
        return passkey, count

    async def _welcome_passkey(
        self,
        request: Request,
        form: Mapping[str, str],
        challenge: Challenge,
        passkey: Passkey,
        count: int,
    ) -> Response:
        site = site_of(request)
        await site.records.event(
            "login",
            peer=peer_of(request),
            user=f"user:{passkey.name}",
            admin={"method": "passkey"},
        )
        spend = partial(
            passkeys.use,
            challenge_hash=challenge.digest,
            expires_at=challenge.expires_at,
            credential_id=passkey.credential_id,
            sign_count=count,
            now=site.clock(),
        )
        response = redirect(_destination(form))
        if not await site.store.transact(spend) or not await begin_session(
            request, response, name=passkey.name, method="passkey"
        ):
            raise PasskeyError("the challenge or the passkey was used meanwhile")
        return response

    async def out(self, request: Request) -> Response:
        """`POST /logout`."""
        session = await current_session(request)
        if session is not None:
            await site_of(request).records.event(
                "logout", peer=peer_of(request), user=session.user
            )
        there = await self._logins.logout_url(request, session)
        response = redirect("/login") if there is None else leave_for(there)
        await end_session(request, response)
        return response

    async def _failed(self, request: Request, reason: str, name: str) -> None:
        """Record a failure; refuse a source with too many."""
        site = site_of(request)
        known = await site.store.look(partial(users.get, name=name))
        user = None if known is None else f"user:{name}"
        if site.records.failed(reason, peer=peer_of(request), user=user):
            raise PageError(
                429,
                "Too many logins have failed",
                "Try again in a minute.",
                retry_after=60,
            )

    async def _form(
        self,
        request: Request,
        fields: Mapping[str, str],
        problem: str = "",
        *,
        status: int = 200,
        retry_after: int | None = None,
    ) -> Response:
        browser = browser_of(request)
        session = await current_session(request)
        next_ = local_path(fields.get("next")) or ""
        model = LoginPage(
            name=fields.get("username", "")[:SHOWN_NAME_CHARACTERS],
            next=next_,
            problem=problem,
            signed_in="" if session is None else session.name,
            passkey=self._passkey_form(request, browser),
            providers=self._logins.buttons(next_),
        )
        response = render("login.html", model, status=status)
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        remember_browser(request, response, browser)
        return response

    def _passkey_form(self, request: Request, browser: str) -> PasskeyForm | None:
        if not self._accounts.passkeys_work(request):
            return None
        challenge, state = self._accounts.challenges.issue(
            "login", browser=browser, subject="", now=site_of(request).clock()
        )
        options = self._accounts.relying_party.request_options(challenge)
        return PasskeyForm(options, state)


def _destination(form: Mapping[str, str]) -> str:
    return local_path(form.get("next")) or HOME
