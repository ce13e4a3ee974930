"""Issue numbers: a place for each token in the order of issuing.

A number is a counter that never falls behind the clock: the second of issuing times a
million, or one more than the last, whichever is higher. The counter tells tokens of one
second apart. The clock covers what the counter forgot: a database that was restored from a
copy does not know which numbers were given out after that copy, but they belong to seconds
that are over, so a revocation of now is above them all. Numbers run ahead of the clock by
one second at most.
"""

from __future__ import annotations

from sqlalchemy import Connection

from bascule.clock import UnixTime
from bascule.storage import counters

PER_SECOND = 1_000_000


def take(conn: Connection, *, now: UnixTime) -> int:
    """Give a number that is higher than all before it."""
    return counters.advance(conn, "issued", at_least=now * PER_SECOND)


def close(conn: Connection, *, now: UnixTime) -> int:
    """Give a number that no token issued until now is above, and every later one is."""
    return counters.advance(conn, "issued", 0, at_least=(now + 1) * PER_SECOND - 1)
