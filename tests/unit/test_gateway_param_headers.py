"""Headers that repeat arguments: compared, written anew, or left out."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bascule.clock import UnixTime
from bascule.config.model import Config, Connector
from bascule.decision.facts import CallFacts, Principal
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.gateway.exchange import Exchange
from bascule.gateway.param_headers import param_headers
from bascule.identity.authorization_details import Details
from bascule.protocol.modern import ProtocolError

WITH = {"properties": {"path": {"type": "string", "x-mcp-header": "Path"}}}
WITHOUT = {"properties": {"path": {"type": "string"}}}


def snapshot(schema: Any, policies: str = "") -> Snapshot:
    config = Config(connectors={"fs": Connector(command=("fs",))})
    pin = ToolPin(schema=json.dumps(schema).encode())
    gate = Gate(mode="enforce", tools={"do": {"d": pin}})
    return build_snapshot(config, {"p.cedar": policies}, {"fs": gate})


def written(
    schema: Any,
    headers: dict[bytes, bytes],
    came: dict[str, Any],
    sent: dict[str, Any] | None = None,
    *,
    definition: str = "d",
    approved: bool = False,
    policies: str = "",
    details: Details | None = None,
) -> bytes:
    facts = CallFacts(
        Principal("user:alice", "desk", details=details),
        "fs",
        "tools/call",
        "tool",
        "do",
        UnixTime(0),
        definition=definition,
        arguments=came,
    )
    exchange = cast("Exchange", SimpleNamespace(headers=headers))
    goes = came if sent is None else sent
    made = snapshot(schema, policies)
    return param_headers(exchange, facts, goes, made, approved=approved)


def test_they_are_written_from_what_is_sent() -> None:
    headers = {b"mcp-param-path": b"/a/../b", b"mcp-param-other": b"x", b"accept": b"y"}
    found = written(WITH, headers, {"path": "/a/../b"}, {"path": "/b"})
    assert found == b"mcp-param-path: /b\r\n"
    assert written(WITH, {}, {}) == b""


def test_a_text_that_is_none_of_a_header_is_encoded() -> None:
    value = "caf\u00e9\r\nX-Evil: 1"
    header = b"=?base64?Y2Fmw6kNClgtRXZpbDogMQ==?="
    found = written(WITH, {b"mcp-param-path": header}, {"path": value})
    assert found == b"mcp-param-path: " + header + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "came"),
    [
        ({b"mcp-param-path": b"/a"}, {"path": "/b"}),
        ({}, {"path": "/b"}),
        ({b"mcp-param-path": b"/a"}, {}),
        ({b"mcp-param-path": b"=?base64?!?="}, {"path": "/b"}),
        ({b"mcp-param-path": b"1"}, {"path": 1.5}),
    ],
)
def test_one_that_says_something_else_is_refused(
    headers: dict[bytes, bytes], came: dict[str, Any]
) -> None:
    with pytest.raises(ProtocolError) as caught:
        written(WITH, headers, came)
    assert caught.value.error.code == -32020


def test_a_tool_that_asks_for_none_gets_none() -> None:
    assert written(WITHOUT, {b"mcp-param-path": b"/secret"}, {"path": "/b"}) == b""


def test_without_an_approved_definition_they_go_as_they_came() -> None:
    headers = {b"mcp-param-path": b"/a", b"accept": b"y"}
    found = written(WITH, headers, {"path": "/b"}, definition="another")
    assert found == b"mcp-param-path: /a\r\n"


def test_where_arguments_decide_none_goes_that_was_not_compared() -> None:
    headers = {b"mcp-param-path": b"/etc/passwd"}
    rule = """@id("p") forbid(principal, action == Mcp::Action::"call_tool",
        resource == Mcp::Tool::"fs/do") when { context.args.path like "/etc/*" };"""
    sent = {"path": "/docs"}
    assert written(WITH, headers, sent, definition="another", policies=rule) == b""
    assert written(WITH, headers, sent, definition="another", details=()) == b""


@pytest.mark.parametrize(
    "name", ["A\r\nX-Evil: 1", "A B", "", "A:", "\u00e9", "A" * 200, 5]
)
def test_what_is_no_name_of_a_header_is_none(name: object) -> None:
    schema = {"properties": {"path": {"type": "string", "x-mcp-header": name}}}
    assert written(schema, {}, {"path": "/b"}) == b""
