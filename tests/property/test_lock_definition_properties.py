"""A digest depends on every value of a definition, and on nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.lock.definition import UnpinnableError, definition_digest
from bascule.lock.known import Known

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
DEFINITIONS = st.dictionaries(st.text(), VALUES, min_size=1, max_size=6)
Path = tuple[str | int, ...]


def reordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    return value


def places(value: object, path: Path = ()) -> Iterator[Path]:
    """Give the path of every value that holds no other."""
    children = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    if not children:
        yield path
    for key, child in children:
        yield from places(child, (*path, key))


def changed(value: object, path: Path, leaf: object) -> object:
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, key: changed(value[str(key)], rest, leaf)}
    assert isinstance(value, list)
    assert isinstance(key, int)
    return [changed(it, rest, leaf) if n == key else it for n, it in enumerate(value)]


def value_at(value: object, path: Path) -> object:
    for key in path:
        value = value[key]  # type: ignore[index]
    return value


def same_json(one: object, other: object) -> bool:
    """Equal as JSON: a boolean is no number, and 1.0 is 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


@given(DEFINITIONS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_order_of_keys_white_space_and_escapes_change_nothing(
    definition: dict[str, object], indent: int | str | None, ascii_only: bool
) -> None:
    plain = json.dumps(definition).encode()
    other = json.dumps(reordered(definition), indent=indent, ensure_ascii=ascii_only)
    assert definition_digest(plain) == definition_digest(other.encode())


@given(DEFINITIONS, LEAVES, st.data())
def test_any_single_change_of_a_value_changes_the_digest(
    definition: dict[str, object], leaf: object, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(places(definition))))
    before = definition_digest(json.dumps(definition).encode())
    after = definition_digest(json.dumps(changed(definition, path, leaf)).encode())
    assert (before == after) == same_json(value_at(definition, path), leaf)


@given(DEFINITIONS, st.text(), LEAVES)
def test_any_added_field_changes_the_digest(
    definition: dict[str, object], key: str, leaf: object
) -> None:
    before = definition_digest(json.dumps(definition).encode())
    after = definition_digest(json.dumps({**definition, key: leaf}).encode())
    known = key in definition and same_json(definition[key], leaf)
    assert (before == after) == known


TRICKY = st.text(
    st.sampled_from('a\u007f\u2028\ue000\uffff\U00010000\U0010ffff\x00\x1f"\\/é')
)


@given(st.dictionaries(TRICKY, st.dictionaries(TRICKY, TRICKY | LEAVES), max_size=8))
def test_the_fast_way_gives_the_canonical_form(definition: dict[str, object]) -> None:
    raw = json.dumps(definition).encode()
    slow = hashlib.sha256(rfc8785.dumps(definition)).hexdigest()
    assert definition_digest(raw) == slow


@settings(max_examples=25)
@given(st.lists(DEFINITIONS, max_size=4))
def test_a_list_gives_what_its_entries_give(definitions: list[dict[str, object]]) -> None:
    named = [{**it, "name": f"tool-{n}"} for n, it in enumerate(definitions)]
    known = Known()
    for _ in range(2):
        assert known.digests(json.dumps(named).encode(), "tools") == {
            str(it["name"]): definition_digest(json.dumps(it).encode()) for it in named
        }


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_have_a_digest_or_raise_the_one_error(raw: bytes) -> None:
    for made in (raw, b'{"x":' + raw + b"}"):
        with contextlib.suppress(UnpinnableError):
            assert len(definition_digest(made)) == 64
