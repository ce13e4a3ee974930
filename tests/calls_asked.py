"""A call that waits for a human, and people around it, for tests of the state."""

from __future__ import annotations

from bascule.clock import UnixTime
from bascule.storage import users
from bascule.storage.call_approvals import CallRequest
from bascule.storage.store import Transaction

CALL = CallRequest(
    user="user:alice",
    agent="desk-app",
    connector="files",
    tool="delete",
    definition="d" * 64,
    arguments_digest="a" * 64,
    policy_digest="p" * 64,
    binding="b" * 64,
    rules=("payments",),
)


def add_user(
    conn: Transaction,
    name: str,
    *groups: str,
    is_admin: bool = False,
    now: UnixTime,
) -> None:
    """Add a user who has a login already."""
    users.add(
        conn,
        name=name,
        groups=groups,
        is_admin=is_admin,
        setup_hash=None,
        setup_expires_at=None,
        now=now,
    )
