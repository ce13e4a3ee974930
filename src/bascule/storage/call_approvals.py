"""Calls that wait for a human: asked, decided, used once, and over.

An approval is for one exact call: its binding is a digest over who calls what with which
arguments, under which definition and policies. Nothing here can be used for another call,
twice, or after its time; what does not come in time is a refusal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)

from bascule.clock import UnixTime
from bascule.storage import call_votes, issue_numbers, revocations
from bascule.storage.call_votes import REQUESTER, Decision, Vote
from bascule.storage.schema import call_approval_votes
from bascule.storage.schema import call_approvals as table

LIFETIME_SECONDS = 300
"""To decide, from the question on; to call, from the decision on. A refusal holds as long:
an agent that repeats itself asks nobody again."""
CHAIN_SECONDS = 900
"""From each round of a call to the next, as long as what its server asks for is good."""
KEPT_SECONDS = 86400
"""How long one that is over can be looked at; the log has it for ever."""
MAX_PENDING = 32
"""Of one agent for one user: people who are asked too much approve anything."""

_ID = re.compile(r"[0-9a-f]{32}")

State = Literal["pending", "approved", "denied", "used", "expired"]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """The exact call that somebody is to approve."""

    user: str | None
    """`user:NAME` or `user:ISSUER|SUB`; None when the agent acts by itself."""
    agent: str
    connector: str
    tool: str
    definition: str
    """Digest of the tool's definition; empty where none is compared."""
    arguments_digest: str
    policy_digest: str
    rules: tuple[str, ...]
    """Names of the rules that ask for it; each must be content."""
    binding: str
    """SHA-256 over all of the above, in hex."""


@dataclass(frozen=True, slots=True)
class CallApproval:
    """One question, as it stands."""

    id: str
    state: State
    request: CallRequest
    sealed_arguments: bytes | None = field(repr=False)
    """None once it is over."""
    asked_at: UnixTime
    expires_at: UnixTime
    round: int
    """How often it was used."""
    votes: tuple[Vote, ...]
    lost: bool
    """Somebody it hangs on was revoked or disabled meanwhile."""

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who has approved, in the order in which they did."""
        return tuple(it.approver for it in self.votes if it.decision == "approve")


def is_id(text: str) -> bool:
    """Tell whether a text that somebody has typed can be the id of one."""
    return _ID.fullmatch(text) is not None


def ask(
    conn: Connection,
    request: CallRequest,
    *,
    approval_id: str,
    sealed_arguments: bytes,
    now: UnixTime,
) -> CallApproval | None:
    """Ask, unless the same is asked or answered already: then give that one.

    `approval_id`: 128 random bits in hex; it stands in links, and is no secret.

    None when as many as may wait for this user and agent.
    """
    known = latest(conn, request.binding, now=now)
    if known is not None:
        return known
    waiting = select(func.count()).where(
        table.c.user_name.is_not_distinct_from(request.user),
        table.c.client_id == request.agent,
        table.c.state == "pending",
        table.c.expires_at > now,
    )
    if conn.execute(waiting).scalar_one() >= MAX_PENDING:
        return None
    conn.execute(
        insert(table).values(
            id=approval_id,
            number=issue_numbers.take(conn, now=now),
            binding=request.binding,
            user_name=request.user,
            client_id=request.agent,
            connector=request.connector,
            tool=request.tool,
            definition=request.definition,
            arguments_digest=request.arguments_digest,
            policy_digest=request.policy_digest,
            rules=json.dumps(request.rules),
            sealed_arguments=sealed_arguments,
            state="pending",
            asked_at=now,
            expires_at=now + LIFETIME_SECONDS,
            round=0,
        )
    )
    return find(conn, approval_id, now=now)


def find(conn: Connection, approval_id: str, *, now: UnixTime) -> CallApproval | None:
    """Give one by its id, whether or not it still counts; None when there is none."""
    found = _read(conn, select(table).where(table.c.id == approval_id), now)
    return next(iter(found), None)


def is_pending(conn: Connection, approval_id: str, *, now: UnixTime) -> bool:
    """Tell whether a question is neither decided nor over: one cheap query."""
    query = select(table.c.id).where(
        table.c.id == approval_id, table.c.state == "pending", table.c.expires_at > now
    )
    return conn.execute(query).first() is not None


def latest(conn: Connection, binding: str, *, now: UnixTime) -> CallApproval | None:
    """Give what an equal call meets: a question that is open, a decision that holds."""
    same = select(table).where(table.c.binding == binding, table.c.expires_at > now)
    found = _read(conn, same, now)
    return next((it for it in found if it.state not in {"used", "expired"}), None)


def pending(conn: Connection, *, now: UnixTime) -> list[CallApproval]:
    """Give all that wait, newest first."""
    waiting = select(table).where(table.c.state == "pending", table.c.expires_at > now)
    return [it for it in _read(conn, waiting, now) if it.state == "pending"]


def every(conn: Connection, *, now: UnixTime) -> list[CallApproval]:
    """Give all that are kept, newest first."""
    return _read(conn, select(table), now)


def vote(
    conn: Connection,
    approval_id: str,
    *,
    approver: str,
    decision: Decision,
    rules: frozenset[str],
    quorums: Mapping[str, int],
    now: UnixTime,
) -> CallApproval | None:
    """Note what a human says: one denies the call, enough of them approve it.

    `rules`: by which of those that ask the approver may decide. `quorums`: how many must
    approve, by rule. None when it is no longer open, or the approver has spoken already.
    """
    found = find(conn, approval_id, now=now)
    if found is None or found.state != "pending":
        return None
    if any(it.approver == approver for it in found.votes):
        return None
    said = Vote(approver, decision, tuple(sorted(rules)))
    call_votes.keep(conn, approval_id, said, now=now)
    asked = found.request
    votes = call_votes.of(conn, approval_id, agent=asked.agent, connector=asked.connector)
    state = call_votes.outcome(asked.rules, votes, quorums)
    if state != "pending":
        changes: dict[str, object] = {"expires_at": now + LIFETIME_SECONDS, "state": state}
        if state == "denied":
            changes["sealed_arguments"] = None
        conn.execute(update(table).where(table.c.id == approval_id).values(changes))
    return find(conn, approval_id, now=now)


def withdraw(conn: Connection, approval_id: str, *, now: UnixTime) -> bool:
    """Take a question back for the client that asked; False when it is no longer open."""
    after = vote(
        conn,
        approval_id,
        approver=REQUESTER,
        decision="deny",
        rules=frozenset(),
        quorums={},
        now=now,
    )
    return after is not None


def use(
    conn: Connection, approval_id: str, *, binding: str, round: int, now: UnixTime
) -> bool:
    """Use an approval for one round of its call: 1 for the call itself.

    The change is one statement, so that of several who come with the same round exactly one
    gets it. False also when the approval is of another call, its time is over, or somebody
    it hangs on was revoked or disabled meanwhile.
    """
    found = find(conn, approval_id, now=now)
    if found is None or found.lost:
        return False
    won = conn.execute(
        update(table)
        .where(
            table.c.id == approval_id,
            table.c.binding == binding,
            table.c.state == ("approved" if round == 1 else "used"),
            table.c.round == round - 1,
            table.c.expires_at > now,
        )
        .values(
            state="used",
            round=round,
            sealed_arguments=None,
            expires_at=now + CHAIN_SECONDS,
        )
        .returning(table.c.id)
    ).scalar()
    return won is not None


def has_overdue(conn: Connection, *, now: UnixTime) -> bool:
    """Tell whether `end_overdue` would do something: one cheap query."""
    due = _overdue(now) | (table.c.expires_at <= now - KEPT_SECONDS)
    return conn.execute(select(table.c.id).where(due).limit(1)).first() is not None


def end_overdue(conn: Connection, *, now: UnixTime) -> list[CallApproval]:
    """End what nobody decided or used in time, and give it; forget what is long over.

    The arguments go at the same time. Of several who do it one is given each.
    """
    old = select(table.c.id).where(table.c.expires_at <= now - KEPT_SECONDS)
    of_old = call_approval_votes.c.approval_id.in_(old.scalar_subquery())
    conn.execute(delete(call_approval_votes).where(of_old))
    conn.execute(delete(table).where(table.c.expires_at <= now - KEPT_SECONDS))
    found = _read(conn, select(table).where(_overdue(now)), now)
    ending = update(table).where(table.c.id.in_([it.id for it in found]))
    conn.execute(ending.values(state="expired", sealed_arguments=None))
    return found


def _overdue(now: UnixTime) -> ColumnElement[bool]:
    return table.c.state.in_(["pending", "approved"]) & (table.c.expires_at <= now)


def _read(
    conn: Connection, query: Select[tuple[object, ...]], now: UnixTime
) -> list[CallApproval]:
    rows = conn.execute(query.order_by(table.c.number.desc())).all()
    return [_approval(conn, row, now) for row in rows]


def _approval(
    conn: Connection, row: Row[tuple[object, ...]], now: UnixTime
) -> CallApproval:
    request = CallRequest(
        user=row.user_name,
        agent=row.client_id,
        connector=row.connector,
        tool=row.tool,
        definition=row.definition,
        arguments_digest=row.arguments_digest,
        policy_digest=row.policy_digest,
        binding=row.binding,
        rules=tuple(json.loads(row.rules)),
    )
    votes = call_votes.of(conn, row.id, agent=request.agent, connector=request.connector)
    decided = row.state in {"approved", "used"}
    lost = (decided and not all(it.stands for it in votes)) or revocations.covers(
        conn,
        number=row.number,
        user=request.user or "",
        client_id=request.agent,
        connector=request.connector,
        grant_id=None,
    )
    open_ = row.state in {"pending", "approved"}
    return CallApproval(
        id=row.id,
        state="expired" if open_ and (lost or row.expires_at <= now) else row.state,
        request=request,
        sealed_arguments=row.sealed_arguments,
        asked_at=UnixTime(row.asked_at),
        expires_at=UnixTime(row.expires_at),
        round=row.round,
        votes=votes,
        lost=lost,
    )
