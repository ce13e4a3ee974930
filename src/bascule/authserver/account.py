"""The page of who is signed in: ways in, and where else somebody is signed in as them.

What gives somebody a way in needs a login of the last minutes: a browser that was left open
must not be enough to come back later.
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
from bascule.clock import UnixTime
from bascule.storage import browser_sessions, federated_users, passkeys, passwords, ways_in
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.passkeys import Passkey
from bascule.storage.store import Work
from bascule.storage.ways_in import NewPassword, WayIn, WayInRefusedError
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import begin_session, current_session, to_login
from bascule.web.site import site_of
from bascule.web.source import peer_of
from bascule.web.times import day, minute

FRESH_SECONDS = 600
"""Age of a login up to which it may change ways in."""
MAX_DIGITS = 18
"""Of a number that a database takes."""


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """One passkey."""

    id: str
    created: str
    used: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session."""

    number: int
    since: str
    source: str
    method: str
    this: bool


@dataclass(frozen=True, slots=True)
class AccountPage:
    """`account.html`."""

    name: str
    provider: str
    """The identity provider that vouches for the user; empty for who signs in here."""
    fresh: bool
    has_password: bool
    min_characters: int
    problem: str
    passkeys: tuple[PasskeyRow, ...]
    may_remove: bool
    """Another way in would be left."""
    passkey: PasskeyForm | None
    sessions: tuple[SessionRow, ...]


class Account:
    """The pages below `/account`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.routes: list[Route] = [
            page("/", self.home),
            page(HOME, self.show),
            page(f"{HOME}/ways-in", self.add, methods=("POST",)),
            page(f"{HOME}/passkeys/remove", self.remove, methods=("POST",)),
            page(f"{HOME}/sessions/end", self.end, methods=("POST",)),
        ]

    async def home(self, _: Request) -> Response:
        """`GET /`: where people begin who know the site's address alone."""
        return redirect(HOME)

    async def show(self, request: Request) -> Response:
        """`GET /account`."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        return await self._page(request, session)

    async def add(self, request: Request) -> Response:
        """`POST /account/ways-in`: fields `password`, or `state` and `credential`."""
        session = await _fresh_session(request)
        if session is None:
            return _login_again()
        form = await form_of(request)
        try:
            way = await self._add(request, session, form)
        except NotTakenError as exc:
            return await self._page(request, session, str(exc))
        response = redirect(HOME)
        if isinstance(way, NewPassword):
            end = partial(browser_sessions.end_all, name=session.name)
            await site_of(request).store.transact(end)
            await begin_session(request, response, name=session.name, method=session.method)
        return response

    async def _add(
        self, request: Request, session: BrowserSession, form: Mapping[str, str]
    ) -> WayIn:
        """Give a way in. Raises `NotTakenError`."""
        site = site_of(request)
        owner = self._owner(session, await site.store.look(_passkeys_of(session)))
        way = await new_way_in(self._accounts, request, form, owner)
        is_password = isinstance(way, NewPassword)
        await site.records.event(
            "user.password" if is_password else "user.passkey.add",
            peer=peer_of(request),
            user=session.user,
        )
        give = partial(ways_in.give, name=session.name, way=way, now=site.clock())
        try:
            await site.store.transact(give)
        except WayInRefusedError as exc:
            raise NotTakenError(f"This cannot be: {exc}.") from exc
        return way

    async def remove(self, request: Request) -> Response:
        """`POST /account/passkeys/remove`: field `id`."""
        session = await _fresh_session(request)
        if session is None:
            return _login_again()
        site = site_of(request)
        wanted = (await form_of(request)).get("id", "")
        found = await site.store.look(_passkeys_of(session))
        has_password = await site.store.look(_password_of(session)) is not None
        chosen = [it for it in found if _id_of(it) == wanted]
        if not chosen:
            return redirect(HOME)
        if len(found) == 1 and not has_password:
            raise PageError(400, "This is the only way in", "Set a password first.")
        await site.records.event(
            "user.passkey.remove", peer=peer_of(request), user=session.user
        )
        await site.store.transact(
            partial(
                passkeys.remove, name=session.name, credential_id=chosen[0].credential_id
            )
        )
        return redirect(HOME)

    async def end(self, request: Request) -> Response:
        """`POST /account/sessions/end`: field `number`, or `others` for all but this."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        site = site_of(request)
        wanted = (await form_of(request)).get("number", "")
        work: Work[object]
        if wanted == "others":
            work = partial(browser_sessions.end_all, name=session.name, but=session.number)
        elif wanted.isascii() and wanted.isdigit() and len(wanted) <= MAX_DIGITS:
            work = partial(
                browser_sessions.end_numbered, name=session.name, number=int(wanted)
            )
        else:
            raise PageError(400, "There is no such session", "Go back and try again.")
        await site.records.event(
            "logout",
            peer=peer_of(request),
            user=session.user,
            admin={"sessions": wanted},
        )
        await site.store.transact(work)
        return redirect(HOME)

    def _owner(self, session: BrowserSession, existing: list[Passkey]) -> Owner:
        handle = (
            existing[0].user_handle
            if existing
            else self._accounts.challenges.user_handle(session.user)
        )
        ids = tuple(it.credential_id for it in existing)
        return Owner(session.user, session.name, handle, ids)

    async def _page(
        self, request: Request, session: BrowserSession, problem: str = ""
    ) -> Response:
        site = site_of(request)
        found = await site.store.look(_passkeys_of(session))
        has_password = await site.store.look(_password_of(session)) is not None
        sessions = await site.store.look(
            partial(
                browser_sessions.of_user,
                name=session.name,
                audience=site.audience,
                now=site.clock(),
            )
        )
        vouched = await site.store.look(partial(federated_users.get, name=session.name))
        browser = browser_of(request)
        fresh = _is_fresh(session, site.clock())
        owner = self._owner(session, found)
        model = AccountPage(
            name=session.name,
            provider="" if vouched is None else vouched.who.provider,
            fresh=fresh,
            has_password=has_password,
            min_characters=MIN_CHARACTERS,
            problem=problem,
            passkeys=tuple(
                PasskeyRow(_id_of(it), day(it.created_at), day(it.used_at)) for it in found
            ),
            may_remove=fresh and (has_password or len(found) > 1),
            passkey=passkey_form(self._accounts, request, browser, owner)
            if fresh
            else None,
            sessions=tuple(
                SessionRow(
                    it.number,
                    minute(it.created_at),
                    it.source,
                    it.method,
                    it.number == session.number,
                )
                for it in sessions
            ),
        )
        response = render("account.html", model, status=400 if problem else 200)
        remember_browser(request, response, browser)
        return response


def _is_fresh(session: BrowserSession, now: UnixTime) -> bool:
    return now - session.created_at <= FRESH_SECONDS


async def _fresh_session(request: Request) -> BrowserSession | None:
    session = await current_session(request)
    if session is None or not _is_fresh(session, site_of(request).clock()):
        return None
    return session


def _login_again() -> Response:
    return redirect(f"/login?next={HOME}")


def _passkeys_of(session: BrowserSession) -> partial[list[Passkey]]:
    return partial(passkeys.of_user, name=session.name)


def _password_of(session: BrowserSession) -> partial[str | None]:
    return partial(passwords.hash_of, name=session.name)


def _id_of(passkey: Passkey) -> str:
    """Give a short name of a passkey for forms; its id can be long."""
    return hashlib.sha256(passkey.credential_id).hexdigest()[:32]
