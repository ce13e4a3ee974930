"""`/account/apps`: what a user has let in, and the way to put it out again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.details import asked_in_words
from bascule.authserver.server import AuthorizationServer
from bascule.config.model import Config
from bascule.storage import agents, consents, grants
from bascule.storage.grants import Grant
from bascule.storage.store import Transaction
from bascule.web.forms import form_of
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import current_session, to_login
from bascule.web.source import peer_of
from bascule.web.times import minute

APPS = "/account/apps"
REASON = "ended by the user"


@dataclass(frozen=True, slots=True)
class AppRow:
    """One grant."""

    grant: str
    name: str
    """What the client calls itself, else its id."""
    client_id: str
    connector: str
    scopes: tuple[str, ...]
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class AppsPage:
    """`apps.html`."""

    user: str
    apps: tuple[AppRow, ...]


async def apps(server: AuthorizationServer, request: Request) -> Response:
    """`GET /account/apps`."""
    session = await current_session(request)
    if session is None:
        return to_login(request)
    config, now = server.config(), server.clock()

    def read(conn: Transaction) -> tuple[AppRow, ...]:
        found = grants.of_user(conn, session.user, now=now)
        return tuple(_row(conn, config, grant) for grant in found)

    return render("apps.html", AppsPage(session.name, await server.store.look(read)))


def _row(conn: Transaction, config: Config, grant: Grant) -> AppRow:
    agent = agents.get(conn, grant.client_id)
    name = None if agent is None else agent.name
    return AppRow(
        grant=grant.id,
        name=name or grant.client_id,
        client_id=grant.client_id,
        connector=grant.connector,
        scopes=asked_in_words(config, grant.connector, grant.scope, grant.details),
        since=minute(grant.created_at),
        until=minute(grant.expires_at),
    )


async def end_app(server: AuthorizationServer, request: Request) -> Response:
    """`POST /account/apps/end`: field `grant`. The client has to ask anew."""
    session = await current_session(request)
    if session is None:
        return to_login(request)
    wanted = (await form_of(request)).get("grant", "")
    now = server.clock()
    find = partial(grants.live, grant_id=wanted, now=now)
    grant = await server.store.look(find)
    if grant is None or grant.user != session.user:
        raise PageError(404, "There is no such app", "Its access may have ended already.")
    await server.records.event(
        "revoke",
        peer=peer_of(request),
        user=session.user,
        agent=grant.client_id,
        connector=grant.connector,
        admin={"kind": "grant", "key": grant.id, "reason": REASON},
    )

    def end(conn: Transaction) -> None:
        grants.end(conn, grant.id, reason=REASON, now=now)
        consents.forget(conn, user=grant.user, client_id=grant.client_id)

    await server.change(end)
    return redirect(APPS)
