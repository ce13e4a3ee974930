"""Changes of who may approve: signed by as many as the set before says.

    {"_type": "https://in-toto.io/Statement/v1",
     "subject": [{"name": "approvers", "digest": {"sha256": AFTER}}],
     "predicateType": "urn:bascule:approvers:v1",
     "predicate": {"approver": …, "number": 2, "before": …, "document": {…}}}

The set itself is part of the statement, so that a chain of changes can be followed where
only its last set is at hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from bascule.clock import UnixTime
from bascule.config.model import Approvals
from bascule.lock.approvals import LEEWAY_SECONDS
from bascule.lock.dsse import parse_envelope
from bascule.lock.ledger import UnfitError
from bascule.lock.model import LockError
from bascule.lock.rules import Trusted
from bascule.lock.signed import valid_signers
from bascule.lock.signers import SignersError, parse_signers
from bascule.lock.statement import (
    Part,
    Sha256,
    StatementError,
    Text,
    canonical,
    convert_strictly,
    statement_digest,
)


class SetSubject(Part, frozen=True):
    """The set that is to be in force, by its digest."""

    name: Literal["approvers"]
    digest: dict[Literal["sha256"], Sha256]


class SetDocument(Part, frozen=True):
    """A set: signers and rules in the one form of all files that mean the same."""

    allowed_signers: str
    approvals: dict[str, Any]


class Change(Part, frozen=True, kw_only=True):
    """The predicate."""

    approver: Annotated[str, Meta(min_length=1, max_length=200)]
    reason: Text
    issued: Annotated[int, Meta(ge=0, le=1 << 53)]
    """Unix time."""
    number: Annotated[int, Meta(ge=1, le=1 << 53)]
    """Of the change; the same for all who sign it."""
    before: Sha256
    """Digest of the set that is in force."""
    document: SetDocument
    """The set that takes its place."""


class ChangeStatement(Part, frozen=True):
    """One person's consent to a change of the set."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: tuple[SetSubject]
    predicate_type: Literal["urn:bascule:approvers:v1"] = field(name="predicateType")
    predicate: Change


@dataclass(frozen=True, slots=True)
class Vote:
    """A well-formed statement for a change, not yet verified."""

    content: bytes
    digest: str
    change: Change
    after: str
    recorded_at: UnixTime


def change_statement(change: Change) -> ChangeStatement:
    """Make a statement for a change."""
    subject = SetSubject("approvers", {"sha256": set_digest(change.document)})
    return ChangeStatement(
        "https://in-toto.io/Statement/v1", (subject,), "urn:bascule:approvers:v1", change
    )


def write_change(value: ChangeStatement) -> bytes:
    """Write a statement in its canonical form: what is signed. Raises `StatementError`."""
    return canonical(value)


def read_vote(content: bytes, *, recorded_at: UnixTime) -> Vote:
    """Read an envelope with a statement for a change. Raises `StatementError`."""
    payload = parse_envelope(content).payload
    found: ChangeStatement = convert_strictly(payload, ChangeStatement)
    after = found.subject[0].digest["sha256"]
    if write_change(found) != payload or set_digest(found.predicate.document) != after:
        raise StatementError("the statement is not in its canonical form (RFC 8785)")
    return Vote(content, statement_digest(payload), found.predicate, after, recorded_at)


def set_digest(document: SetDocument) -> str:
    """Hash a set. Raises `StatementError`."""
    return trusted_from(document).digest


def trusted_from(document: SetDocument) -> Trusted:
    """Read a set, which must be in its one form. Raises `StatementError`."""
    try:
        signers = parse_signers(document.allowed_signers)
        found = Trusted(signers, msgspec.convert(document.approvals, Approvals))
    except (SignersError, msgspec.ValidationError) as exc:
        raise StatementError(f"names a set that cannot be used: {exc}") from exc
    if canonical(found.document()) != canonical(document):
        raise StatementError("names a set that is not in its one form")
    return found


def document_of(trusted: Trusted) -> bytes:
    """Write a set in its canonical form, to be kept."""
    return canonical(trusted.document())


def read_document(content: bytes) -> Trusted:
    """Read what `document_of` wrote. Raises `LockError`."""
    try:
        return trusted_from(msgspec.convert(json.loads(content), SetDocument))
    except (ValueError, StatementError) as exc:
        raise LockError("the pinned signers cannot be read") from exc


def next_set(
    trusted: Trusted, number: int, votes: Iterable[Vote], *, wanted: str, now: UnixTime
) -> tuple[Trusted, int] | None:
    """Give the set that takes the place of `trusted`, and the number of the change.

    `number`: of the change that led to `trusted`; 0 when that is not known, and then any
    change of it will do. `wanted`: digest of the set in the files, which decides where
    enough have signed two changes that contradict each other. None unless enough have.
    """
    persons: dict[tuple[int, str], set[str]] = {}
    sets: dict[str, SetDocument] = {}
    for vote in votes:
        change = vote.change
        fits = change.number == number + 1 or number == 0
        if fits:
            sets[vote.after] = change.document
            by = persons.setdefault((change.number, vote.after), set())
            by |= counting(vote, trusted, now=now)
    quorum = trusted.rule_for_changes().quorum
    done = [key for key, by in persons.items() if len(by) >= quorum]
    if len(done) > 1:
        done = [key for key in done if key[1] == wanted]
    if len(done) != 1:
        return None
    ((changed, after),) = done
    return trusted_from(sets[after]), changed


def counting(vote: Vote, trusted: Trusted, *, now: UnixTime) -> frozenset[str]:
    """Give who has validly signed a change of that set and may."""
    rule = trusted.rule_for_changes()
    issued = UnixTime(vote.change.issued)
    timely = issued <= now + LEEWAY_SECONDS and now < issued + rule.longest_seconds
    if vote.change.before != trusted.digest or not timely:
        return frozenset()
    envelope = parse_envelope(vote.content)
    try:
        found = valid_signers(envelope, trusted.signers, issued, vote.recorded_at)
    except UnfitError:
        return frozenset()
    return found & rule.approvers if vote.change.approver in found else frozenset()
