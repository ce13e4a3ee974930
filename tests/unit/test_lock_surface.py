"""The document of a surface: joined, written, read, and never believed unchecked."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bascule.lock.definition import definition_digest
from bascule.lock.join import join
from bascule.lock.model import LockError
from bascule.lock.surface import (
    document_name,
    format_document,
    parse_document,
    pins,
    read_document,
)
from bascule.lock.view import CaptureError, View

READ = {"name": "read", "description": "Read \u202e it.", "inputSchema": {"x": 1.0}}
LONGER = {**READ, "description": "Read it all."}
TEMPLATE = {"name": "file", "uriTemplate": "file:///{path}"}
OPENING = {
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "s", "version": "1"},
    "instructions": "Be kind.",
}


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def view(*tools: object, opening: object = OPENING, **capabilities: object) -> View:
    return View(
        revision="2025-11-25",
        capabilities=capabilities,
        opening=raw(opening),
        listed={
            "tools": [raw(tool) for tool in tools],
            "resourceTemplates": [raw(TEMPLATE)],
        },
    )


DOCUMENT = join([view(READ), view(LONGER, sampling={})], {"TZ": "UTC"})


def test_each_definition_that_any_client_saw_is_pinned() -> None:
    found = pins(DOCUMENT, seen_by="landlock")
    digests = {definition_digest(bytes(raw(it))) for it in (READ, LONGER)}
    assert set(found.tools["read"]) == digests
    assert found.resource_templates == {
        "file:///{path}": (definition_digest(bytes(raw(TEMPLATE))),)
    }
    assert len(found.server) == len(found.instructions) == 1
    assert found.seen_by == "landlock"


def test_the_order_of_views_and_definitions_does_not_matter() -> None:
    other = {**READ, "name": "write"}
    one = join([view(READ, other), view(LONGER, sampling={})], {"A": "1", "B": "2"})
    two = join([view(LONGER, sampling={}), view(other, READ)], {"B": "2", "A": "1"})
    assert format_document(one) == format_document(two)
    assert pins(one) == pins(two)


@pytest.mark.parametrize(
    "changed",
    [
        join([view(READ)], {"TZ": "UTC"}),
        join([view(READ), view(LONGER, sampling={})], {"TZ": "Asia/Tokyo"}),
        join([view(READ), view(LONGER, roots={})], {"TZ": "UTC"}),
        join([view(READ, READ), view(LONGER, sampling={})], {"TZ": "UTC"}),
    ],
)
def test_whatever_differs_makes_another_set(changed: object) -> None:
    assert pins(changed).set != pins(DOCUMENT).set  # type: ignore[arg-type]


def test_a_name_that_one_client_saw_twice_is_refused_for_all() -> None:
    joined = join([view(READ), view(READ, READ)], {})
    assert joined.tools == {}
    assert joined.refused == {"tools/read": "is served twice"}


@pytest.mark.parametrize(
    "tool", [b"{}", b'{"name":7}', b"3", b'{"name":"\\ud800"}', b'{"name":"\xff"}']
)
def test_a_definition_without_a_readable_name_stops_the_capture(tool: bytes) -> None:
    broken = View(
        revision="2025-11-25",
        capabilities={},
        opening=raw(OPENING),
        listed={"tools": [Raw(tool)]},
    )
    with pytest.raises(LockError):
        join([broken], {})


@pytest.mark.parametrize(
    "opening",
    [b'{"capabilities":{"a":1,"a":2}}', b'{"serverInfo":{"version":1e999}}', b"[]"],
)
def test_what_a_server_says_of_itself_has_to_have_one_meaning(opening: bytes) -> None:
    broken = View(revision="2025-11-25", capabilities={}, opening=Raw(opening))
    with pytest.raises(CaptureError, match="says of itself"):
        join([broken], {})


def test_the_file_shows_what_is_not_seen_and_has_the_same_meaning() -> None:
    content = format_document(DOCUMENT)
    assert b"Read \\u202e it." in content
    assert parse_document(content) == DOCUMENT
    assert format_document(parse_document(content)) == content


def test_a_document_is_read_only_when_it_is_the_one_that_the_lock_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / document_name("x")
    path.parent.mkdir()
    surface = pins(DOCUMENT)
    with pytest.raises(LockError, match="is missing"):
        read_document(tmp_path, "x", surface)
    path.write_bytes(json.dumps(json.loads(format_document(DOCUMENT))).encode())
    assert read_document(tmp_path, "x", surface) == DOCUMENT
    path.write_bytes(format_document(DOCUMENT).replace(b"all.", b"all!"))
    with pytest.raises(LockError, match="not the file that the lock names"):
        read_document(tmp_path, "x", surface)


@pytest.mark.parametrize(
    "change",
    [
        {"surface_format": 2},
        {"surface_format": True},
        {"surface_format": None},
        {"unknown": 1},
        {"tools": {"a": {}}},
        {"context": {"secrets": {}}},
    ],
)
def test_a_document_of_another_form_is_refused(change: dict[str, object]) -> None:
    tree = {**json.loads(format_document(DOCUMENT)), **change}
    with pytest.raises(LockError):
        parse_document(json.dumps(tree).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_raise_the_one_error(content: bytes) -> None:
    for made in (content, b'{"surface_format":1,"context":{},"tools":' + content + b"}"):
        with contextlib.suppress(LockError):
            parse_document(made)
