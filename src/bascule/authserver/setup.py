"""Set-up links: looking at one leaves it as it is, sending the form spends it.

Programs that open the links in mails and chats only look.
"""

from __future__ import annotations

import hashlib
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
from bascule.authserver.credentials import NotTakenError, Owner, new_way_in, passkey_form
from bascule.authserver.passwords import MIN_CHARACTERS
from bascule.storage import first_admin, users, ways_in
from bascule.storage.browser_sessions import Method
from bascule.storage.ways_in import NewPassword, WayIn, WayInRefusedError
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import begin_session
from bascule.web.site import site_of
from bascule.web.source import peer_of


@dataclass(frozen=True, slots=True)
class Link:
    """A set-up link that is good."""

    token: str
    digest: bytes
    name: str | None
    """Whose it is; None for the first administrator, who has no name yet."""


@dataclass(frozen=True, slots=True)
class SetupPage:
    """`setup.html`."""

    action: str
    name: str
    first_admin: bool
    min_characters: int
    problem: str
    passkey: PasskeyForm | None


class Setup:
    """The page `/login/setup/{token}`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.routes: list[Route] = [
            page("/login/setup/{token}", self.show),
            page("/login/setup/{token}", self.spend, methods=("POST",)),
        ]

    async def show(self, request: Request) -> Response:
        """`GET`: the form. Spends nothing."""
        return self._form(request, await _good_link(request), {})

    async def spend(self, request: Request) -> Response:
        """`POST`: fields `password`, or `state` and `credential`; `username` if asked."""
        link = await _good_link(request)
        form = await form_of(request)
        name = link.name or form.get("username", "").strip()
        try:
            if not users.is_name(name):
                raise NotTakenError(
                    "A name begins with a letter or digit and has letters, digits and "
                    ". _ @ - only, 63 characters at most."
                )
            way = await new_way_in(self._accounts, request, form, self._owner(link, name))
            await self._set_up(request, link, name, way)
        except NotTakenError as exc:
            return self._form(request, link, form, str(exc))
        response = redirect(HOME)
        await begin_session(request, response, name=name, method=_method(way))
        return response

    async def _set_up(self, request: Request, link: Link, name: str, way: WayIn) -> None:
        """Spend the link. Raises `NotTakenError`, or `PageError` when somebody has."""
        site = site_of(request)
        await site.records.event(
            "user.setup",
            peer=peer_of(request),
            user=f"user:{name}",
            admin={
                "method": _method(way),
                "first_admin": str(link.name is None).lower(),
            },
        )
        spend = partial(
            ways_in.set_up_first_admin if link.name is None else ways_in.set_up,
            link_hash=link.digest,
            name=name,
            way=way,
            now=site.clock(),
        )
        try:
            done = await site.store.transact(spend)
        except WayInRefusedError as exc:
            raise NotTakenError(f"This cannot be: {exc}.") from exc
        if not done:
            raise _no_longer_good()
        if link.name is None:
            self._accounts.first_admin_came()

    def _owner(self, link: Link, name: str) -> Owner:
        subject = f"setup:{link.digest.hex()}"
        return Owner(subject, name, self._accounts.challenges.user_handle(subject))

    def _form(
        self,
        request: Request,
        link: Link,
        fields: Mapping[str, str],
        problem: str = "",
    ) -> Response:
        browser = browser_of(request)
        name = link.name or fields.get("username", "")[:64]
        model = SetupPage(
            action=f"/login/setup/{link.token}",
            name=name,
            first_admin=link.name is None,
            min_characters=MIN_CHARACTERS,
            problem=problem,
            passkey=passkey_form(self._accounts, request, browser, self._owner(link, name)),
        )
        response = render("setup.html", model, status=400 if problem else 200)
        remember_browser(request, response, browser)
        return response


def _method(way: WayIn) -> Method:
    return "password" if isinstance(way, NewPassword) else "passkey"


async def _good_link(request: Request) -> Link:
    """Give the link of a request. Raises `PageError`: expired, used and wrong are alike."""
    site = site_of(request)
    token = request.path_params["token"]
    digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
    now = site.clock()
    whose = partial(users.of_setup_link, setup_hash=digest, now=now)
    name = await site.store.look(whose)
    if name is None:
        is_good = partial(first_admin.is_good, token_hash=digest, now=now)
        if not await site.store.look(is_good):
            raise _no_longer_good()
    return Link(token, digest, name)


def _no_longer_good() -> PageError:
    return PageError(
        404,
        "This link is no longer good",
        "It was used, has expired, or a newer one was made. Who gave it to you can make "
        "another with `bascule user reset`.",
    )
