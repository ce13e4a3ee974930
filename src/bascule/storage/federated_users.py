"""Users whom a provider vouches for: rows of `users`, named by issuer and subject.

The name is `ISSUER|SUB`, so that sessions, grants, consents and revocations are theirs as
they are anybody's. An issuer never holds `|`; so two issuers with the same subject are two
users, and the first `|` parts the two. Never by e-mail: an address changes its owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage import counters, foreigners, scim_ended
from bascule.storage.foreigners import Foreigner
from bascule.storage.pieces import pieces
from bascule.storage.schema import federated_users, user_groups, users


@dataclass(frozen=True, slots=True)
class FederatedUser:
    """What a provider said of somebody, when it last did."""

    issuer: str
    subject: str
    provider: str
    """Name in the configuration of the provider that vouched for it last."""
    display_name: str = ""
    """For people to read; anything, and never an identity."""
    email: str = ""
    """For people to read; empty where the provider says none."""
    external_id: str = ""
    """How the provider's provisioning calls it; empty where nothing says."""

    @property
    def name(self) -> str:
        """The user's name, `ISSUER|SUB`."""
        return f"{self.issuer}|{self.subject}"


Moved = tuple[Set[str], Set[str]]
"""Somebody's groups before and after."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """One such user as it is kept."""

    who: FederatedUser
    checked_at: UnixTime
    """When the provider was last asked and answered."""


def vouch(
    conn: Connection, who: FederatedUser, groups: Iterable[str], *, now: UnixTime
) -> bool:
    """Take up what a provider says now, the whole list of groups included.

    `groups`: as the provider names them, without its issuer. False when the user is
    disabled here, or provisioning ended it: then nothing is changed.
    """
    known = conn.execute(
        select(users.c.disabled_at, federated_users.c.external_id)
        .outerjoin(federated_users, federated_users.c.user_name == users.c.name)
        .where(users.c.name == who.name)
    ).first()
    if not who.external_id and known is not None:
        # Not all that a provider answers says it: who has one must not lose it.
        who = replace(who, external_id=known.external_id or "")
    if known is not None and known.disabled_at is not None:
        return False
    if Foreigner("user", f"user:{who.name}") in foreigners.every(conn):
        return False
    if scim_ended.holds(conn, issuer=who.issuer, external_id=who.external_id):
        return False
    facts = {
        "provider": who.provider,
        "display_name": who.display_name,
        "email": who.email,
        "external_id": who.external_id,
        "checked_at": now,
    }
    if known is None:
        conn.execute(insert(users).values(name=who.name, created_at=now, is_admin=False))
        row = {"user_name": who.name, "issuer": who.issuer, "subject": who.subject, **facts}
        conn.execute(insert(federated_users).values(row))
        counters.advance(conn, "generation")
    else:
        same = federated_users.c.user_name == who.name
        conn.execute(update(federated_users).where(same).values(facts))
    set_groups(conn, {who.name: {f"{who.issuer}|{group}" for group in groups}})
    return True


def set_groups(conn: Connection, wanted: Mapping[str, Set[str]]) -> Mapping[str, Moved]:
    """Put users into groups, and out of all others; by names, `ISSUER|NAME` of groups.

    Gives those whose groups are others now, with the groups before and after.
    """
    changed: dict[str, Moved] = {}
    for names in pieces(wanted):
        before: dict[str, set[str]] = {name: set() for name in names}
        rows = select(user_groups).where(user_groups.c.user_name.in_(names))
        for row in conn.execute(rows):
            before[row.user_name].add(row.group_name)
        changed |= {
            it: (before[it], wanted[it]) for it in names if before[it] != wanted[it]
        }
    for names in pieces(changed):
        conn.execute(delete(user_groups).where(user_groups.c.user_name.in_(names)))
    new = [
        {"user_name": name, "group_name": group}
        for name, (_, after) in changed.items()
        for group in sorted(after)
    ]
    if new:
        conn.execute(insert(user_groups), new)
    if changed:
        counters.advance(conn, "generation")
    return changed


def get(conn: Connection, name: str) -> Vouched | None:
    """Give the user of that name, `ISSUER|SUB`; None when no provider vouched for it."""
    found = select(federated_users).where(federated_users.c.user_name == name)
    row = conn.execute(found).first()
    return None if row is None else _vouched(row)


def known_as(conn: Connection, *, issuer: str, external_id: str) -> list[Vouched]:
    """Give whom a provider's provisioning means by an id; an empty id means nobody."""
    if not external_id:
        return []
    found = select(federated_users).where(
        federated_users.c.issuer == issuer,
        federated_users.c.external_id == external_id,
    )
    return [_vouched(row) for row in conn.execute(found)]


def all_known_as(
    conn: Connection, *, issuer: str, external_ids: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Give whom provisioning means by ids: name and id of each."""
    for some in pieces(external_ids):
        found = select(federated_users).where(
            federated_users.c.issuer == issuer,
            federated_users.c.external_id.in_(some),
        )
        for row in conn.execute(found):
            yield row.user_name, row.external_id


def take_turn(conn: Connection, *, name: str, now: UnixTime, seconds: int) -> bool:
    """Take the turn to ask a provider about a user; False when another process has it.

    A turn that nobody ends is over after `seconds`.
    """
    taken = conn.execute(
        update(federated_users)
        .where(federated_users.c.user_name == name, federated_users.c.asking_until <= now)
        .values(asking_until=now + seconds)
        .returning(federated_users.c.user_name)
    ).scalar()
    return taken is not None


def end_turn(conn: Connection, *, name: str) -> None:
    """Give the turn back."""
    same = federated_users.c.user_name == name
    conn.execute(update(federated_users).where(same).values(asking_until=0))


def _vouched(row: Row[tuple[object, ...]]) -> Vouched:
    who = FederatedUser(
        issuer=row.issuer,
        subject=row.subject,
        provider=row.provider,
        display_name=row.display_name,
        email=row.email,
        external_id=row.external_id,
    )
    return Vouched(who, UnixTime(row.checked_at))
