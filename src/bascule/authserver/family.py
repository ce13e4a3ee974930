"""What codes and refresh tokens have in common: the grant that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

from bascule.authserver import issue
from bascule.authserver.clients import Client
from bascule.authserver.details import narrowed_details
from bascule.authserver.errors import (
    InvalidGrantError,
    InvalidScopeError,
    InvalidTargetError,
)
from bascule.authserver.issue import Noted, Wanted
from bascule.authserver.parameters import Parameters
from bascule.authserver.possession import require_possession
from bascule.authserver.scopes import OFFLINE_ACCESS, repeated_connector
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.storage import grants
from bascule.storage.codes import Reused
from bascule.storage.grants import Grant
from bascule.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class Ask:
    """What a token request asks for beside the grant."""

    client: Client
    config: Config
    connector: str | None
    """From `resource`, None when it was not sent again."""
    scope: str | None
    """None when it was not sent again."""
    details: str | None
    """`authorization_details`; None when they were not sent again."""
    jti: str
    now: UnixTime

    @classmethod
    def of(cls, server: AuthorizationServer, client: Client, form: Parameters) -> Self:
        """Read a request. Raises `InvalidTargetError`."""
        config = server.config()
        connector = repeated_connector(config, form.resources)
        scope = form.get("scope")
        details = form.get("authorization_details")
        jti, now = issue.new_jti(), server.clock()
        return cls(client, config, connector, scope, details, jti, now)


def note_for(conn: Transaction, grant: Grant, ask: Ask) -> tuple[Wanted, Noted]:
    """Note an access token of a grant.

    Never for another resource or more scopes than the user has consented to (RFC 8707
    §2.2, RFC 6749 §6). Raises `OAuthError`, which undoes the transaction: what was shown
    is as good as before.
    """
    if ask.connector not in {None, grant.connector}:
        raise InvalidTargetError("`resource` is not what the user has consented to")
    if grant.connector not in ask.config.connectors:
        raise InvalidGrantError("the resource is no longer there")
    require_possession(ask.config, ask.client, grant.connector)
    scopes = _narrowed(grant, ask.scope)
    details = narrowed_details(ask.config, grant.connector, grant.details, ask.details)
    wanted = Wanted(ask.client, grant.user, grant.connector, scopes, grant.id, details)
    noted = issue.note(conn, wanted, jti=ask.jti, now=ask.now)
    if noted is None:
        raise InvalidGrantError("the user or the client is disabled")
    return wanted, noted


def _narrowed(grant: Grant, scope: str | None) -> frozenset[str]:
    granted = frozenset(grant.scope.split())
    asked = frozenset((scope or "").split()) - {OFFLINE_ACCESS}
    if not asked <= granted:
        raise InvalidScopeError("`scope` is more than the user has consented to")
    return asked or granted


async def report_reuse(
    server: AuthorizationServer, client: Client, reused: Reused, *, what: str, peer: str
) -> None:
    """Record that a family was ended, which it already is: its secret has been copied."""
    await server.changed()
    grant = await server.store.look(partial(grants.find, grant_id=reused.grant_id))
    await server.records.event(
        "grant.reuse",
        peer=peer,
        user=None if grant is None else grant.user,
        agent=client.client_id,
        agent_verified=client.agent.verified,
        connector=None if grant is None else grant.connector,
        admin={"grant": reused.grant_id, "shown_again": what},
    )
