"""Changing who may approve: one person's consent to what the files say now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import msgspec

from bascule.app.approval_files import APPROVERS
from bascule.app.approval_keys import SigningKey
from bascule.app.approvals import Picture, look, record_news, settle, take_in
from bascule.app.approver_set import SIGNERS_FILE, pin_first
from bascule.app.approving import Desk, RefusedError, principal_of, sign
from bascule.app.state import os_user, record_admin
from bascule.clock import UnixTime
from bascule.lock.signer_change import (
    Change,
    SetDocument,
    change_statement,
    counting,
    read_vote,
    write_change,
)
from bascule.storage import approvals
from bascule.storage.store import Transaction

_NEW = "the new statement"


@dataclass(frozen=True, slots=True)
class Changed:
    """What has become of a change of the approvers."""

    digest: str
    """Of the set that the files describe."""
    number: int
    in_force: bool
    have: tuple[str, ...]
    """Who has signed it."""
    quorum: int
    """How many of the set before must."""
    path: str
    """Of the statement's file, below the configuration."""


def change_approvers(
    desk: Desk, key: SigningKey, reason: str, principal: str | None, *, now: UnixTime
) -> Changed:
    """Sign for the approvers that the files describe; they are in force once enough have.

    The log has it before it takes effect. Raises `RefusedError` when there is nothing to
    sign, or the key may not.
    """
    found = desk.found()
    before = take_in(desk.place, found, now=now).approvers
    wanted = found.approvers.trusted
    if found.approvers.problem:
        raise RefusedError(found.approvers.problem)
    if not before.pinned or wanted.digest == before.trusted.digest:
        raise RefusedError(
            f"nothing is to be signed: what `{SIGNERS_FILE}` and `[approvals]` say is in "
            "force, or will be with the first approval"
        )
    change = Change(
        approver=principal_of(key, before.trusted, principal),
        reason=reason,
        issued=now,
        number=before.number + 1,
        before=before.trusted.digest,
        document=msgspec.convert(wanted.document(), SetDocument),
    )
    content = sign(write_change(change_statement(change)), key)
    vote = read_vote(content, recorded_at=now)
    if not counting(vote, before.trusted, now=now):
        raise RefusedError(f"{change.approver} may not change who may approve")
    offered = replace(found, changes={**found.changes, _NEW: content})
    store = desk.place.open_state()
    preview = store.read(partial(look, found=offered, now=now))
    record_news(desk.place, preview, {"reason": reason, "os_user": os_user()})
    settled: Picture = store.run(partial(settle, found=offered, now=now))
    desk.place.note_change()
    path = found.files.write_envelope(
        APPROVERS, change.number, vote.after, change.approver, content
    )
    return Changed(
        digest=vote.after,
        number=change.number,
        in_force=settled.approvers.trusted.digest == vote.after,
        have=settled.approvers.consenting(vote.after),
        quorum=before.trusted.rule_for_changes().quorum,
        path=path,
    )


def replace_approvers(desk: Desk, reason: str, *, now: UnixTime) -> str:
    """Put in force what the files say, unsigned; all approvals by now become void.

    For who has lost the keys that could sign. Gives the new set's digest. Raises
    `RefusedError`.
    """
    found = desk.found()
    if found.approvers.problem:
        raise RefusedError(found.approvers.problem)
    digest = found.approvers.trusted.digest
    admin = {
        "os_user": os_user(),
        "reason": reason,
        "set": digest,
        "unsafe": "replaced without signatures",
    }
    kind = "approval.approvers"
    record_admin(desk.place, kind, admin, user=None, agent=None, connector=None)

    def work(conn: Transaction) -> None:
        before = look(conn, found=found, now=now).approvers
        # With the next number no consent that was given before can count again.
        number = before.number + 1
        fresh = replace(before, trusted=found.approvers.trusted, number=number)
        approvals.void_all(conn)
        pin_first(conn, fresh, now=now)

    desk.place.open_state().run(work)
    desk.place.note_change()
    return digest
