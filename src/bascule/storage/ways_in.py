"""Ways in: a user is given a password or a passkey, whole transactions each."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.storage import (
    browser_sessions,
    federated_users,
    first_admin,
    passkeys,
    passwords,
    users,
)


class WayInRefusedError(BasculeError):
    """It cannot be given: the passkey is there already, or its challenge was used."""


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password in place of the one before."""

    hash: str


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey beside those that there are."""

    credential_id: bytes
    user_handle: bytes
    public_key: bytes
    sign_count: int
    challenge_hash: bytes
    challenge_expires_at: UnixTime


WayIn = NewPassword | NewPasskey


def exists(conn: Connection, *, name: str) -> bool:
    """Tell whether a user has been set up."""
    return passwords.hash_of(conn, name=name) is not None or bool(
        passkeys.of_user(conn, name=name)
    )


def give(conn: Connection, *, name: str, way: WayIn, now: UnixTime) -> None:
    """Give a user a way in. Raises `WayInRefusedError`.

    None to whom an identity provider vouches for: it would stay open when the account there
    is closed.
    """
    if federated_users.get(conn, name) is not None:
        raise WayInRefusedError("an identity provider vouches for this user")
    if isinstance(way, NewPassword):
        passwords.replace(conn, name=name, hash_=way.hash, now=now)
        return
    fresh = passkeys.spend_challenge(
        conn,
        challenge_hash=way.challenge_hash,
        expires_at=way.challenge_expires_at,
        now=now,
    )
    if not fresh or not passkeys.add(
        conn,
        credential_id=way.credential_id,
        name=name,
        user_handle=way.user_handle,
        public_key=way.public_key,
        sign_count=way.sign_count,
        now=now,
    ):
        raise WayInRefusedError("this passkey cannot be added")


def set_up(
    conn: Connection, *, link_hash: bytes, name: str, way: WayIn, now: UnixTime
) -> bool:
    """Spend the set-up link of a user and give it a way in.

    False when the link is not good, or no longer. Raises `WayInRefusedError`, and then the
    link is as good as before.
    """
    if not users.spend_setup_link(conn, setup_hash=link_hash, name=name, now=now):
        return False
    browser_sessions.end_all(conn, name=name)
    give(conn, name=name, way=way, now=now)
    return True


def set_up_first_admin(
    conn: Connection, *, link_hash: bytes, name: str, way: WayIn, now: UnixTime
) -> bool:
    """Spend the first administrator's link, and add that user with a way in.

    False when the link is not good, or no longer. Raises `WayInRefusedError` also when
    there is a user of that name; then the link is as good as before.
    """
    if not first_admin.spend(conn, token_hash=link_hash, now=now):
        return False
    added = users.add(
        conn,
        name=name,
        groups=(),
        is_admin=True,
        setup_hash=None,
        setup_expires_at=None,
        now=now,
    )
    if not added:
        raise WayInRefusedError("there is a user of that name")
    give(conn, name=name, way=way, now=now)
    return True
