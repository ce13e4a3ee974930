"""What is approved, and every way in which it is not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace as changed
from typing import Any

import pytest
from msgspec.structs import replace

from approving import (
    ALICE,
    BOB,
    ENTRY,
    MALLORY,
    NAME,
    NOW,
    OTHER,
    Chain,
    Person,
    envelope,
    states,
    trusted,
)
from bascule.clock import UnixTime
from bascule.config.model import ApprovalRule, Approvals
from bascule.lock.dsse import MAX_SIGNATURES, Envelope, write_envelope
from bascule.lock.ledger import Ledger
from bascule.lock.model import entry_digest
from bascule.lock.rules import DAY, Trusted
from bascule.lock.signed import read_signed
from bascule.lock.signers import parse_signers
from bascule.lock.statement import MAX_STATEMENT_BYTES

TWO = trusted(ALICE, BOB, quorum=2)


def test_an_approved_entry_says_by_whom_and_until_when() -> None:
    chain = Chain()
    assert states(chain.add(ALICE).refused) == []
    found = chain.verdict()
    assert (found.state, found.approvers) == ("approved", (ALICE.name,))
    assert found.expires == NOW + 90 * DAY
    assert found.sequence == 1
    assert not found.break_glass


def test_without_an_approval_it_says_what_to_do() -> None:
    found = Chain().verdict()
    assert found.state == "missing"
    assert f"bascule approve {NAME}" in found.reason


def test_an_entry_without_a_surface_is_never_approved() -> None:
    chain = Chain()
    bare = replace(ENTRY, surface=None)
    chain.add(ALICE, bare)
    assert chain.verdict(bare).state == "no_surface"


def test_an_approval_of_another_entry_approves_nothing_else() -> None:
    chain = Chain()
    chain.add(ALICE, OTHER)
    assert chain.verdict(OTHER).state == "approved"
    assert chain.verdict(ENTRY).state == "missing"


@pytest.mark.parametrize("change", ["access", "launch", "surface", "source", "sandbox"])
def test_a_change_of_any_part_needs_another_approval(change: str) -> None:
    chain = Chain()
    chain.add(ALICE)
    changes: dict[str, Any] = {
        "access": replace(ENTRY.access, owner="somebody else"),
        "launch": replace(ENTRY.launch, env={"TZ": "UTC"}),
        "surface": replace(ENTRY.surface, tools={"x": ()}),
        "source": replace(ENTRY.source, requested="==1"),
        "sandbox": replace(ENTRY.sandbox, may_reach=("example.com:443",)),
    }
    assert chain.verdict(replace(ENTRY, **{change: changes[change]})).state != "approved"


def test_it_ends_when_it_says_to_the_second() -> None:
    chain = Chain()
    chain.add(ALICE, expires=NOW + 100)
    chain.later(99)
    assert chain.verdict().state == "approved"
    chain.later(1)
    assert chain.verdict().state == "expired"


def test_the_last_word_of_a_person_counts() -> None:
    chain = Chain()
    chain.add(ALICE)
    chain.add(ALICE, expires=NOW + 100)
    assert chain.verdict().expires == NOW + 100
    chain.later(100)
    assert chain.verdict().state == "expired"
    chain.add(ALICE)
    assert chain.verdict().state == "approved"


def test_a_clock_that_goes_back_revives_nothing() -> None:
    chain = Chain()
    chain.add(ALICE, expires=NOW + 100)
    chain.later(200)
    chain.add(BOB, OTHER, decision="reject", expires=chain.now)
    chain.now = NOW
    assert chain.verdict().state == "expired"


def test_no_approval_lasts_longer_than_the_rules_say() -> None:
    chain = Chain(trusted(longest_days=7))
    chain.add(ALICE)
    assert chain.verdict().expires == NOW + 7 * DAY
    chain.by = trusted(longest_days=1)
    assert chain.verdict().expires == NOW + DAY


def test_one_from_the_future_is_refused_beyond_the_leeway_of_clocks() -> None:
    chain = Chain()
    assert states(chain.add(ALICE, issued=NOW + 31).refused) == ["not_yet_valid"]
    assert states(chain.add(ALICE, issued=NOW + 30).refused) == []


def test_an_unknown_key_approves_nothing() -> None:
    chain = Chain()
    found = chain.add(MALLORY)
    assert states(found.refused) == ["unknown_signer"]
    assert chain.verdict(admission=found).state == "unknown_signer"


def test_a_key_signs_for_its_owner_alone() -> None:
    chain = Chain()
    forged = envelope(chain.payload(ALICE), BOB)
    assert states(chain.offer(forged).refused) == ["unknown_signer"]


def test_a_signature_of_another_namespace_is_none() -> None:
    chain = Chain()
    payload = chain.payload(ALICE)
    content = write_envelope(Envelope(payload, (ALICE.sign(payload, "git"),)))
    assert states(chain.offer(content).refused) == ["bad_signature"]


def test_a_key_that_is_listed_for_git_alone_approves_nothing() -> None:
    chain = Chain()
    chain.by = replace_signers(ALICE.line('namespaces="git"'))
    assert states(chain.add(ALICE).refused) == ["unknown_signer"]


def replace_signers(text: str) -> Trusted:
    return Trusted(parse_signers(text), Approvals())


def test_a_key_that_ends_keeps_its_approvals_and_gives_no_more() -> None:
    """1800000000 is 2027-01-15 08:00:00Z."""
    chain = Chain(
        replace_signers(ALICE.line('valid-before="20270115080100Z"') + BOB.line())
    )
    chain.add(ALICE)
    chain.later(3600)
    assert chain.verdict().state == "approved"
    backdated = chain.add(ALICE, issued=NOW)
    assert states(backdated.refused) == ["unknown_signer"]


def test_a_key_that_is_removed_takes_its_approvals_along() -> None:
    chain = Chain()
    chain.add(ALICE)
    chain.by = trusted(BOB)
    assert chain.verdict().state == "unknown_signer"


def test_a_key_is_not_valid_before_its_time() -> None:
    chain = Chain(replace_signers(ALICE.line('valid-after="20270116Z"')))
    assert states(chain.add(ALICE).refused) == ["unknown_signer"]


def edit(content: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(content), **changes}).encode()


def test_an_edited_payload_is_refused() -> None:
    chain = Chain()
    content = envelope(chain.payload(ALICE), ALICE)
    longer = chain.payload(ALICE, expires=NOW + 91 * DAY)
    edited = edit(content, payload=base64.b64encode(longer).decode())
    assert states(chain.offer(edited).refused) == ["bad_signature"]
    of_other = base64.b64encode(chain.payload(ALICE, OTHER)).decode()
    assert states(chain.offer(edit(content, payload=of_other)).refused) == ["bad_signature"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"decision":"approve"', b'"decision":"reject","decision":"approve"'),
        (b'"_type"', b'"_type":"x","_type"'),
        (b'"subject":', b'"extra":1,"subject":'),
        (b'"name":"time"', b'"name": "time"'),
        (b'"sequence":1', b'"sequence":1.0'),
        (b'"sequence":1', b'"sequence":"1"'),
        (b'"sequence":1', b'"sequence":0'),
        (b'"sequence":1', b'"sequence":NaN'),
        (b'"name":"time"', b'"name":"../x"'),
        (b'"decision":"approve"', b'"decision":"permit"'),
        (b"approval:v1", b"approval:v2"),
        (b'"reason":"read it"', b'"reason":""'),
    ],
)
def test_a_statement_that_is_not_written_as_ours_is_refused(old: bytes, new: bytes) -> None:
    """Signed and all: two parsers must not read it differently."""
    chain = Chain()
    payload = chain.payload(ALICE)
    assert old in payload
    found = chain.offer(envelope(payload.replace(old, new, 1), ALICE))
    assert states(found.refused) == ["malformed"]


def test_a_statement_ends_after_it_begins_and_is_not_huge() -> None:
    chain = Chain()
    for changes in ({"expires": NOW - 1}, {"author": "x" * MAX_STATEMENT_BYTES}):
        assert states(chain.add(ALICE, **changes).refused) == ["malformed"]


def test_an_envelope_that_is_not_written_as_ours_is_refused() -> None:
    chain = Chain()
    content = envelope(chain.payload(ALICE), ALICE)
    fine = json.loads(content)
    signature = fine["signatures"][0]
    twice = content.replace(b'"payloadType"', b'"payloadType":"x","payloadType"', 1)
    spaced = {**signature, "sig": signature["sig"] + "\n"}
    bad = (
        twice,
        edit(content, payloadType="application/json"),
        edit(content, signatures=[]),
        edit(content, signatures=[signature] * (MAX_SIGNATURES + 1)),
        edit(content, signatures=[spaced]),
        edit(content, more=1),
        edit(content, payload=fine["payload"] + "===="),
        content[:-20],
        b"[" * 100_000,
        b"\xff",
        b"",
        b" " * (MAX_STATEMENT_BYTES + 1),
    )
    for each in bad:
        assert states(chain.offer(each).refused) == ["malformed"], each[:60]
    assert chain.ledger == Ledger()


def test_a_signature_names_the_key_that_made_it() -> None:
    chain = Chain()
    content = envelope(chain.payload(ALICE), ALICE)
    signature = json.loads(content)["signatures"][0]
    renamed = edit(content, signatures=[{**signature, "keyid": BOB.public.fingerprint}])
    assert states(chain.offer(renamed).refused) == ["bad_signature"]


def test_an_approval_of_another_connector_is_none() -> None:
    chain = Chain()
    payload = chain.payload(ALICE).replace(b'"name":"time"', b'"name":"tame"')
    assert states(chain.offer(envelope(payload, ALICE)).refused) == ["wrong_entry"]


def test_one_of_two_is_too_few() -> None:
    chain = Chain(TWO)
    chain.add(ALICE)
    found = chain.verdict()
    assert (found.state, found.approvers) == ("too_few", (ALICE.name,))
    assert "1 of 2" in found.reason
    chain.add(BOB)
    assert chain.verdict().state == "approved"


def test_one_person_counts_once() -> None:
    """Neither saying it twice nor a second key makes two of one."""
    second = Person(ALICE.name, b"second key")
    chain = Chain(trusted(ALICE, second, BOB, quorum=2))
    chain.add(ALICE)
    chain.add(ALICE)
    chain.add(second)
    both = envelope(chain.payload(ALICE), ALICE, second)
    chain.offer(both)
    assert len(chain.ledger.recorded) == 4
    assert chain.verdict().state == "too_few"


def test_two_who_sign_one_statement_are_two_in_any_order() -> None:
    for signers in ((ALICE, BOB), (BOB, ALICE)):
        chain = Chain(TWO)
        chain.offer(envelope(chain.payload(ALICE), *signers))
        assert chain.verdict().state == "approved"


def test_one_bad_signature_spoils_the_others() -> None:
    chain = Chain()
    payload = chain.payload(ALICE)
    by_unknown = envelope(payload, ALICE, MALLORY)
    assert states(chain.offer(by_unknown).refused) == ["unknown_signer"]
    false = (BOB.public.fingerprint, BOB.sign(b"something else")[1])
    content = write_envelope(Envelope(payload, (ALICE.sign(payload), false)))
    assert states(chain.offer(content).refused) == ["bad_signature"]


def test_approvals_of_a_quorum_end_with_the_first_that_it_needs() -> None:
    chain = Chain(TWO)
    chain.add(ALICE, expires=NOW + 50)
    chain.add(BOB, expires=NOW + 500)
    assert chain.verdict().expires == NOW + 50
    chain.later(50)
    assert chain.verdict().state == "too_few"


def test_only_whom_the_rules_name_may_approve() -> None:
    rule = ApprovalRule(owners=("plat*",), approvers=(BOB.name,))
    chain = Chain(trusted(rules={"platform": rule}))
    assert states(chain.add(ALICE).refused) == ["not_entitled"]
    chain.add(BOB)
    assert chain.verdict().state == "approved"
    other_owner = replace(ENTRY, access=replace(ENTRY.access, owner="sales"))
    assert chain.verdict(other_owner).state != "approved"


def test_another_owner_is_no_way_around_the_rules_for_the_one_before() -> None:
    rule = ApprovalRule(owners=("platform",), quorum=2)
    chain = Chain(trusted(rules={"platform": rule}))
    chain.add(ALICE)
    chain.add(BOB)
    moved = replace(ENTRY, access=replace(ENTRY.access, owner="sales"))
    chain.offer(envelope(chain.payload(ALICE, moved), ALICE), owner="sales")
    assert chain.verdict(moved).state == "too_few"
    assert chain.verdict(ENTRY).state == "approved"
    chain.offer(envelope(chain.payload(BOB, moved), BOB), owner="sales")
    assert chain.verdict(moved).state == "approved"
    assert chain.verdict(ENTRY).state == "superseded"


def test_a_clock_that_was_wrong_once_does_no_lasting_harm() -> None:
    chain = Chain()
    chain.later(50 * 365 * DAY)
    chain.add(ALICE)
    chain.now = NOW
    chain.add(ALICE)
    assert chain.verdict().state == "approved"
    assert chain.verdict().expires == NOW + 90 * DAY


def test_a_file_of_others_cannot_write_on_a_terminal() -> None:
    chain = Chain()
    payload = chain.payload(ALICE).replace(b'"parts"', b'"\\u001b[2Jx":1,"parts"')
    found = chain.offer(envelope(payload, ALICE))
    reason = chain.verdict(admission=found).reason
    assert states(found.refused) == ["malformed"]
    assert reason.isprintable()
    assert "2Jx" in reason


def test_rules_narrow_together() -> None:
    rules = {
        "all": ApprovalRule(connectors=("*",), quorum=2),
        "time": ApprovalRule(connectors=("ti*",), longest_days=10),
        "none": ApprovalRule(connectors=("x",), approvers=("nobody",), quorum=9),
    }
    found = trusted(longest_days=30, rules=rules).rule_for(NAME, "platform")
    assert (found.quorum, found.longest_seconds) == (2, 10 * DAY)
    assert found.approvers == {ALICE.name, BOB.name}


def test_a_rule_that_changes_is_in_force_for_what_was_approved() -> None:
    chain = Chain()
    chain.add(ALICE)
    chain.by = trusted(approvers=(BOB.name,))
    assert chain.verdict().state == "not_entitled"
    chain.by = TWO
    assert chain.verdict().state == "too_few"


def test_the_author_of_an_entry_does_not_approve_it() -> None:
    chain = Chain(trusted(not_author=True))
    own = chain.add(ALICE, author=ALICE.name.upper())
    assert states(own.refused) == ["not_entitled"]
    assert states(chain.add(ALICE, author="").refused) == ["not_entitled"]
    chain.ledger = Ledger(authors=frozenset({(entry_digest(ENTRY), ALICE.name)}))
    lie = chain.add(ALICE, author=BOB.name)
    assert states(lie.refused) == ["not_entitled"]
    chain.add(BOB, author=ALICE.name)
    assert chain.verdict().state == "approved"


@pytest.mark.parametrize("decision", ["reject", "revoke"])
def test_what_is_rejected_stays_so_until_somebody_approves_anew(decision: str) -> None:
    chain = Chain()
    first = envelope(chain.payload(ALICE), ALICE)
    chain.offer(first)
    chain.add(BOB, decision=decision, expires=NOW)
    state = "rejected" if decision == "reject" else "revoked"
    assert chain.verdict().state == state
    chain.offer(first)
    assert chain.verdict().state == state
    replayed = envelope(chain.payload(ALICE, sequence=1, predecessor=""), ALICE)
    chain.offer(replayed)
    assert chain.verdict().state == state
    chain.add(ALICE)
    assert chain.verdict().state == "approved"


def test_a_rejection_is_of_one_entry_and_a_revocation_of_all() -> None:
    chain = Chain()
    chain.add(ALICE)
    chain.add(BOB, OTHER, decision="reject", expires=NOW)
    assert chain.verdict().state == "approved"
    chain.add(BOB, OTHER, decision="revoke", expires=NOW)
    assert chain.verdict().state == "revoked"


def test_what_was_rejected_stays_so_when_the_key_is_removed() -> None:
    chain = Chain()
    chain.add(ALICE)
    chain.add(BOB, decision="reject", expires=NOW)
    chain.by = trusted(ALICE)
    assert chain.verdict().state == "rejected"


def test_a_newer_entry_takes_the_place_of_the_older_once_it_is_approved() -> None:
    chain = Chain(TWO)
    chain.add(ALICE)
    chain.add(BOB)
    chain.add(ALICE, OTHER)
    assert chain.verdict(ENTRY).state == "approved"
    assert chain.verdict(OTHER).state == "too_few"
    chain.add(BOB, OTHER)
    assert chain.verdict(OTHER).state == "approved"
    assert chain.verdict(ENTRY).state == "superseded"
    chain.by = trusted(ALICE)
    assert chain.verdict(ENTRY).state == "superseded"


def test_breaking_the_glass_is_for_whom_it_is_given_and_short() -> None:
    chain = Chain(TWO)
    glass = {"decision": "break_glass", "expires": NOW + 30 * DAY}
    assert states(chain.add(ALICE, **glass).refused) == ["not_entitled"]
    chain.by = trusted(quorum=2, break_glass=(ALICE.name,))
    assert states(chain.add(BOB, **glass).refused) == ["not_entitled"]
    chain.add(ALICE, **glass)
    found = chain.verdict()
    assert (found.state, found.break_glass) == ("approved", True)
    assert found.expires == NOW + DAY
    chain.later(DAY)
    assert chain.verdict().state == "expired"


def test_an_emergency_ends_no_regular_approval() -> None:
    chain = Chain(trusted(break_glass=(ALICE.name,)))
    chain.add(BOB)
    chain.add(ALICE, OTHER, decision="break_glass", expires=NOW + 60)
    assert chain.verdict(OTHER).break_glass
    assert not chain.verdict(ENTRY).break_glass
    assert chain.verdict(ENTRY).state == "approved"


def test_what_was_restored_from_an_older_copy_counts_no_more() -> None:
    chain = Chain()
    chain.add(ALICE)
    void = tuple(changed(it, void=True) for it in chain.ledger.recorded)
    chain.ledger = Ledger(void)
    assert chain.verdict().state == "superseded"
    chain.add(ALICE)
    assert chain.verdict().state == "approved"


def test_a_ledger_that_says_something_else_than_its_statement_is_not_believed() -> None:
    chain = Chain()
    chain.add(ALICE, OTHER)
    (recorded,) = chain.ledger.recorded
    chain.ledger = Ledger((changed(recorded, entry_digest=entry_digest(ENTRY)),))
    assert chain.verdict().state == "wrong_entry"


def test_a_signed_statement_is_read_as_it_was_written() -> None:
    chain = Chain()
    content = envelope(chain.payload(ALICE, findings=("GHSA-1",)), ALICE, BOB)
    found = read_signed(content, chain.by.signers, name=NAME, recorded_at=UnixTime(NOW))
    assert found.principals == {ALICE.name, BOB.name}
    assert found.statement.predicate.findings == ("GHSA-1",)
