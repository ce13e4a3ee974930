"""Deciding about a connector: make a statement, sign it, record it, keep its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bascule.app import proposals
from bascule.app.accepting import accepted_by, require_accepted
from bascule.app.approval_keys import SigningKey
from bascule.app.approvals import (
    Found,
    Picture,
    look,
    read_found,
    record_news,
    settle,
    take_in,
    verdicts,
)
from bascule.app.place import Place
from bascule.app.reviews import FILE, read_audits
from bascule.app.state import os_user
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.lock.approvals import Verdict
from bascule.lock.dsse import Envelope, pae, write_envelope
from bascule.lock.invisible import visible
from bascule.lock.ledger import DENIES, Ledger
from bascule.lock.model import Entry, LockFile, entry_digest, part_digests
from bascule.lock.reviews import Reviewed, assess_audits
from bascule.lock.rules import DAY, LONGEST_BREAK_GLASS, Trusted
from bascule.lock.statement import (
    Approval,
    Decision,
    canonical,
    statement,
    write_statement,
)
from bascule.lock.surface import Document, read_document
from bascule.scan.text.served import Judged
from bascule.storage import approvals
from bascule.storage.private_files import refuse_writable_by_others
from bascule.storage.store import Transaction

ATTEMPTS = 5
"""To be the next in a chain that others write to."""
_NEW = "the new statement"


class RefusedError(BasculeError):
    """The statement that was to be made would not count."""


class UnreviewedError(RefusedError):
    """A rule asks for reviews that nobody has made."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody decides."""

    decision: Decision
    reason: str
    seconds: int | None = None
    """How long an approval is to count; None for as long as the rules allow."""
    principal: str | None = None
    """Whom the key must belong to."""
    author: str = ""
    """Who made the entry, where this machine does not remember it."""
    findings: tuple[str, ...] = ()
    """Ids of what is accepted: advisories, and definitions (`Judged.id`)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What was recorded."""

    verdict: Verdict | None
    """On the connector as it stands now; None when the lock has no entry of it."""
    approval: Approval
    entry_digest: str
    path: str
    """Of the statement's file, below the configuration."""
    pending: str
    """Why the approvers that the files describe are not in force; empty if they are."""
    reviewed: Reviewed | None = None
    """Who has read the packages that were approved; None where nobody asked."""
    texts: tuple[Judged, ...] = ()
    """What the approved definitions say that somebody should look at."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where decisions are made: an installation, and files beside its configuration."""

    place: Place
    config_path: Path
    config: Config
    lock: LockFile
    documents: Path | None = None
    """Folder that has the `surfaces/` of what is decided; None for the configuration's."""

    def found(self) -> Found:
        """Read the files anew. Raises `BasculeError`."""
        return read_found(self.place, self.config_path, self.config, self.lock)


def decide_on(
    desk: Desk, name: str, key: SigningKey, wish: Wish, *, now: UnixTime
) -> Decided:
    """Record a decision about a connector's entry; durable on return.

    The log has it before it takes effect. Its files are written last, and anew by the next
    decision if this process ends before. Raises `RefusedError` for what would not count,
    `UnreviewedError` for an approval of packages that a rule wants to be read first,
    `UnacceptedError` for one of definitions that nobody should serve unasked.
    """
    entry = desk.lock.connectors.get(name)
    document = _document(desk, name, entry)
    documents = _documents(entry, document)
    texts = _texts(document, wish)
    reviewed = _reviewed(desk, entry, wish, now)
    store = desk.place.open_state()
    for _ in range(ATTEMPTS):
        found = desk.found()
        picture = take_in(desk.place, found, now=now)
        if reviewed is not None:
            _require_reviewed(picture, name, entry, reviewed)
        digest, approval = _approval(picture, name, entry, key, wish, now)
        content = sign(write_statement(statement(name, digest, approval)), key)
        offered = _offer(found, name, content)
        preview = store.read(partial(look, found=offered, now=now))
        if _is_overtaken(preview, name):
            continue
        said = {"reason": wish.reason, "os_user": os_user(), **accepted_by(texts)}
        record_news(desk.place, preview, said)
        keep = partial(_keep, found=offered, documents=documents, now=now)
        settled = store.run(keep)
        desk.place.note_change()
        if any(it.envelope == content for _, it in settled.fresh):
            path = _write_files(found, name, settled.admissions[name].ledger, documents)
            verdict = verdicts(settled, desk.lock.connectors, now=now).get(name)
            pending = settled.approvers.pending
            return Decided(verdict, approval, digest, path, pending, reviewed, texts)
    raise BasculeError(f"others decide about `{name}` all the time: run the command again")


def accept_proposal(desk: Desk, name: str) -> None:
    """Put an approved proposal into the lock file; running servers then read that anew."""
    proposals.accept(desk.config_path.parent, name)
    desk.place.open_state().run(approvals.note_change)


def sign(payload: bytes, key: SigningKey) -> bytes:
    """Put a signed payload into its envelope. Raises `BasculeError`."""
    signature = key.sign(pae(payload))
    return write_envelope(Envelope(payload, ((key.public.fingerprint, signature),)))


def principal_of(key: SigningKey, trusted: Trusted, wanted: str | None) -> str:
    """Say who signs with a key. Raises `RefusedError` when it may not."""
    signer = trusted.signers.find(key.public)
    if signer is None:
        known = ", ".join(sorted(trusted.signers.principals)) or "nobody"
        raise RefusedError(
            f"key {key.public.fingerprint} may not sign approvals: keys of {known} may; "
            "name yours with --key FILE"
        )
    if wanted not in {None, signer.principal}:
        raise RefusedError(f"the key belongs to `{signer.principal}`, not to `{wanted}`")
    return signer.principal


def _approval(
    picture: Picture,
    name: str,
    entry: Entry | None,
    key: SigningKey,
    wish: Wish,
    now: UnixTime,
) -> tuple[str, Approval]:
    """Make the predicate that comes next in the chain, and say about which entry it is."""
    trusted = picture.approvers.trusted
    if name not in picture.admissions:
        raise RefusedError(
            f"`{name}` is neither locked nor was it ever decided about: nothing of it is "
            "served in `enforce`, and nothing can be signed"
        )
    ledger = picture.admissions[name].ledger
    head = ledger.head
    if entry is not None:
        digest = entry_digest(entry)
    elif head is not None and wish.decision == "revoke":
        digest = head.entry_digest
    else:
        raise RefusedError(f"the lock has no entry of `{name}`: run `bascule lock {name}`")
    return digest, Approval(
        decision=wish.decision,
        approver=_approver(picture, key, wish),
        reason=wish.reason,
        sequence=1 if head is None else head.sequence + 1,
        predecessor="" if head is None else head.digest,
        issued=now,
        expires=now + _seconds(trusted, name, entry, ledger.owner, wish),
        author=_author(ledger, digest) or wish.author,
        parts={} if entry is None else part_digests(entry),
        findings=wish.findings,
    )


def _approver(picture: Picture, key: SigningKey, wish: Wish) -> str:
    try:
        return principal_of(key, picture.approvers.trusted, wish.principal)
    except RefusedError as exc:
        pending = picture.approvers.pending
        raise RefusedError(f"{exc}; {pending}" if pending else str(exc)) from exc


def _author(ledger: Ledger, digest: str) -> str:
    return min((who for entry, who in ledger.authors if entry == digest), default="")


def _seconds(
    trusted: Trusted, name: str, entry: Entry | None, before: str, wish: Wish
) -> int:
    """Say how long a statement counts. Raises `RefusedError` for longer than allowed."""
    if wish.decision in DENIES:
        return 0
    rule = trusted.rule_for(name, "" if entry is None else entry.access.owner, before)
    glass = wish.decision == "break_glass"
    longest = LONGEST_BREAK_GLASS if glass else rule.longest_seconds
    if wish.seconds is not None and wish.seconds > longest:
        shown = "24 hours" if glass else f"{longest // DAY} days"
        raise RefusedError(f"--expires is {shown} at most for this connector")
    return longest if wish.seconds is None else wish.seconds


def _document(desk: Desk, name: str, entry: Entry | None) -> Document | None:
    if entry is None or entry.surface is None:
        return None
    folder = desk.documents or desk.config_path.parent
    return read_document(folder, name, entry.surface)


def _documents(entry: Entry | None, document: Document | None) -> dict[str, bytes]:
    """Give what a decision is about, by digest: the entry, and the surface it names."""
    if entry is None or entry.surface is None or document is None:
        return {}
    return {
        entry_digest(entry): canonical(entry),
        entry.surface.set: canonical(document),
    }


def _texts(document: Document | None, wish: Wish) -> tuple[Judged, ...]:
    """Judge what would be served. Who denies, denies whatever it says."""
    if document is None or wish.decision in DENIES:
        return ()
    return require_accepted(document, wish.findings)


def _reviewed(
    desk: Desk, entry: Entry | None, wish: Wish, now: UnixTime
) -> Reviewed | None:
    """Say who has read what would be approved; nothing else may wait for that."""
    if entry is None or wish.decision != "approve":
        return None
    folder = desk.config_path.parent
    if (folder / FILE).exists():
        refuse_writable_by_others(folder / FILE)
    return assess_audits(entry, read_audits(folder), now=now)


def _require_reviewed(
    picture: Picture, name: str, entry: Entry | None, reviewed: Reviewed
) -> None:
    """Raise `UnreviewedError` unless each package meets what the rules in force ask for."""
    before = picture.admissions[name].ledger.owner
    owner = "" if entry is None else entry.access.owner
    for criterion in sorted(
        picture.approvers.trusted.rule_for(name, owner, before).audited
    ):
        missing = reviewed.unreviewed(criterion)
        if missing:
            count = f"{len(missing)} of {len(reviewed.packages)} packages are unreviewed"
            lines = "".join(f"\n  {visible(it)}" for it in missing)
            raise UnreviewedError(
                f"the rules ask for `{criterion}`, and {count}:{lines}\n"
                f"read them and write audits into `{FILE}`, take in those of others with "
                "`bascule import audits NAME FILE`, or exempt them for a time"
            )


def _offer(found: Found, name: str, content: bytes) -> Found:
    statements = {**found.statements[name], _NEW: content}
    return replace(found, statements={**found.statements, name: statements})


def _is_overtaken(preview: Picture, name: str) -> bool:
    """Tell whether others decided since the picture was taken that was decided on.

    Raises `RefusedError` when the statement would not count for any other reason.
    """
    for it in preview.admissions[name].refused:
        if it.where != _NEW:
            continue
        if it.state == "superseded":
            return True
        raise RefusedError(f"not recorded, it would not count: {it.reason}")
    return False


def _keep(
    conn: Transaction, *, found: Found, documents: dict[str, bytes], now: UnixTime
) -> Picture:
    for digest, content in documents.items():
        approvals.keep_document(conn, digest, content)
    return settle(conn, found=found, now=now)


def _write_files(
    found: Found, name: str, ledger: Ledger, documents: dict[str, bytes]
) -> str:
    """Write the files that the ledger has and the folder lacks; gives the newest's path."""
    for digest, content in documents.items():
        found.files.write_document(digest, content)
    path = ""
    for it in ledger.recorded:
        path = found.files.write_envelope(
            name, it.sequence, it.entry_digest, it.approver, it.envelope
        )
    return path
