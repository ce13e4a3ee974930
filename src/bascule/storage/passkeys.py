"""Passkeys: WebAuthn credentials of local users, and challenges that were used."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import passkeys, used_challenges, users


@dataclass(frozen=True, slots=True)
class Passkey:
    """One credential."""

    credential_id: bytes
    name: str
    """The user's name."""
    user_handle: bytes
    public_key: bytes
    """COSE key (RFC 9052)."""
    sign_count: int
    created_at: UnixTime
    used_at: UnixTime | None


def add(
    conn: Connection,
    *,
    credential_id: bytes,
    name: str,
    user_handle: bytes,
    public_key: bytes,
    sign_count: int,
    now: UnixTime,
) -> bool:
    """Add a passkey; False when somebody has one of that id."""
    if find(conn, credential_id=credential_id, enabled_only=False) is not None:
        return False
    conn.execute(
        insert(passkeys).values(
            credential_id=credential_id,
            user_name=name,
            user_handle=user_handle,
            public_key=public_key,
            sign_count=sign_count,
            created_at=now,
        )
    )
    return True


def find(
    conn: Connection, *, credential_id: bytes, enabled_only: bool = True
) -> Passkey | None:
    """Give a passkey, of an enabled user unless said otherwise."""
    query = select(passkeys).where(passkeys.c.credential_id == credential_id)
    if enabled_only:
        query = query.join(users, users.c.name == passkeys.c.user_name)
        query = query.where(users.c.disabled_at.is_(None))
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else _passkey(dict(row))


def of_user(conn: Connection, *, name: str) -> list[Passkey]:
    """Give a user's passkeys, oldest first."""
    query = select(passkeys).where(passkeys.c.user_name == name)
    ordered = query.order_by(passkeys.c.created_at, passkeys.c.credential_id)
    return [_passkey(dict(row)) for row in conn.execute(ordered).mappings()]


def use(
    conn: Connection,
    *,
    challenge_hash: bytes,
    expires_at: UnixTime,
    credential_id: bytes,
    sign_count: int,
    now: UnixTime,
) -> bool:
    """Note that a passkey has answered a challenge, which is then used up.

    False when the challenge was used before, the passkey is gone, or its counter has gone
    on meanwhile: a counter that does not rise means a copy (WebAuthn §6.1.1); many count
    nothing and stay at 0.
    """
    if not spend_challenge(
        conn, challenge_hash=challenge_hash, expires_at=expires_at, now=now
    ):
        return False
    counter = passkeys.c.sign_count
    grown = (counter < sign_count) if sign_count else (counter == 0)
    changed = conn.execute(
        update(passkeys)
        .where(passkeys.c.credential_id == credential_id, grown)
        .values(sign_count=sign_count, used_at=now)
        .returning(passkeys.c.credential_id)
    ).scalar()
    return changed is not None


def remove(conn: Connection, *, name: str, credential_id: bytes) -> bool:
    """Take one of a user's passkeys away; False when it has no such one."""
    gone = conn.execute(
        delete(passkeys)
        .where(passkeys.c.user_name == name, passkeys.c.credential_id == credential_id)
        .returning(passkeys.c.credential_id)
    ).scalar()
    return gone is not None


def remove_all(conn: Connection, *, name: str) -> None:
    """Take all of a user's passkeys away."""
    conn.execute(delete(passkeys).where(passkeys.c.user_name == name))


def spend_challenge(
    conn: Connection, *, challenge_hash: bytes, expires_at: UnixTime, now: UnixTime
) -> bool:
    """Use a challenge up; False when it was used before.

    Of two at once one fails on the key at the latest, and with it its transaction.
    """
    conn.execute(delete(used_challenges).where(used_challenges.c.expires_at <= now))
    query = select(used_challenges).where(
        used_challenges.c.challenge_hash == challenge_hash
    )
    if conn.execute(query).first() is not None:
        return False
    conn.execute(
        insert(used_challenges).values(challenge_hash=challenge_hash, expires_at=expires_at)
    )
    return True


def _passkey(row: dict[str, object]) -> Passkey:
    return Passkey(name=row.pop("user_name"), **row)  # type: ignore[arg-type]
