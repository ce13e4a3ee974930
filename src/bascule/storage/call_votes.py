"""What humans have said to calls that wait for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Row, insert, select

from bascule.clock import UnixTime
from bascule.storage import issue_numbers, revocations, users
from bascule.storage.schema import call_approval_votes as table

Decision = Literal["approve", "deny"]
Outcome = Literal["pending", "approved", "denied"]

REQUESTER = "requester"
"""Stands where an approver would, when the client took its question back."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one human said."""

    approver: str
    """`user:NAME`, `os:NAME` of who acts on the data directory, or `REQUESTER`."""
    decision: Decision
    rules: tuple[str, ...]
    """By which of the rules that ask the approver may decide."""
    stands: bool = True
    """The approver has not been disabled or revoked since."""


def outcome(
    rules: tuple[str, ...], votes: tuple[Vote, ...], quorums: Mapping[str, int]
) -> Outcome:
    """Say what votes come to: one that denies is enough, each rule needs its quorum.

    A rule that has no quorum, because it is not in force any more, is never content.
    """
    if any(it.decision == "deny" for it in votes):
        return "denied"
    content = bool(rules)
    for rule in rules:
        count = sum(it.stands and rule in it.rules for it in votes)
        content = content and rule in quorums and count >= max(1, quorums[rule])
    return "approved" if content else "pending"


def keep(conn: Connection, approval_id: str, vote: Vote, *, now: UnixTime) -> None:
    """Keep a vote; each approver has one."""
    conn.execute(
        insert(table).values(
            approval_id=approval_id,
            approver=vote.approver,
            number=issue_numbers.take(conn, now=now),
            decision=vote.decision,
            rules=json.dumps(vote.rules),
            decided_at=now,
        )
    )


def of(
    conn: Connection, approval_id: str, *, agent: str, connector: str
) -> tuple[Vote, ...]:
    """Give the votes about a call of that agent at that connector, oldest first."""
    rows = conn.execute(
        select(table).where(table.c.approval_id == approval_id).order_by(table.c.number)
    ).all()
    return tuple(
        Vote(
            row.approver,
            row.decision,
            tuple(json.loads(row.rules)),
            stands=_stands(conn, row, agent, connector),
        )
        for row in rows
    )


def _stands(
    conn: Connection, row: Row[tuple[object, ...]], agent: str, connector: str
) -> bool:
    if row.approver.startswith("user:"):
        found = users.get(conn, row.approver.removeprefix("user:"))
        if found is None or found.disabled:
            return False
    return not revocations.covers(
        conn,
        number=row.number,
        user=row.approver,
        client_id=agent,
        connector=connector,
        grant_id=None,
    )
