"""What provisioning does to users who sign in: they end, come back, change their groups.

All within one transaction of the caller's, so that no moment shows half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from sqlalchemy import Connection

from bascule.clock import UnixTime
from bascule.identity.revocation import LONGEST_LIFE_SECONDS
from bascule.storage import (
    browser_sessions,
    federated_users,
    revocations,
    scim_ended,
    scim_members,
)
from bascule.storage.federated_users import Moved

Named = Callable[[Iterable[str]], Collection[str]]
"""Gives what groups of a provider are called here, by the names that it gives them."""


def names_of(
    conn: Connection, *, issuer: str, external_id: str, also: str | None
) -> list[str]:
    """Give the names of the users that a provider's id means, `ISSUER|SUB`.

    `also`: the name of who has never signed in, where it is known without that.
    """
    known = federated_users.known_as(conn, issuer=issuer, external_id=external_id)
    names = {it.who.name for it in known}
    return sorted(names if also is None else names | {also})


def end(
    conn: Connection,
    *,
    issuer: str,
    external_id: str,
    also: str | None,
    why: str,
    now: UnixTime,
) -> None:
    """End all that a user has, everywhere, and keep it out."""
    scim_ended.bar(conn, issuer=issuer, external_id=external_id, now=now)
    for name in names_of(conn, issuer=issuer, external_id=external_id, also=also):
        end_issued(conn, name, why=why, now=now)


def end_issued(conn: Connection, name: str, *, why: str, now: UnixTime) -> None:
    """End all that a user has, `ISSUER|SUB`; a new login stays possible."""
    _revoke(conn, name, why, now)
    browser_sessions.end_all(conn, name=name)


def bring_back(
    conn: Connection,
    *,
    issuer: str,
    external_id: str,
    also: str | None,
    why: str,
    now: UnixTime,
) -> bool:
    """Let a user in again whom provisioning ended; what was issued until now stays revoked.

    False when it had not. What an administrator disabled stays so.
    """
    if not scim_ended.lift(conn, issuer=issuer, external_id=external_id):
        return False
    for name in names_of(conn, issuer=issuer, external_id=external_id, also=also):
        _revoke(conn, name, why, now)
    return True


def regroup(
    conn: Connection, *, issuer: str, external_ids: Collection[str], named: Named
) -> Mapping[str, Moved]:
    """Give users who have signed in the groups that provisioning says they are in.

    Gives those whose groups are others now.
    """
    groups = scim_members.group_names(conn, issuer=issuer, external_ids=external_ids)
    wanted = {
        user: {f"{issuer}|{it}" for it in named(groups.get(external_id, ()))}
        for user, external_id in federated_users.all_known_as(
            conn, issuer=issuer, external_ids=external_ids
        )
    }
    return federated_users.set_groups(conn, wanted)


def _revoke(conn: Connection, name: str, why: str, now: UnixTime) -> None:
    """Revoke; of who never came there are at most tokens of the issuer itself."""
    known = federated_users.get(conn, name) is not None
    revocations.revoke(
        conn,
        kind="user",
        key=f"user:{name}",
        reason=why,
        now=now,
        expires_at=None if known else UnixTime(now + LONGEST_LIFE_SECONDS),
    )
