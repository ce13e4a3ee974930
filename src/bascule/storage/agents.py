"""Agents: OAuth clients, however they came to be known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from bascule.clock import UnixTime
from bascule.storage import counters, revocations
from bascule.storage.schema import agent_redirects, agents

Origin = Literal["operator", "document", "dynamic"]
"""`agent add`, a client ID metadata document, or dynamic registration (RFC 7591)."""
AuthMethod = Literal["none", "client_secret", "private_key_jwt", "workload"]
"""`workload`: by tokens of a platform, or a certificate, see `[workloads]` and
`[agents.certificates]`."""

_EVERY = (
    select(agents, agent_redirects.c.redirect_uri)
    .outerjoin(agent_redirects, agent_redirects.c.client_id == agents.c.client_id)
    .order_by(agents.c.client_id, agent_redirects.c.redirect_uri)
)
"""A row for each redirect URI, and for an agent without one."""
_ONE = _EVERY.where(agents.c.client_id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Agent:
    """One client."""

    client_id: str
    origin: Origin
    auth_method: AuthMethod
    secret_hash: bytes | None = field(repr=False)
    """SHA-256 of the secret."""
    jwks: str | None
    """Public keys of `private_key_jwt`; those of a document stand in the document."""
    name: str | None
    """What a client calls itself; anybody may call themselves anything."""
    redirect_uris: tuple[str, ...]
    disabled: bool
    expires_at: UnixTime | None
    """Of a client that registered itself: when it is forgotten."""
    dpop_bound: bool = False
    """It said when it registered that it proves to hold a key (RFC 9449 §5.2)."""

    @property
    def authenticates(self) -> bool:
        """Whether it proves who it is, so that only it can act under its id."""
        return self.auth_method != "none"

    @property
    def verified(self) -> bool:
        """Whether who acts under its id is known.

        It authenticates, codes reach it over https only, and somebody vouches for its id:
        the operator, or the host of its metadata document.
        """
        over_https = all(uri.startswith("https://") for uri in self.redirect_uris)
        return self.authenticates and over_https and self.origin != "dynamic"


def add(
    conn: Connection,
    *,
    client_id: str,
    secret_hash: bytes | None,
    jwks: str | None,
    redirect_uris: Iterable[str],
    now: UnixTime,
    origin: Origin = "operator",
    auth_method: AuthMethod | None = None,
    name: str | None = None,
    expires_at: UnixTime | None = None,
    dpop_bound: bool = False,
) -> bool:
    """Register a client; False when there is one of that id.

    `auth_method` follows from secret and keys when it is not given.
    """
    if get(conn, client_id) is not None:
        return False
    by_keys: AuthMethod = "private_key_jwt" if jwks is not None else "none"
    derived: AuthMethod = "client_secret" if secret_hash is not None else by_keys
    conn.execute(
        insert(agents).values(
            client_id=client_id,
            created_at=now,
            secret_hash=secret_hash,
            jwks=jwks,
            origin=origin,
            auth_method=auth_method or derived,
            name=name,
            expires_at=expires_at,
            dpop_bound=dpop_bound,
        )
    )
    _set_redirects(conn, client_id, redirect_uris)
    counters.advance(conn, "generation")
    return True


def note_document(
    conn: Connection,
    *,
    client_id: str,
    auth_method: AuthMethod,
    name: str,
    redirect_uris: Iterable[str],
    now: UnixTime,
) -> None:
    """Make a client known by its document, or take over what its document says by now.

    A client that the operator registered under that id stays as it is.
    """
    found = get(conn, client_id)
    wanted = tuple(sorted(set(redirect_uris)))
    if found is None:
        add(
            conn,
            client_id=client_id,
            secret_hash=None,
            jwks=None,
            redirect_uris=wanted,
            now=now,
            origin="document",
            auth_method=auth_method,
            name=name,
        )
        return
    said = (found.auth_method, found.name, found.redirect_uris)
    if found.origin != "document" or said == (auth_method, name, wanted):
        return
    conn.execute(
        update(agents)
        .where(agents.c.client_id == client_id)
        .values(auth_method=auth_method, name=name)
    )
    conn.execute(delete(agent_redirects).where(agent_redirects.c.client_id == client_id))
    _set_redirects(conn, client_id, wanted)
    counters.advance(conn, "generation")


def _set_redirects(conn: Connection, client_id: str, uris: Iterable[str]) -> None:
    rows = [{"client_id": client_id, "redirect_uri": uri} for uri in sorted(set(uris))]
    if rows:
        conn.execute(insert(agent_redirects), rows)


def get(conn: Connection, client_id: str) -> Agent | None:
    """Give one agent."""
    return next(iter(_found(conn, _ONE, id=client_id)), None)


def every(conn: Connection) -> list[Agent]:
    """Give all agents, by client id."""
    return _found(conn, _EVERY)


def _found(conn: Connection, query: Select[Any], **values: str) -> list[Agent]:
    rows = groupby(conn.execute(query, values), key=attrgetter("client_id"))
    return [_agent(list(group)) for _, group in rows]


def _agent(rows: list[Row[Any]]) -> Agent:
    row = rows[0]
    return Agent(
        client_id=row.client_id,
        origin=row.origin,
        auth_method=row.auth_method,
        secret_hash=row.secret_hash,
        jwks=row.jwks,
        name=row.name,
        redirect_uris=tuple(it.redirect_uri for it in rows if it.redirect_uri is not None),
        disabled=row.disabled_at is not None,
        expires_at=None if row.expires_at is None else UnixTime(row.expires_at),
        dpop_bound=row.dpop_bound,
    )


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


def extend(conn: Connection, *, client_id: str, expires_at: UnixTime) -> None:
    """Keep a client that registered itself, since it is used; others do not expire."""
    conn.execute(
        update(agents)
        .where(agents.c.client_id == client_id, agents.c.origin == "dynamic")
        .values(expires_at=expires_at)
    )


def forget_expired(conn: Connection, *, now: UnixTime) -> None:
    """Remove clients that registered themselves and were not used for too long.

    One that was disabled stays, so that it cannot come back as new.
    """
    expired = (
        select(agents.c.client_id)
        .where(agents.c.expires_at <= now, agents.c.disabled_at.is_(None))
        .scalar_subquery()
    )
    conn.execute(delete(agent_redirects).where(agent_redirects.c.client_id.in_(expired)))
    gone = conn.execute(
        delete(agents)
        .where(agents.c.expires_at <= now, agents.c.disabled_at.is_(None))
        .returning(agents.c.client_id)
    ).all()
    if gone:
        counters.advance(conn, "generation")


def count_dynamic(conn: Connection, *, now: UnixTime) -> int:
    """Give how many clients have registered themselves and are not to be forgotten."""
    kept = (agents.c.expires_at > now) | agents.c.disabled_at.is_not(None)
    query = select(func.count()).select_from(agents)
    query = query.where(agents.c.origin == "dynamic", kept)
    return int(conn.execute(query).scalar_one())
