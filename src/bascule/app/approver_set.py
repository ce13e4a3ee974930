"""Who may approve: what the files say, and what is in force.

The first set that is used is pinned in the state. Another one takes its place only when as
many have signed for it as the set before says; until then the files change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.app.approval_keys import own_signers
from bascule.app.files import read_text
from bascule.clock import UnixTime
from bascule.config.model import Approvals
from bascule.errors import BasculeError
from bascule.lock.rules import Trusted
from bascule.lock.signer_change import (
    Vote,
    counting,
    document_of,
    next_set,
    read_document,
    read_vote,
)
from bascule.lock.signers import Signers, parse_signers
from bascule.lock.statement import StatementError
from bascule.storage import approver_sets
from bascule.storage.approver_sets import PinnedSet
from bascule.storage.key_store import KeyStore
from bascule.storage.store import Transaction

SIGNERS_FILE = "allowed_signers"
"""Beside the configuration."""


@dataclass(frozen=True, slots=True)
class FoundSet:
    """What the files say: `allowed_signers`, else Bascule's own key, and `[approvals]`."""

    trusted: Trusted
    problem: str = ""
    """Why `allowed_signers` cannot be used; nobody may sign then."""


def found_set(config_path: Path, rules: Approvals, keys: KeyStore) -> FoundSet:
    """Read the set from the files. Raises `BasculeError` when a key cannot be read."""
    path = config_path.parent / SIGNERS_FILE
    if not path.exists():
        return FoundSet(Trusted(own_signers(keys), rules))
    if not path.is_file():  # to read a pipe would take for ever
        return FoundSet(Trusted(Signers(()), rules), f"`{path}` is no file")
    try:
        return FoundSet(Trusted(parse_signers(read_text(path)), rules))
    except BasculeError as exc:
        return FoundSet(Trusted(Signers(()), rules), str(exc))


@dataclass(frozen=True, slots=True)
class ApproverSet:
    """The set in force, and what led to it since it was pinned last."""

    trusted: Trusted
    number: int = 0
    """Of the last change; 0 when it is not known."""
    pinned: bool = False
    pending: str = ""
    """Why what the files say is not in force; empty if it is."""
    votes: tuple[Vote, ...] = ()
    """All for changes, of which some have led to it."""
    fresh_votes: Mapping[str, Vote] = field(default_factory=dict)
    fresh_sets: tuple[PinnedSet, ...] = ()

    def consenting(self, after: str) -> tuple[str, ...]:
        """Give who has signed for a set."""
        return tuple(sorted({it.change.approver for it in self.votes if it.after == after}))


def set_in_force(
    conn: Transaction, found: FoundSet, changes: Mapping[str, bytes], *, now: UnixTime
) -> ApproverSet:
    """Follow signed changes from the pinned set. `changes`: envelopes by file."""
    pin = approver_sets.pinned(conn)
    if pin is None:
        return ApproverSet(found.trusted, _number_of(found.trusted, changes, now))
    votes = {
        digest: read_vote(content, recorded_at=at)
        for digest, (content, at) in approver_sets.votes(conn).items()
    }
    known = set(votes)
    votes = {**_readable(changes, now), **votes}
    sets, number = [read_document(pin.document)], pin.number
    fresh = []
    wanted = found.trusted.digest
    while step := next_set(sets[-1], number, votes.values(), wanted=wanted, now=now):
        trusted, number = step
        sets.append(trusted)
        fresh.append(PinnedSet(number, trusted.digest, document_of(trusted)))
    counted = {
        digest: vote
        for digest, vote in votes.items()
        if digest in known or any(counting(vote, it, now=now) for it in sets)
    }
    return ApproverSet(
        sets[-1],
        number,
        pinned=True,
        pending=_pending(found, sets[-1]),
        votes=tuple(counted.values()),
        fresh_votes={key: vote for key, vote in counted.items() if key not in known},
        fresh_sets=tuple(fresh),
    )


def _readable(changes: Mapping[str, bytes], now: UnixTime) -> dict[str, Vote]:
    found = {}
    for content in changes.values():
        try:
            vote = read_vote(content, recorded_at=now)
        except StatementError:
            continue  # who put it there may mend it; it has no effect
        found[vote.digest] = vote
    return found


def _number_of(trusted: Trusted, changes: Mapping[str, bytes], now: UnixTime) -> int:
    """Give the number of the change that led to a set, as the files say; else 0."""
    votes = _readable(changes, now).values()
    return max((it.change.number for it in votes if it.after == trusted.digest), default=0)


def _pending(found: FoundSet, trusted: Trusted) -> str:
    if found.problem:
        return f"{found.problem}; the approvers before it stay in force"
    if found.trusted.digest == trusted.digest:
        return ""
    quorum = trusted.rule_for_changes().quorum
    return (
        f"`{SIGNERS_FILE}` or `[approvals]` was changed; the approvers before it stay in "
        f"force until {quorum} of them sign it: `bascule approve --signers`"
    )


def keep_set(conn: Transaction, found: ApproverSet, *, now: UnixTime) -> None:
    """Record what led to the set in force."""
    for digest, vote in found.fresh_votes.items():
        approver_sets.add_vote(conn, digest, vote.content, now=now)
    for each in found.fresh_sets:
        approver_sets.pin(conn, each, now=now)


def pin_first(conn: Transaction, found: ApproverSet, *, now: UnixTime) -> None:
    """Pin the set with its first use."""
    trusted = found.trusted
    fresh = PinnedSet(found.number, trusted.digest, document_of(trusted))
    approver_sets.pin(conn, fresh, now=now)
