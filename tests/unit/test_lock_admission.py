"""Which statements enter the ledger: in order, once, and what denies at any time."""

from __future__ import annotations

from typing import Any

from approving import (
    ALICE,
    BOB,
    ENTRY,
    MALLORY,
    NOW,
    OTHER,
    Chain,
    envelope,
    states,
    trusted,
)
from bascule.lock.admission import MAX_STEP
from bascule.lock.dsse import parse_envelope
from bascule.lock.ledger import Ledger
from bascule.lock.statement import statement_digest


def made(chain: Chain, who: Any, entry: Any = ENTRY, **changes: Any) -> bytes:
    return envelope(chain.payload(who, entry, **changes), who)


def history(*decisions: str) -> tuple[Chain, list[bytes]]:
    """Make a chain, and give it with its files."""
    chain, files = Chain(), []
    for number, decision in enumerate(decisions):
        who = (ALICE, BOB)[number % 2]
        files.append(made(chain, who, decision=decision, reason=f"for {number}"))
        assert states(chain.offer(files[-1]).refused) == []
    return chain, files


def test_an_empty_ledger_takes_a_whole_history_in_its_order() -> None:
    chain, files = history("approve", "reject", "approve")
    fresh = Chain()
    assert states(fresh.offer(*reversed(files)).refused) == []
    assert fresh.ledger == chain.ledger
    assert fresh.verdict().state == "approved"


def test_an_empty_ledger_takes_a_history_whose_beginning_is_gone() -> None:
    _, files = history("approve", "reject", "approve")
    fresh = Chain()
    fresh.offer(files[2])
    assert fresh.verdict().state == "approved"
    assert fresh.verdict().sequence == 3


def test_files_that_go_back_change_nothing() -> None:
    chain, files = history("approve", "reject")
    for older in ((files[0],), ()):
        found = chain.offer(*older)
        assert found.fresh == []
        assert chain.verdict(admission=found).state == "rejected"


def test_the_same_again_is_recorded_once() -> None:
    chain, files = history("approve")
    assert chain.offer(*files, *files).fresh == []
    assert len(chain.ledger.recorded) == 1


def test_a_copy_that_was_damaged_does_not_hide_the_good_one() -> None:
    chain = Chain()
    good = made(chain, ALICE)
    damaged = good.replace(b'"sig":"U1NIU0lH', b'"sig":"U1NIU0lX')
    assert damaged != good
    found = chain.offer(damaged, good)
    assert states(found.refused) == ["bad_signature"]
    assert chain.verdict().state == "approved"


def test_an_approval_that_skips_what_is_missing_is_refused() -> None:
    chain, files = history("approve", "approve", "approve")
    behind = Chain()
    behind.offer(files[0])
    found = behind.offer(files[2])
    assert states(found.refused) == ["superseded"]
    assert "missing" in found.refused[0].reason
    assert states(behind.offer(*files[1:]).refused) == []
    assert behind.ledger == chain.ledger


def test_what_lies_between_need_not_count_any_more() -> None:
    """Bob signed in the knowledge of Alice's statement; her key is gone since."""
    chain = Chain()
    first = made(chain, BOB)
    chain.offer(first)
    second = made(chain, ALICE)
    chain.offer(second)
    third = made(chain, BOB, OTHER)
    behind = Chain(trusted(BOB))
    behind.offer(first)
    found = behind.offer(second, third)
    assert states(found.refused) == ["unknown_signer"]
    assert behind.verdict(OTHER).state == "approved"


def test_an_approval_made_without_knowing_of_a_rejection_is_refused() -> None:
    server, _ = history("approve")
    laptop = Chain(ledger=server.ledger)
    server.add(BOB, decision="reject", expires=NOW)
    late = made(laptop, ALICE, reason="again")
    found = server.offer(late)
    assert states(found.refused) == ["superseded"]
    assert BOB.name in found.refused[0].reason
    assert server.verdict(admission=found).state == "rejected"


def test_a_rejection_that_comes_late_counts_all_the_same() -> None:
    """It was made where the second approval was not known of."""
    server, _ = history("approve")
    laptop = Chain(ledger=server.ledger)
    server.add(ALICE, reason="again")
    server.add(ALICE, reason="and again")
    late = made(laptop, BOB, decision="reject", expires=NOW)
    assert states(server.offer(late).refused) == []
    assert server.verdict().state == "rejected"
    server.add(ALICE)
    assert server.verdict().state == "approved"


def test_of_one_number_the_rejection_wins_whatever_comes_first() -> None:
    start, files = history("approve")
    approval = made(start, ALICE, reason="again")
    rejection = made(start, BOB, decision="reject", expires=NOW)
    ledgers = []
    for order in ((approval, rejection), (rejection, approval)):
        chain = Chain(ledger=start.ledger)
        for content in order:
            chain.offer(content)
        assert chain.verdict().state == "rejected"
        ledgers.append(chain.ledger.head)
    at_once = Chain()
    at_once.offer(*files, approval, rejection)
    assert at_once.verdict().state == "rejected"
    assert [at_once.ledger.head] * 2 == ledgers


def test_two_approvals_of_one_number_are_both_refused() -> None:
    chain = Chain()
    rivals = made(chain, ALICE), made(chain, BOB, OTHER)
    found = chain.offer(*rivals)
    assert states(found.refused) == ["superseded"] * 2
    assert "remove one" in found.refused[0].reason
    assert chain.ledger == Ledger()


def test_of_two_approvals_of_one_number_a_successor_names_one() -> None:
    chain = Chain()
    first, rival = made(chain, ALICE), made(chain, BOB, OTHER)
    chain.offer(first)
    second = made(chain, BOB)
    chain.offer(second)
    fresh = Chain()
    assert states(fresh.offer(rival, second, first).refused) == ["superseded"]
    assert fresh.ledger == chain.ledger


def test_a_recorded_approval_stands_when_a_rival_comes() -> None:
    chain, _ = history("approve")
    rival = envelope(Chain().payload(BOB, OTHER), BOB)
    assert states(chain.offer(rival).refused) == ["superseded"]
    assert chain.verdict().state == "approved"


def test_who_may_not_approve_may_reject() -> None:
    chain = Chain(trusted(approvers=(ALICE.name,)))
    chain.add(ALICE)
    assert states(chain.add(BOB, decision="reject", expires=NOW).refused) == []
    assert chain.verdict().state == "rejected"


def test_no_number_uses_up_all_that_could_follow() -> None:
    chain, _ = history("approve")
    far = chain.add(BOB, decision="reject", expires=NOW, sequence=(1 << 53) - 1)
    assert states(far.refused) == ["malformed"]
    chain.add(BOB, decision="reject", expires=NOW, sequence=1 + MAX_STEP)
    assert chain.verdict().state == "rejected"
    chain.add(ALICE)
    assert chain.verdict().state == "approved"


def test_an_approval_that_follows_another_history_is_refused() -> None:
    """It has the next number, and comes after a statement that is not ours."""
    server, _ = history("approve")
    laptop = Chain(ledger=server.ledger)
    server.add(ALICE, reason="ours")
    laptop.add(BOB, reason="theirs")
    stranger = made(laptop, BOB, OTHER)
    found = server.offer(stranger)
    assert states(found.refused) == ["superseded"]
    assert server.verdict(OTHER).state != "approved"


def test_numbers_and_predecessors_must_agree() -> None:
    chain, _ = history("approve", "approve")
    head = chain.ledger.head
    assert head is not None
    for number in (1, 2, 4):
        wrong = made(chain, ALICE, OTHER, sequence=number, predecessor=head.digest)
        assert states(chain.offer(wrong).refused) == ["superseded"], number
    behind = Chain(ledger=Ledger(chain.ledger.recorded[:1]))
    link = envelope(behind.payload(ALICE, sequence=2, reason="a link"), MALLORY)
    name = statement_digest(parse_envelope(link).payload)
    skips = made(behind, BOB, OTHER, sequence=5, predecessor=name)
    found = states(behind.offer(skips, link).refused)
    assert sorted(found) == ["superseded", "unknown_signer"]


def test_a_copy_under_another_name_is_no_rival() -> None:
    chain = Chain()
    content = made(chain, ALICE)
    assert states(chain.offer(content, content).refused) == []
    assert len(chain.ledger.recorded) == 1


def test_who_approves_after_a_rejection_knows_of_it() -> None:
    """Of two statements with one number, whichever has the smaller digest."""
    for number in range(8):
        start, _ = history("approve")
        approval = made(start, ALICE, reason=f"again {number}")
        rejection = made(start, BOB, decision="reject", expires=NOW)
        chain = Chain(ledger=start.ledger)
        chain.offer(approval)
        unaware = made(chain, ALICE, reason="and again")
        chain.offer(rejection)
        assert states(chain.offer(unaware).refused) == ["superseded"]
        assert chain.verdict().state == "rejected"
