"""Failed logins, by account and source: after some, the next must wait.

An attempt counts before its password is looked at, so that many at once get no more tries
than one after the other. Accounts are counted whether or not they exist, under a hash: the
text in that field may be a password.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, and_, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import login_failures

FREE_ATTEMPTS = 5
"""Failures after which the next attempt has to wait."""
FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 15 * 60
FORGET_SECONDS = 3600
"""Time without an attempt after which earlier failures do not count."""

_table = login_failures.c


def wait_seconds(failures: int) -> int:
    """Give how long the attempt after so many failures has to wait."""
    if failures < FREE_ATTEMPTS:
        return 0
    doublings = min(failures - FREE_ATTEMPTS, 16)
    return min(FIRST_WAIT_SECONDS << doublings, LONGEST_WAIT_SECONDS)


def begin_attempt(conn: Connection, *, name: str, source: str, now: UnixTime) -> int:
    """Count an attempt, as failed until `succeeded`; gives how many seconds it must wait.

    0 means that it may go on; more, that it must not and was not counted.
    """
    conn.execute(delete(login_failures).where(_table.last_at < now - FORGET_SECONDS))
    row = and_(_table.account_hash == _account(name), _table.source == source)
    counted = conn.execute(
        update(login_failures)
        .where(row, _table.blocked_until <= now)
        .values(failures=_table.failures + 1, last_at=now)
        .returning(_table.failures)
    ).scalar()
    if counted is None:
        blocked_until = conn.execute(select(_table.blocked_until).where(row)).scalar()
        if blocked_until is not None:
            return int(blocked_until) - now
        counted = 1
        values = {"failures": counted, "last_at": now, "blocked_until": 0}
        key = {"account_hash": _account(name), "source": source}
        conn.execute(insert(login_failures).values({**key, **values}))
    wait = wait_seconds(counted)
    if wait:
        blocked = update(login_failures).where(row)
        conn.execute(blocked.values(blocked_until=now + wait))
    return 0


def succeeded(conn: Connection, *, name: str, source: str) -> None:
    """Forget the failures of an account from a source."""
    conn.execute(
        delete(login_failures).where(
            _table.account_hash == _account(name), _table.source == source
        )
    )


def _account(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
