"""Digests of definitions: what they depend on, and what has none."""

from __future__ import annotations

import hashlib
import json

import pytest

from bascule.lock.definition import (
    MAX_DEFINITION_BYTES,
    MAX_DEFINITIONS,
    SurfaceError,
    UnpinnableError,
    definition_digest,
    name_of,
)
from bascule.lock.known import Known
from bascule.lock.surface import server_digest

TOOL = {
    "name": "read",
    "description": "Read a file.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
    "x-unknown": [1, 2.5, None, True],
}


def written(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"name":"a","name":"a"}', "a key twice"),
        (b'{"name":"a","inputSchema":{"x":{"b":1,"b":1}}}', "a key twice"),
        (b'{"name":"a","x":[{"\\u0062":1,"b":2}]}', "a key twice"),
        (b'{"x":NaN}', "`NaN`"),
        (b'{"x":-Infinity}', "`-Infinity`"),
        (b'{"x":1e400}', "no double holds"),
        (b'{"x":1e-99999999999999999999}', "no double holds"),
        (b'{"x":0.10000000000000000001}', "no double holds"),
        (b'{"x":9007199254740992}', "beyond 2\\*\\*53"),
        (b'{"x":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"x":"\\ud800"}', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'{"x":"\x01"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"x":1}', "not valid JSON"),
        ('{"x":1}'.encode("utf-16"), "not UTF-8"),
        (b"{} {}", "not valid JSON"),
        (b"[]", "no JSON object"),
        (b'{"x":' * 65 + b"1" + b"}" * 65, "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"x":"' + b"a" * MAX_DEFINITION_BYTES + b'"}', "larger than"),
    ],
)
def test_what_two_parsers_could_read_differently_has_no_digest(
    raw: bytes, reason: str
) -> None:
    with pytest.raises(UnpinnableError, match=reason):
        definition_digest(raw)


def test_the_digest_is_that_of_the_canonical_form() -> None:
    """`printf '{"a":1.5,"b":"é"}' | sha256sum`."""
    spaced = b' { "b" : "\\u00e9" ,\n"a" : 1.50 } '
    digest = "6173df492ea2cc3f93854102e7ca395f27a97bc90c7130b33a9608fe1407beba"
    assert definition_digest(spaced) == digest


def test_keys_are_sorted_as_the_standard_shows() -> None:
    """RFC 8785 §3.2.3: by their UTF-16 code units."""
    keys = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    members = (f"{json.dumps(key, ensure_ascii=False)}:1" for key in keys)
    canonical = "{" + ",".join(members) + "}"
    shuffled = written(dict.fromkeys(reversed(keys), 1))
    assert definition_digest(shuffled) == hashlib.sha256(canonical.encode()).hexdigest()


def test_text_is_not_normalised() -> None:
    composed, decomposed = written({"x": "\u00e9"}), written({"x": "e\u0301"})
    assert definition_digest(composed) != definition_digest(decomposed)


@pytest.mark.parametrize("name", [None, "", 7, "x" * 257])
def test_a_name_is_a_short_text(name: object) -> None:
    with pytest.raises(UnpinnableError, match="`name`"):
        name_of({"name": name}, "tools")


def test_a_list_gives_the_digest_of_each_name() -> None:
    other = {**TOOL, "name": "write"}
    listed = b"[%b , %b]" % (written(TOOL), written(other))
    assert Known().digests(listed, "tools") == {
        "read": definition_digest(written(TOOL)),
        "write": definition_digest(written(other)),
    }


def test_templates_go_by_their_uri() -> None:
    template = {"name": "one of many", "uriTemplate": "file:///{path}"}
    digests = Known().digests(written([template]), "resourceTemplates")
    assert digests == {"file:///{path}": definition_digest(written(template))}


def test_two_definitions_of_one_name_have_no_digest() -> None:
    """Not even equal ones: nobody knows which of both a client takes."""
    listed = written([TOOL, {**TOOL, "name": "write"}, TOOL])
    digests = Known().digests(listed, "tools")
    assert digests["read"] is None
    assert digests["write"] is not None


def test_one_definition_without_a_digest_leaves_the_others_theirs() -> None:
    listed = b'[{"name":"bad","x":1,"x":2},%b]' % written(TOOL)
    digests = Known().digests(listed, "tools")
    assert digests == {"bad": None, "read": definition_digest(written(TOOL))}


def test_a_doubled_name_is_blocked_under_the_name_that_is_passed_on() -> None:
    listed = b'[{"name":"harmless","name":"evil"}]'
    assert Known().digests(listed, "tools") == {"evil": None}


@pytest.mark.parametrize(
    "listed",
    [b"{}", b"[", b"[1]", b"[{}]", b'[{"name":1}]', b'{"name":"x"}', b"[" * 5000, b"\xff"],
)
def test_what_is_no_list_of_named_objects_is_refused(listed: bytes) -> None:
    with pytest.raises(SurfaceError):
        Known().digests(listed, "tools")


def test_a_flood_of_definitions_is_refused() -> None:
    listed = written([{"name": str(n)} for n in range(MAX_DEFINITIONS + 1)])
    with pytest.raises(SurfaceError, match="more than"):
        Known().digests(listed, "tools")


def test_what_is_remembered_is_what_would_be_read() -> None:
    """Also after the memory was full, and across kinds that have other names."""
    known = Known(most=2)
    both = {"name": "n", "uriTemplate": "u:{x}"}
    for number in (1, 2, 3, 2, 1):
        listed = written([{**both, "number": number}])
        digest = definition_digest(written({**both, "number": number}))
        assert known.digests(listed, "tools") == {"n": digest}
        assert known.digests(listed, "resourceTemplates") == {"u:{x}": digest}


def test_both_eras_give_one_identity() -> None:
    info, capabilities = {"name": "time", "version": "1"}, {"tools": {"listChanged": True}}
    begun = {
        "protocolVersion": "2025-11-25",
        "serverInfo": info,
        "capabilities": capabilities,
        "instructions": "Be kind.",
    }
    discovered = {
        "supportedVersions": ["2026-07-28"],
        "resultType": "complete",
        "ttlMs": 5,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": info, "trace": "x"},
        "capabilities": capabilities,
    }
    assert server_digest(begun) == server_digest(discovered)
    for change in ({"serverInfo": {**info, "version": "2"}}, {"capabilities": {}}):
        assert server_digest({**begun, **change}) != server_digest(begun)
