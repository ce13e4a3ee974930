"""Who is signed in, in this browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from bascule.clock import UnixTime
from bascule.storage import browser_sessions
from bascule.storage.browser_sessions import BrowserSession, Method
from bascule.storage.store import Transaction
from bascule.web.cookies import SESSION_NAMES, read_cookie, set_cookie
from bascule.web.local_path import local_path
from bascule.web.render import redirect
from bascule.web.site import site_of
from bascule.web.source import source_of

SESSION_SECONDS = 12 * 3600
TOKEN_BYTES = 32


def _digest(token: str | None) -> bytes:
    return hashlib.sha256((token or "").encode()).digest()


async def current_session(request: Request) -> BrowserSession | None:
    """Give the session of a request, looked up anew: it may have been ended since."""
    site = site_of(request)
    token = read_cookie(request, SESSION_NAMES[site.audience])
    if token is None:
        return None
    find = partial(
        browser_sessions.find,
        token_hash=_digest(token),
        audience=site.audience,
        now=site.clock(),
    )
    return await site.store.look(find)


async def signed_in_user(request: Request) -> str | None:
    """Give who is signed in, as `user:NAME`; None when nobody is."""
    session = await current_session(request)
    return None if session is None else session.user


def nothing_else(_: Transaction, __: int) -> None:
    """Do nothing beside a login."""


async def begin_session(
    request: Request,
    response: Response,
    *,
    name: str,
    method: Method,
    also: Callable[[Transaction, int], None] = nothing_else,
) -> bool:
    """Sign a user in, in this browser; False when it is not enabled.

    The token is new, and the session that the browser had before ends: whoever knew that
    one has gained nothing. `also` is done in the same transaction, with the session's
    number.
    """
    site = site_of(request)
    cookie = SESSION_NAMES[site.audience]
    token = base64.urlsafe_b64encode(site.entropy(TOKEN_BYTES)).rstrip(b"=").decode()
    now = site.clock()
    begin = partial(
        browser_sessions.begin,
        token_hash=_digest(token),
        replaces=_digest(read_cookie(request, cookie)),
        name=name,
        audience=site.audience,
        method=method,
        source=source_of(request),
        now=now,
        expires_at=UnixTime(now + SESSION_SECONDS),
    )

    def work(conn: Transaction) -> bool:
        number = begin(conn)
        if number is not None:
            also(conn, number)
        return number is not None

    if not await site.store.transact(work):
        return False
    set_cookie(site, response, cookie, token, seconds=SESSION_SECONDS)
    return True


async def end_session(request: Request, response: Response) -> None:
    """Sign out in this browser."""
    site = site_of(request)
    cookie = SESSION_NAMES[site.audience]
    digest = _digest(read_cookie(request, cookie))
    await site.store.transact(partial(browser_sessions.end, token_hash=digest))
    set_cookie(site, response, cookie, "", seconds=0)


def to_login(request: Request) -> Response:
    """Send a browser to the login page, and afterwards back to where it is."""
    query = f"?{request.url.query}" if request.url.query else ""
    there = local_path(request.url.path + query)
    return redirect("/login" if there is None else f"/login?next={quote(there, safe='')}")
