"""Whether an entry of the lock is approved: one pure function, which denies on any doubt.

What counts is the ledger: statements that this installation has recorded. An approval is
verified again here, against the signers and rules in force now, so that nobody's approval
outlives their right to give it. What denies stays in force whoever may sign today.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bascule.clock import UnixTime
from bascule.lock.invisible import visible
from bascule.lock.ledger import Ledger, State, UnfitError
from bascule.lock.model import Entry, entry_digest
from bascule.lock.rules import LONGEST_BREAK_GLASS, Rule, Trusted
from bascule.lock.signed import Signed, read_signed
from bascule.storage.approvals import Recorded

MAX_SAID = 400
"""Characters of what a file of others made us say."""
LEEWAY_SECONDS = 30
"""How far an approver's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an entry may be served: only if `state` is `approved`."""

    state: State
    reason: str
    """A sentence, which says what to do about it."""
    expires: UnixTime | None = None
    """When the approval ends."""
    approvers: tuple[str, ...] = ()
    """Whose statements count."""
    sequence: int = 0
    """Highest number in the connector's chain; 0 without one."""
    break_glass: bool = False
    """Approved by one person for an emergency."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A statement that was found and is not recorded."""

    where: str
    """Its file."""
    state: State
    reason: str


@dataclass(slots=True)
class Tally:
    """The approvals of an entry that count, and why others do not."""

    votes: dict[str, UnixTime] = field(default_factory=dict)
    """Until when, by person."""
    glass: dict[str, UnixTime] = field(default_factory=dict)
    """The same, of those who broke the glass."""
    problems: list[UnfitError] = field(default_factory=list)


def judge(
    name: str,
    entry: Entry,
    refused: Sequence[Refused],
    trusted: Trusted,
    ledger: Ledger,
    *,
    now: UnixTime,
) -> Verdict:
    """Say whether a connector's entry is approved.

    `refused`: what was found and does not count; it only says why. Time never goes back
    behind what was recorded last.
    """
    digest = entry_digest(entry)
    head = ledger.head
    sequence = 0 if head is None else head.sequence
    if entry.surface is None:
        reason = f"has no captured surface: run `bascule lock {name}`"
        return Verdict("no_surface", reason, sequence=sequence)
    rule = trusted.rule_for(name, entry.access.owner, ledger.owner)
    count = tally(name, digest, rule, trusted, ledger, now=now)
    if len(count.votes) >= rule.quorum:
        expires = sorted(count.votes.values(), reverse=True)[rule.quorum - 1]
        return Verdict("approved", "is approved", expires, _names(count.votes), sequence)
    if count.glass:
        expires = max(count.glass.values())
        reason = "is approved for an emergency"
        return Verdict("approved", reason, expires, _names(count.glass), sequence, True)
    state, why = _why_not(name, digest, rule, count, ledger, refused)
    return Verdict(state, why, None, _names(count.votes), sequence)


def tally(
    name: str, digest: str, rule: Rule, trusted: Trusted, ledger: Ledger, *, now: UnixTime
) -> Tally:
    """Count the approvals of an entry that stand."""
    if ledger.recorded:
        now = max(now, ledger.recorded[-1].recorded_at)
    count = Tally()
    for it in ledger.standing(digest):
        try:
            _add(count, name, it, rule, trusted, ledger, now)
        except UnfitError as exc:
            count.problems.append(exc)
    return count


def _add(
    count: Tally,
    name: str,
    it: Recorded,
    rule: Rule,
    trusted: Trusted,
    ledger: Ledger,
    now: UnixTime,
) -> None:
    if it.void:
        raise UnfitError("superseded", "the state was restored from an older copy")
    signed = read_signed(
        it.envelope, trusted.signers, name=name, recorded_at=it.recorded_at
    )
    if signed.statement.entry_digest != it.entry_digest or signed.digest != it.digest:
        raise UnfitError("wrong_entry", "the ledger says something else than the statement")
    expires = expiry(signed, rule)
    kind = count.glass if it.decision == "break_glass" else count.votes
    for principal in entitled(signed, rule, ledger.authors, now=now):
        kind.pop(principal, None)  # the last word of a person counts
        if expires > now:
            kind[principal] = expires
    if expires <= now:
        raise UnfitError("expired", f"the approval by {it.approver} has expired")


def expiry(signed: Signed, rule: Rule) -> UnixTime:
    """Say when an approval ends: as it says, or earlier where the rule says less."""
    predicate = signed.statement.predicate
    glass = predicate.decision == "break_glass"
    longest = LONGEST_BREAK_GLASS if glass else rule.longest_seconds
    return UnixTime(min(predicate.expires, predicate.issued + longest))


def entitled(
    signed: Signed, rule: Rule, authors: Iterable[tuple[str, str]], *, now: UnixTime
) -> frozenset[str]:
    """Give those who have signed an approval and may. Raises `UnfitError` for none."""
    predicate = signed.statement.predicate
    if predicate.issued > now + LEEWAY_SECONDS:
        raise UnfitError("not_yet_valid", "it was issued in the future: check the clocks")
    shown = ", ".join(sorted(signed.principals))
    if predicate.decision == "break_glass":
        able = signed.principals & rule.break_glass
        if not able:
            hint = "`approvals.break_glass` does not name them"
            raise UnfitError("not_entitled", f"{shown} may not break the glass: {hint}")
        return able
    able = signed.principals & rule.approvers
    if not able:
        hint = "`[approvals]` names others"
        raise UnfitError("not_entitled", f"{shown} may not approve this: {hint}")
    if rule.not_author:
        able = _without_authors(able, signed, authors)
    return able


def _without_authors(
    able: frozenset[str], signed: Signed, authors: Iterable[tuple[str, str]]
) -> frozenset[str]:
    """Leave out who made the entry, by this machine's memory and the statement's word."""
    said = signed.statement.predicate.author
    if not said:
        raise UnfitError("not_entitled", "the approval does not say who made the entry")
    made = {who for digest, who in authors if digest == signed.statement.entry_digest}
    same = {it.casefold() for it in (said, *made)}
    others = frozenset(it for it in able if it.casefold() not in same)
    if not others:
        raise UnfitError("not_entitled", "who made the entry must not approve it")
    return others


def _why_not(
    name: str,
    digest: str,
    rule: Rule,
    count: Tally,
    ledger: Ledger,
    refused: Sequence[Refused],
) -> tuple[State, str]:
    approve = f"bascule approve {name} --entry {digest}"
    again = f"`bascule diff {name}` shows it, `{approve}` approves it"
    if count.votes:
        have = f"{len(count.votes)} of {rule.quorum} approvals ({', '.join(count.votes)})"
        return "too_few", f"has {have}: another person must approve it; {again}"
    if count.problems:
        last = count.problems[-1]
        return last.state, f"has no valid approval: {last.reason}; {again}"
    ended = ledger.ended_by(digest)
    concerned = any(it.entry_digest == digest for it in ledger.recorded)
    if ended is not None and concerned:
        state, verb = _ENDED.get(ended.decision, ("superseded", "was replaced"))
        return state, f"{verb} by {ended.approver}, statement {ended.sequence}; {again}"
    if refused:
        last_refused = refused[-1]
        said = f"`{last_refused.where}` does not count: {last_refused.reason}"
        return last_refused.state, f"{visible(said)[:MAX_SAID]}; {again}"
    return "missing", f"has no approval; {again}"


_ENDED: dict[str, tuple[State, str]] = {
    "reject": ("rejected", "was rejected"),
    "revoke": ("revoked", "was revoked"),
}


def _names(votes: dict[str, UnixTime]) -> tuple[str, ...]:
    return tuple(sorted(votes))
