"""Records are written as RFC 8785 would write them, and commitments open to one value."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from bascule.audit.commitments import (
    KEY_BYTES,
    MAX_ARGUMENTS,
    MAX_KEY_CHARACTERS,
    MAX_KEYS,
    commit,
    commitment,
)
from bascule.audit.merkle import root_of
from bascule.audit.record import (
    MAX_GROUPS_BYTES,
    AgentPart,
    ArgsPart,
    AuthzPart,
    CredPart,
    McpPart,
    Part,
    Record,
    RecordTooLargeError,
    ResultPart,
    SrcPart,
    UserPart,
    clip,
    decode,
    encode,
    form,
    written_groups,
)
from bascule.audit.tile import MAX_ENTRY_BYTES

KEY = bytes(range(KEY_BYTES))
OTHER_KEY = bytes(KEY_BYTES)

texts = st.text(st.characters(codec="utf-8"), max_size=30)
# RFC 8785 §3.2.2.3 writes numbers as doubles: integers beyond 2^53 are outside of it.
numbers = st.integers(0, 2**53 - 1)
ABSENT = st.just(UNSET)


def part(of: type[Part], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return ABSENT | st.builds(of, **fields)


records = st.builds(
    Record,
    # Names of ours; RFC 8785 sorts them by UTF-16, which for these is any order's.
    admin=ABSENT | st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), texts),
    agent=part(
        AgentPart, client_id=texts, iss=ABSENT | texts, verified=ABSENT | st.booleans()
    ),
    args=part(ArgsPart, bytes=numbers, commit=texts, keys=st.lists(texts).map(tuple)),
    authz=part(
        AuthzPart,
        decision=texts,
        policies=st.lists(texts).map(tuple),
        policy_digest=ABSENT | texts,
        reason=texts,
    ),
    boot=texts,
    code=ABSENT | texts,
    connector=ABSENT | texts,
    count=ABSENT | numbers,
    cred=part(
        CredPart, jti_hash=ABSENT | texts, kind=texts, scopes=st.lists(texts).map(tuple)
    ),
    dur_us=ABSENT | numbers,
    id=texts,
    log=texts,
    mcp=part(
        McpPart,
        kind=ABSENT | texts,
        method=texts,
        name=ABSENT | texts,
        proto=ABSENT | texts,
    ),
    parent=ABSENT | texts,
    result=part(
        ResultPart,
        bytes=numbers,
        error=ABSENT | st.integers(-(2**53) + 1, 2**53 - 1),
        is_error=st.booleans(),
        outcome=texts,
        status=ABSENT | numbers,
    ),
    src=part(SrcPart, ip=texts),
    stage=texts,
    ts=numbers,
    type=texts,
    user=part(
        UserPart,
        groups=ABSENT | st.lists(texts).map(tuple),
        iss=ABSENT | texts,
        sub=texts,
    ),
    v=numbers,
    writer=texts,
)

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(texts, values, max_size=8)


def small(**fields: Any) -> Record:
    return Record(
        boot="b", id="i", log="l", stage="event", ts=0, type="t", v=1, writer="w", **fields
    )


@settings(deadline=None)
@given(records)
def test_a_leaf_is_what_rfc_8785_writes(record: Record) -> None:
    leaf = encode(record)
    assert leaf == rfc8785.dumps(json.loads(leaf))


@settings(deadline=None)
@given(records)
def test_a_leaf_reads_back(record: Record) -> None:
    assert decode(encode(record)) == record


@settings(deadline=None)
@given(records, st.sets(st.sampled_from(Record.__struct_fields__)))
def test_a_form_that_is_filled_in_is_the_leaf(record: Record, blanks: set[str]) -> None:
    given_ = sorted(name for name in blanks if getattr(record, name) is not UNSET)
    written = [
        msgspec.json.encode(getattr(record, name), order="deterministic") for name in given_
    ]
    filled = form(record, dict.fromkeys(given_, b"%b")) % tuple(written)
    assert filled == encode(record)


def test_every_field_is_written_in_the_order_of_names() -> None:
    def fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
        return tuple(it.encode_name for it in msgspec.structs.fields(kind))

    for kind in [Record, *Part.__subclasses__()]:
        assert list(fields(kind)) == sorted(fields(kind)), kind


@pytest.mark.parametrize("extra", ['"zz":1', '"agent":{"client_id":"a","token":"x"}'])
def test_a_leaf_with_an_unknown_field_is_refused(extra: str) -> None:
    text = encode(small()).decode()
    with pytest.raises(msgspec.DecodeError):
        decode(f"{text[:-1]},{extra}}}".encode())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(data)


def test_the_largest_record_fits_a_leaf_and_no_larger_one() -> None:
    room = MAX_ENTRY_BYTES - len(encode(small(code="")))
    assert len(encode(small(code="x" * room))) == MAX_ENTRY_BYTES
    with pytest.raises(RecordTooLargeError):
        encode(small(code="x" * (room + 1)))
    # Bytes are counted, not characters.
    with pytest.raises(RecordTooLargeError):
        encode(small(code="é" * (room // 2 + 1)))


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(0, 40))
def test_what_is_cut_off_is_told_by_its_length(text: str, limit: int) -> None:
    cut = clip(text, limit)
    if len(text) <= limit:
        assert cut == text
    else:
        assert cut == f"{text[:limit]}…(+{len(text) - limit})"


@settings(deadline=None)
@given(arguments)
def test_the_commitment_of_each_argument_leads_to_the_root(given_: dict[str, Any]) -> None:
    leaves = [
        commitment(KEY, name, msgspec.json.encode(given_[name])) for name in sorted(given_)
    ]
    assert commit(KEY, given_).commit == f"sha256:{root_of(leaves).hex()}"


@settings(deadline=None)
@given(arguments, st.randoms(use_true_random=False))
def test_the_order_of_arguments_does_not_matter(given_: dict[str, Any], dice: Any) -> None:
    shuffled = list(given_.items())
    dice.shuffle(shuffled)
    assert commit(KEY, dict(shuffled)) == commit(KEY, given_)


@settings(deadline=None)
@given(arguments, arguments)
def test_other_arguments_have_another_commitment(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    # Compared as text: in Python 1 is True.
    same = msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(
        other, order="deterministic"
    )
    nested = any(isinstance(it, dict | list) for it in one.values())
    assert (commit(KEY, one).commit == commit(KEY, other).commit) == same or nested


def test_a_value_opens_under_its_name_and_key_only() -> None:
    right = commitment(KEY, "path", b'"/etc/passwd"')
    assert right == commitment(KEY, "path", b'"/etc/passwd"')
    assert right != commitment(KEY, "path", b'"/etc/shadow"')
    assert right != commitment(KEY, "Path", b'"/etc/passwd"')
    assert right != commitment(OTHER_KEY, "path", b'"/etc/passwd"')


def test_a_name_cannot_borrow_from_its_value() -> None:
    assert commitment(KEY, "a", b"bc") != commitment(KEY, "ab", b"c")


def test_arguments_are_kept_by_name_only_and_names_are_bounded() -> None:
    secret = "correct horse battery staple"
    part = commit(
        KEY, {"x" * 1000: secret, **{f"k{number:03}": 1 for number in range(200)}}
    )
    assert secret not in str(part)
    assert len(part.keys) == MAX_KEYS
    longest = commit(KEY, {"x" * 1000: secret}).keys[0]
    assert longest == "x" * MAX_KEY_CHARACTERS + "…(+872)"


@settings(deadline=None)
@given(arguments)
def test_the_length_of_the_arguments_is_that_of_their_json(given_: dict[str, Any]) -> None:
    assert commit(KEY, given_).bytes == len(msgspec.json.encode(given_))


def test_more_groups_than_a_record_has_room_for_are_not_cut_but_left_out() -> None:
    many = [f"{number:04}-{'é' * 36}" for number in range(200)]
    assert written_groups(reversed(many)) == tuple(many)
    assert written_groups([]) == ()
    too_many = [*many, "x" * MAX_GROUPS_BYTES]
    assert written_groups(too_many) is UNSET


def test_very_many_arguments_are_committed_to_as_one() -> None:
    many = {f"k{number}": number for number in range(MAX_ARGUMENTS + 1)}
    whole = commitment(KEY, "", msgspec.json.encode(many))
    assert commit(KEY, many).commit == f"sha256:{whole.hex()}"
    assert commit(KEY, many).bytes == len(msgspec.json.encode(many))


def test_the_worst_names_of_arguments_fit_into_a_record() -> None:
    # Each control character takes six bytes in JSON.
    worst = {"\x01" * 1000 + f"{number}": 0 for number in range(100)}
    record = small(args=commit(KEY, worst), code="x" * 100)
    assert len(encode(record)) < MAX_ENTRY_BYTES * 0.9
