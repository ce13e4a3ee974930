"""`/account/connections`: the accounts at upstreams that a user has connected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from bascule.lock.invisible import visible
from bascule.storage import linked_accounts
from bascule.storage.linked_accounts import LinkedAccount
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import current_session, to_login
from bascule.web.site import site_of
from bascule.web.source import peer_of
from bascule.web.times import minute

CONNECTIONS = "/account/connections"
REASON = "disconnected by the user"


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


async def connections(request: Request) -> Response:
    """`GET /account/connections`."""
    session = await current_session(request)
    if session is None:
        return to_login(request)
    find = partial(linked_accounts.of_user, user=session.user)
    found = await site_of(request).store.look(find)
    rows = tuple(map(_row, found))
    return render("connections.html", ConnectionsPage(visible(session.name), rows))


async def end(request: Request) -> Response:
    """`POST /account/connections/end`: field `connection`."""
    session = await current_session(request)
    if session is None:
        return to_login(request)
    site = site_of(request)
    wanted = (await form_of(request)).get("connection", "")
    account = await site.store.look(partial(linked_accounts.find, account_id=wanted))
    if account is None or account.user != session.user or account.ended_at is not None:
        raise PageError(404, "There is no such connection", "It may have ended already.")
    await site.records.event(
        "unlink",
        peer=peer_of(request),
        user=session.user,
        connector=account.connector,
        admin={"issuer": account.issuer, "reason": REASON},
    )
    ended = partial(linked_accounts.end, account_id=account.id, reason=REASON)
    await site.store.transact(partial(ended, now=site.clock()))
    return redirect(CONNECTIONS)


def _row(account: LinkedAccount) -> ConnectionRow:
    return ConnectionRow(
        id=account.id,
        connector=account.connector,
        issuer_host=urlsplit(account.issuer).netloc,
        scopes=tuple(map(visible, account.scope)),
        since=minute(account.linked_at),
        refreshed=minute(account.refreshed_at),
    )


ROUTES = (
    page(CONNECTIONS, connections),
    page(f"{CONNECTIONS}/end", end, methods=("POST",)),
)
