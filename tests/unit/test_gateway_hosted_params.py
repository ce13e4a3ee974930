"""Headers that repeat arguments, compared with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from bascule.gateway.hosted_params import Mirrored, check, learn
from bascule.protocol.modern import ProtocolError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "integer", "x-mcp-header": "Limit"},
        "deep": {
            "type": "object",
            "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}},
        },
        "price": {"type": "number", "x-mcp-header": "Price"},
        "plain": {"type": "string"},
    },
}
ARGUMENTS = {"region": "Zürich", "limit": 7, "deep": {"on": True}, "plain": "x"}
HEADERS = {
    b"mcp-param-region": b"=?base64?WsO8cmljaA==?=",
    b"mcp-param-limit": b"7",
    b"mcp-param-on": b"true",
}


def known(schema: Any = SCHEMA) -> Mirrored:
    found: Mirrored = {}
    tools = [{"name": "find", "inputSchema": schema}, {"name": "other"}]
    learn(Raw(json.dumps({"tools": tools}).encode()), found)
    return found


def call(arguments: Any) -> dict[str, Any]:
    return {"name": "find", "arguments": arguments}


def test_headers_that_agree_pass() -> None:
    check(call(ARGUMENTS), HEADERS, known())
    check({"name": "other", "arguments": {"region": "x"}}, {}, known())


@pytest.mark.parametrize(
    "change",
    [
        {b"mcp-param-region": b"Bern"},
        {b"mcp-param-limit": b"8"},
        {b"mcp-param-limit": b"seven"},
        {b"mcp-param-on": b"True"},
        {b"mcp-param-region": b"=?base64?%%%?="},
    ],
)
def test_a_header_that_says_something_else_is_refused(change: dict[bytes, bytes]) -> None:
    with pytest.raises(ProtocolError) as refused:
        check(call(ARGUMENTS), {**HEADERS, **change}, known())
    assert (refused.value.status, refused.value.error.code) == (400, -32020)


@pytest.mark.parametrize("missing", HEADERS)
def test_a_header_that_is_missing_is_refused(missing: bytes) -> None:
    fewer = {name: it for name, it in HEADERS.items() if name != missing}
    with pytest.raises(ProtocolError):
        check(call(ARGUMENTS), fewer, known())


def test_a_header_for_an_argument_that_is_not_there_is_refused() -> None:
    without = {**ARGUMENTS, "region": None}
    with pytest.raises(ProtocolError):
        check(call(without), HEADERS, known())
    fewer = {name: it for name, it in HEADERS.items() if b"region" not in name}
    check(call(without), fewer, known())


def test_what_was_learnt_is_forgotten_when_a_tool_changes() -> None:
    found = known()
    learn(Raw(b'{"tools":[{"name":"find","inputSchema":{}}]}'), found)
    assert found == {}


@pytest.mark.parametrize("page", [b"[]", b'{"tools":"x-mcp-header"}', b"\xff", b"{"])
def test_a_page_of_the_wrong_shape_says_nothing(page: bytes) -> None:
    found = known()
    learn(Raw(page), found)
    assert found == known()
