"""Least privilege under attack, through a running server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from patience import until
from system.gated import gated
from system.server import Answer, Installation
from system.turncoat import Turncoat, tool, turncoat

META = "io.modelcontextprotocol/"
SPOOFED = {"name": "bascule-cli", "version": "1"}
FORBID = """
@id("no-echo") forbid(
  principal, action == Mcp::Action::"call_tool", resource == Mcp::Tool::"desk/echo"
);
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Turncoat]:
    with turncoat() as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, upstream: Turncoat
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("entitled")
    with gated(folder, upstream, mode="observe") as made:
        yield made


def reload(bascule: Installation) -> None:
    seen = bascule.log.count("configuration reloaded")
    bascule.signal(signal.SIGHUP)
    until(lambda: bascule.log.count("configuration reloaded") > seen)


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [it["name"] for it in answer.json["result"]["tools"]]


def echo(bascule: Installation, token: str, **meta: Any) -> Answer:
    params = {"name": "echo", "arguments": {}, "_meta": meta}
    return bascule.call(token, "tools/call", params)


def test_what_a_client_says_of_itself_decides_nothing(bascule: Installation) -> None:
    """Its name is free for the taking, its token is not."""
    bascule.ask("agent", "add", "capped")
    text = bascule.config.read_text()
    bascule.config.write_text(f'{text}\n[agents.ceilings]\n"capped" = []\n')
    try:
        reload(bascule)
        token = bascule.token("alice", "desk", "--agent", "capped")
        said = {f"{META}clientInfo": SPOOFED}
        until(lambda: echo(bascule, token, **said).status != 401)
        answer = echo(bascule, token, **said)
        assert (answer.status, answer.error["code"]) == (400, -32602)
        code = answer.error["data"]["code"]
        until(lambda: bascule.cli("decide", "--code", code).stdout != "")
        why = bascule.cli("decide", "--code", code).stdout
        assert why.startswith("deny: above_ceiling")
        found = [it for it in bascule.records() if it["reason"] == "above_ceiling"]
        assert {it["agent"] for it in found} == {"capped"}
    finally:
        bascule.config.write_text(text)
        reload(bascule)


def test_a_call_is_decided_by_what_is_in_force_not_by_an_older_list(
    bascule: Installation,
) -> None:
    token = bascule.token()
    assert "echo" in names(bascule.call(token, "tools/list"))
    policies = bascule.config.parent / "policies"
    policies.mkdir(exist_ok=True)
    try:
        (policies / "no.cedar").write_text(FORBID)
        reload(bascule)
        answer = echo(bascule, token)
        assert (answer.status, answer.error["message"]) == (400, "unknown tool")
        assert "echo" not in names(bascule.call(token, "tools/list"))
    finally:
        (policies / "no.cedar").unlink()
        reload(bascule)
    assert "echo" in names(bascule.call(token, "tools/list"))
    assert echo(bascule, token).status == 200


def test_a_list_of_ten_thousand_tools_shows_what_may_be_used(
    bascule: Installation, upstream: Turncoat
) -> None:
    upstream.page = 20_000
    made = [tool(f"e{n}") if n % 100 == 0 else tool(f"x{n}") for n in range(10_000)]
    upstream.served["tools"] = made
    try:
        listed = names(bascule.call(bascule.token(), "tools/list"))
    finally:
        upstream.reset()
    assert listed == [f"e{n}" for n in range(0, 10_000, 100)]
