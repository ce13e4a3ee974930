"""Which statements that were found enter the ledger: what follows it, and all that deny.

An approval must come next in the chain: it is made in the knowledge of all that was decided
before, so that an older one cannot be shown again. What denies is let in whenever it comes:
that it comes late must not make it void.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from bascule.clock import UnixTime
from bascule.lock.approvals import Refused, entitled, tally
from bascule.lock.dsse import parse_envelope
from bascule.lock.ledger import DENIES, Ledger, UnfitError
from bascule.lock.rules import Rule, Trusted
from bascule.lock.signed import Signed, read_signed
from bascule.lock.statement import (
    Approval,
    StatementError,
    parse_statement,
    statement_digest,
)
from bascule.storage.approvals import Recorded

MAX_STEP = 100_000
"""How far a number may be beyond the last one: none may use up all that follow."""

Links = Mapping[str, tuple[int, str]]
"""Number and predecessor of each well-formed statement, by digest."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """By what the statements about a connector are judged."""

    name: str
    trusted: Trusted
    owner: Callable[[str], str]
    """Says who answers for it, by an entry's digest; empty when nobody knows the entry."""
    now: UnixTime

    def rule(self, entry_digest: str, ledger: Ledger) -> Rule:
        """Give what applies to an entry."""
        return self.trusted.rule_for(self.name, self.owner(entry_digest), ledger.owner)


@dataclass(slots=True)
class Admission:
    """What became of the statements that were found."""

    ledger: Ledger
    """With those that were let in."""
    fresh: list[Recorded] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    where: str
    content: bytes
    signed: Signed

    @property
    def predicate(self) -> Approval:
        return self.signed.statement.predicate

    @property
    def denies(self) -> bool:
        return self.predicate.decision in DENIES


def admit(found: Mapping[str, bytes], ledger: Ledger, by: Circumstances) -> Admission:
    """Sort the statements about one connector, which `found` has by file."""
    result = Admission(ledger)
    links = {it.digest: (it.sequence, "") for it in ledger.recorded}
    known = set(links)
    candidates = []
    for where, content in sorted(found.items()):
        try:
            digest, link = _link(content)
            links.setdefault(digest, link)
            if digest not in known:
                candidates.append(_checked(where, content, ledger, by))
                known.add(digest)
        except UnfitError as exc:
            result.refused.append(Refused(where, exc.state, exc.reason))
    candidates.sort(key=_number)
    for _, peers in groupby(candidates, key=_number):
        _admit_peers(list(peers), links, result, by)
    return result


def _number(it: _Found) -> int:
    return it.predicate.sequence


def _link(content: bytes) -> tuple[str, tuple[int, str]]:
    try:
        payload = parse_envelope(content).payload
        predicate = parse_statement(payload).predicate
    except StatementError as exc:
        raise UnfitError("malformed", str(exc)) from exc
    return statement_digest(payload), (predicate.sequence, predicate.predecessor)


def _checked(where: str, content: bytes, ledger: Ledger, by: Circumstances) -> _Found:
    signers = by.trusted.signers
    signed = read_signed(content, signers, name=by.name, recorded_at=by.now)
    found = _Found(where, content, signed)
    if not found.denies:
        rule = by.rule(signed.statement.entry_digest, ledger)
        entitled(signed, rule, ledger.authors, now=by.now)
    return found


def _admit_peers(
    peers: list[_Found], links: Links, result: Admission, by: Circumstances
) -> None:
    """Let in what has one number: the approval that follows, then what denies."""
    head = result.ledger.head
    if peers[0].predicate.sequence > MAX_STEP + (0 if head is None else head.sequence):
        reason = "its number is far beyond the last one"
        result.refused += [Refused(it.where, "malformed", reason) for it in peers]
        return
    following = [it for it in peers if not it.denies and _follows(it, result.ledger, links)]
    if len(following) > 1:
        named = {predecessor for _, predecessor in links.values()}
        chosen = [it for it in following if it.signed.digest in named]
        following = chosen if len(chosen) == 1 else []
    for it in peers:
        if not it.denies and it not in following:
            result.refused.append(Refused(it.where, "superseded", _late(it, result.ledger)))
    for it in (*following, *(it for it in peers if it.denies)):
        _let_in(it, result, by)


def _follows(it: _Found, ledger: Ledger, links: Links) -> bool:
    """Tell whether a chain of predecessors leads back to the ledger's last statement.

    Those in between need not count any more: who signed the later one knew of them.
    """
    head = ledger.head
    if head is None:
        return True
    number, predecessor = it.predicate.sequence, it.predicate.predecessor
    while number > head.sequence + 1:
        link = links.get(predecessor)
        if link is None or link[0] != number - 1:
            return False
        number, predecessor = link
    return number == head.sequence + 1 and predecessor == head.digest


def _late(it: _Found, ledger: Ledger) -> str:
    head = ledger.head
    number = it.predicate.sequence
    if head is not None and number > head.sequence + 1:
        return f"statements between number {head.sequence} and {number} are missing here"
    if head is not None and (
        number <= head.sequence or it.predicate.predecessor != head.digest
    ):
        last = f"number {head.sequence}, which {head.approver} signed"
        return f"it is number {number}, made without knowing of {last}"
    return f"two statements say that they are number {number}: remove one of them"


def _let_in(it: _Found, result: Admission, by: Circumstances) -> None:
    digest = it.signed.statement.entry_digest
    fresh = Recorded(
        sequence=it.predicate.sequence,
        digest=it.signed.digest,
        entry_digest=digest,
        owner=by.owner(digest),
        decision=it.predicate.decision,
        approver=it.predicate.approver,
        recorded_at=by.now,
        completes=False,
        envelope=it.content,
    )
    if it.predicate.decision == "approve":
        rule = by.rule(digest, result.ledger)
        ledger = result.ledger.with_one_more(fresh)
        count = tally(by.name, digest, rule, by.trusted, ledger, now=by.now)
        fresh = replace(fresh, completes=len(count.votes) >= rule.quorum)
    result.ledger = result.ledger.with_one_more(fresh)
    result.fresh.append(fresh)
