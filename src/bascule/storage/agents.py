"""Agents that an operator registered: OAuth clients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, insert, select, true, update

from bascule.clock import UnixTime
from bascule.storage import counters, revocations
from bascule.storage.schema import agent_redirects, agents


@dataclass(frozen=True, slots=True)
class Agent:
    """One registered client."""

    client_id: str
    authenticates: bool
    """It has a secret or keys, so that its identity can be verified."""
    redirect_uris: tuple[str, ...]
    disabled: bool


def add(
    conn: Connection,
    *,
    client_id: str,
    secret_hash: bytes | None,
    jwks: str | None,
    redirect_uris: Iterable[str],
    now: UnixTime,
) -> bool:
    """Register a client; False when there is one of that id."""
    if get(conn, client_id) is not None:
        return False
    conn.execute(
        insert(agents).values(
            client_id=client_id, created_at=now, secret_hash=secret_hash, jwks=jwks
        )
    )
    rows = [
        {"client_id": client_id, "redirect_uri": uri} for uri in sorted(set(redirect_uris))
    ]
    if rows:
        conn.execute(insert(agent_redirects), rows)
    counters.advance(conn, "generation")
    return True


def get(conn: Connection, client_id: str) -> Agent | None:
    """Give one agent."""
    return next(iter(_found(conn, agents.c.client_id == client_id)), None)


def every(conn: Connection) -> list[Agent]:
    """Give all agents, by client id."""
    return _found(conn, true())


def _found(conn: Connection, condition: ColumnElement[bool]) -> list[Agent]:
    registered = (
        select(agent_redirects)
        .join(agents, agents.c.client_id == agent_redirects.c.client_id)
        .where(condition)
        .order_by(agent_redirects.c.redirect_uri)
    )
    redirects: dict[str, list[str]] = {}
    for row in conn.execute(registered):
        redirects.setdefault(row.client_id, []).append(row.redirect_uri)
    return [
        Agent(
            client_id=row.client_id,
            authenticates=row.secret_hash is not None or row.jwks is not None,
            redirect_uris=tuple(redirects.get(row.client_id, ())),
            disabled=row.disabled_at is not None,
        )
        for row in conn.execute(
            select(agents).where(condition).order_by(agents.c.client_id)
        )
    ]


def disable(conn: Connection, *, client_id: str, now: UnixTime) -> None:
    """Disable one and revoke all that was issued for it: enabling brings none back."""
    conn.execute(
        update(agents).where(agents.c.client_id == client_id).values(disabled_at=now)
    )
    revocations.revoke(conn, kind="agent", key=client_id, reason="agent disabled", now=now)


def enable(conn: Connection, *, client_id: str) -> None:
    """Let one in again; what was issued before stays revoked."""
    conn.execute(
        update(agents).where(agents.c.client_id == client_id).values(disabled_at=None)
    )
    counters.advance(conn, "generation")
