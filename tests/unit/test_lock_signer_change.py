"""Changes of who may approve need the consent of who may now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from approving import ALICE, BOB, MALLORY, NOW, Person, envelope, trusted
from bascule.clock import UnixTime
from bascule.lock.dsse import pae
from bascule.lock.rules import DAY, Trusted
from bascule.lock.signer_change import (
    Change,
    SetDocument,
    Vote,
    change_statement,
    document_of,
    next_set,
    read_document,
    read_vote,
    write_change,
)
from bascule.lock.statement import StatementError

OLD = trusted(ALICE, BOB, quorum=2)
NEW = trusted(ALICE, BOB, MALLORY)


def payload(who: Person, before: Trusted, after: Trusted, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "approver": who.name,
        "reason": "she joins",
        "issued": NOW,
        "number": 2,
        "before": before.digest,
        "document": msgspec.convert(after.document(), SetDocument),
    }
    return write_change(change_statement(Change(**{**values, **changes})))


def vote(who: Person, before: Trusted = OLD, after: Trusted = NEW, **changes: Any) -> Vote:
    content = envelope(payload(who, before, after, **changes), who)
    return read_vote(content, recorded_at=UnixTime(NOW))


def step(
    *votes: Vote, before: Trusted = OLD, number: int = 1, now: int = NOW, wanted: str = ""
) -> str | None:
    found = next_set(before, number, votes, wanted=wanted, now=UnixTime(now))
    return None if found is None else found[0].digest


def test_as_many_as_the_set_before_says_change_it() -> None:
    assert step(vote(ALICE)) is None
    assert step(vote(ALICE), vote(ALICE, reason="again")) is None
    assert step(vote(ALICE), vote(BOB)) == NEW.digest


def test_who_is_not_in_the_set_before_has_no_say() -> None:
    assert step(vote(ALICE), vote(MALLORY)) is None


def test_consent_to_one_change_is_none_to_another() -> None:
    other = trusted(MALLORY)
    assert step(vote(ALICE), vote(BOB, after=other)) is None
    assert step(vote(ALICE), vote(BOB, before=other)) is None


def test_a_change_happens_once() -> None:
    """The way back needs consent of its own, and so does the way there again."""
    both = vote(ALICE), vote(BOB)
    assert step(*both, before=NEW, number=2) is None
    assert step(*both, before=OLD, number=3) is None
    assert step(*both, before=OLD, number=0) == NEW.digest


def test_consent_grows_old_and_does_not_come_early() -> None:
    both = vote(ALICE), vote(BOB)
    assert step(*both, now=NOW + 90 * DAY - 1) == NEW.digest
    assert step(*both, now=NOW + 90 * DAY) is None
    assert step(*both, now=NOW - 31) is None


def test_only_whom_the_set_names_may_change_it() -> None:
    old = trusted(ALICE, BOB, change_by=(BOB.name,))
    assert step(vote(ALICE, before=old), before=old) is None
    assert step(vote(BOB, before=old), before=old) == NEW.digest


def test_a_rule_with_a_larger_quorum_is_not_to_be_had_for_less() -> None:
    from bascule.config.model import ApprovalRule

    old = trusted(ALICE, BOB, rules={"x": ApprovalRule(connectors=("x",), quorum=2)})
    assert step(vote(ALICE, before=old), before=old) is None


def test_of_two_changes_that_contradict_each_other_the_files_decide() -> None:
    old, other = trusted(ALICE), trusted(BOB)
    votes = vote(ALICE, before=old), vote(ALICE, before=old, after=other)
    assert step(*votes, before=old) is None
    assert step(*votes, before=old, wanted=other.digest) == other.digest


def test_a_statement_names_the_set_that_it_brings() -> None:
    good = payload(ALICE, OLD, NEW)
    for old, new in (
        (NEW.digest.encode(), OLD.digest.encode()),
        (b'"quorum"', b'"Quorum"'),
        (b"mallory", b"*@x"),
        (b"approvers:v1", b"approvers:v2"),
    ):
        changed = good.replace(old, new)
        if changed == good:
            changed = payload(ALICE, OLD, OLD).replace(old, new)
        with pytest.raises(StatementError):
            read_vote(envelope(changed, ALICE), recorded_at=UnixTime(NOW))


def test_an_approval_of_a_connector_is_no_consent() -> None:
    from approving import Chain

    with pytest.raises(StatementError):
        read_vote(envelope(Chain().payload(ALICE), ALICE), recorded_at=UnixTime(NOW))
    assert pae(b"{}") == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


def test_a_set_is_kept_as_it_is() -> None:
    assert read_document(document_of(OLD)).digest == OLD.digest
    assert OLD.digest != trusted(ALICE, BOB).digest
    assert OLD.digest == trusted(BOB, ALICE, quorum=2).digest


def test_consent_is_the_approvers_own() -> None:
    old = trusted(ALICE, BOB)
    content = envelope(payload(ALICE, old, NEW), BOB)
    assert step(read_vote(content, recorded_at=UnixTime(NOW)), before=old) is None


def test_a_change_has_one_form() -> None:
    good = payload(ALICE, OLD, NEW)
    spaced = good.replace(b'"number":2', b'"number": 2')
    document = msgspec.convert(NEW.document(), SetDocument)
    commented = SetDocument("# x\n" + document.allowed_signers, document.approvals)
    with pytest.raises(StatementError):
        read_vote(envelope(spaced, ALICE), recorded_at=UnixTime(NOW))
    with pytest.raises(StatementError, match="one form"):
        payload(ALICE, OLD, NEW, document=commented)


def test_a_set_of_many_people_fits_into_a_statement() -> None:
    people = [Person(f"person-{number}@example.com") for number in range(250)]
    content = envelope(payload(ALICE, OLD, trusted(ALICE, *people)), ALICE)
    assert read_vote(content, recorded_at=UnixTime(NOW)).change.approver == ALICE.name
