"""The directory: who is enabled, in which groups, and what is revoked, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, select

from bascule.identity.access_token import AccessToken
from bascule.identity.revocation import Revocation, Revocations
from bascule.storage import agents, counters, revocations, scim_ended, users
from bascule.storage.enabled import ENABLED
from bascule.storage.foreigners import FOREVER
from bascule.storage.schema import agents as agents_table
from bascule.storage.schema import users as users_table

BUILT_IN_AGENT = "bascule-cli"
"""The agent of `token issue` without `--agent`."""
_ENABLED_USER = select(users_table.c.name).where(
    users_table.c.name == bindparam("name"), ENABLED
)
_ENABLED_AGENT = select(agents_table.c.client_id).where(
    agents_table.c.client_id == bindparam("client_id"), agents_table.c.disabled_at.is_(None)
)
_ENABLED_BOTH = _ENABLED_USER.where(_ENABLED_AGENT.exists())


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token stands for now."""

    user: str | None
    agent: str
    groups: frozenset[str]
    scopes: frozenset[str]
    agent_verified: bool


@dataclass(frozen=True, slots=True)
class Directory:
    """A copy of the state that decides whether a token still counts; immutable."""

    generation: int
    groups: Mapping[str, frozenset[str]]
    """By enabled user (`user:NAME`): `group:NAME`."""
    verified_agents: Mapping[str, bool]
    """By enabled agent: whether who acts under its id is known, see `Agent.verified`."""
    revocations: Revocations

    def subject(self, token: AccessToken, connector: str) -> Subject | None:
        """Give whom a verified token stands for; None when it no longer counts.

        Foreign users and agents are in no list here: their issuer vouches for them.
        """
        groups: frozenset[str] | None = token.groups
        verified: bool | None = token.user is None  # who acts by itself has authenticated
        if token.issuer is None:
            groups = frozenset() if token.user is None else self.groups.get(token.user)
            verified = self.verified_agents.get(token.agent)
        if groups is None or verified is None:
            return None
        if self.revocations.covers(token, connector):
            return None
        return Subject(
            user=token.user,
            agent=token.agent,
            groups=groups,
            scopes=token.scopes,
            agent_verified=verified,
        )


def load(conn: Connection) -> Directory:
    """Read the directory."""
    return Directory(
        generation=generation(conn),
        groups={
            f"user:{user.name}": frozenset(f"group:{group}" for group in user.groups)
            for user in users.every(conn)
            if not user.disabled
        },
        verified_agents={
            BUILT_IN_AGENT: True,
            **{
                agent.client_id: agent.verified
                for agent in agents.every(conn)
                if not agent.disabled
            },
        },
        revocations=Revocations(_in_force(conn)),
    )


def _in_force(conn: Connection) -> Iterator[Revocation]:
    """Give all entries; of who is kept out, no token of the issuer counts either."""
    kept_out = {f"user:{name}" for name in scim_ended.names(conn)}
    for entry in revocations.every(conn):
        if entry.kind == "user" and entry.key in kept_out:
            yield replace(entry, revoked_at=FOREVER)
        else:
            yield entry


def is_enabled(conn: Connection, *, user: str | None, client_id: str) -> bool:
    """Tell whether that agent may be issued tokens, for that user if one is given."""
    names = {"name": (user or "").removeprefix("user:"), "client_id": client_id}
    if client_id == BUILT_IN_AGENT:
        return user is None or conn.execute(_ENABLED_USER, names).first() is not None
    query = _ENABLED_AGENT if user is None else _ENABLED_BOTH
    return conn.execute(query, names).first() is not None


def generation(conn: Connection) -> int:
    """Give the number that each change raises: one cheap query."""
    return counters.value(conn, "generation")
