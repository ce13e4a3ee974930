"""Approvals, whatever files come in whatever order: what was denied is not revived."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from approving import ALICE, BOB, ENTRY, NAME, NOW, OTHER, Chain, envelope, trusted
from bascule.clock import UnixTime
from bascule.lock.dsse import parse_envelope
from bascule.lock.ledger import UnfitError
from bascule.lock.model import entry_digest
from bascule.lock.signed import read_signed
from bascule.lock.statement import StatementError, parse_statement

ENTRIES = (ENTRY, OTHER)
DECISIONS = st.lists(
    st.tuples(
        st.sampled_from((ALICE, BOB)),
        st.sampled_from(ENTRIES),
        st.sampled_from(("approve", "approve", "reject", "revoke")),
    ),
    min_size=1,
    max_size=6,
)


def history(decisions: list[tuple[object, object, str]]) -> tuple[Chain, list[bytes]]:
    """Make a chain of decisions, and the files that they leave."""
    chain, files = Chain(), []
    for number, (who, entry, decision) in enumerate(decisions):
        reason = f"number {number}"
        payload = chain.payload(who, entry, decision=decision, reason=reason)  # type: ignore[arg-type]
        files.append(envelope(payload, who))  # type: ignore[arg-type]
        chain.offer(files[-1])
    return chain, files


def assert_nothing_revived(chain: Chain) -> None:
    """Whatever is approved has an approval that comes after all that ended earlier ones."""
    for entry in ENTRIES:
        if chain.verdict(entry).state != "approved":
            continue
        digest = entry_digest(entry)
        ends = [
            it.sequence
            for it in chain.ledger.recorded
            if it.decision == "revoke"
            or (it.decision == "reject") == (it.entry_digest == digest)
        ]
        approvals = [
            it.sequence
            for it in chain.ledger.recorded
            if it.decision == "approve" and it.entry_digest == digest
        ]
        assert max(approvals) > max(ends, default=0)


@settings(max_examples=60)
@given(DECISIONS, st.data())
def test_files_in_any_order_and_number_revive_nothing(
    decisions: list[tuple[object, object, str]], data: st.DataObject
) -> None:
    _, files = history(decisions)
    copy = Chain()
    for _ in range(3):
        some = data.draw(st.lists(st.sampled_from(files), max_size=len(files), unique=True))
        copy.offer(*some)
        assert_nothing_revived(copy)
    copy.offer(*files)
    assert_nothing_revived(copy)


@settings(max_examples=60)
@given(DECISIONS, st.data())
def test_who_follows_without_gaps_judges_as_the_origin_does(
    decisions: list[tuple[object, object, str]], data: st.DataObject
) -> None:
    origin, files = history(decisions)
    copy, seen = Chain(), 0
    while seen < len(files):
        seen = data.draw(st.integers(seen + 1, len(files)))
        copy.offer(*data.draw(st.permutations(files[:seen])))
    assert copy.ledger.recorded == origin.ledger.recorded
    assert [copy.verdict(it) for it in ENTRIES] == [origin.verdict(it) for it in ENTRIES]


@given(st.binary())
def test_any_bytes_are_an_envelope_or_refused(content: bytes) -> None:
    for read in (parse_envelope, parse_statement):
        try:
            read(content)
        except StatementError:
            continue


@settings(max_examples=200)
@given(st.integers(0), st.integers(0, 255))
def test_any_byte_that_changes_makes_an_approval_void(place: int, byte: int) -> None:
    content = bytearray(CONTENT)
    place %= len(content)
    if content[place] == byte:
        return
    content[place] = byte
    try:
        found = read_signed(bytes(content), SIGNERS, name=NAME, recorded_at=UnixTime(NOW))
    except UnfitError:
        return
    assert found.statement == ORIGINAL.statement  # only spaces between tokens


CONTENT = envelope(Chain().payload(ALICE), ALICE)
SIGNERS = trusted().signers
ORIGINAL = read_signed(CONTENT, SIGNERS, name=NAME, recorded_at=UnixTime(NOW))
