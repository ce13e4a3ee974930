"""Arguments through a running server: checked, made canonical, sent and recorded so."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.lock.surface import FORMAT, Context, Document
from patience import until
from ports import free_ports
from system.gated import approve, lock
from system.legacy_client import LegacyClient
from system.server import Answer, Installation, body_of, headers_of
from system.turncoat import Turncoat, tool, turncoat

CHILD = Path(__file__).with_name("turncoat_child.py")
CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[connectors.desk]
url = "http://127.0.0.1:{upstream}/mcp"
record_values = true

[connectors.shelf]
command = {command}
mode = "warn"

[roles.clerk]
members = ["user:alice"]
allow = ["desk/echo", "desk/never", "shelf/echo"]

[agents]
default_ceiling = ["desk/*", "shelf/*"]
"""
POLICY = """
@id("no-secrets")
forbid(principal, action == Mcp::Action::"call_tool", resource)
when { context.args has path && context.args.path like "/secret/*" };

@id("not-there")
forbid(principal, action == Mcp::Action::"call_tool", resource)
when { context.args has region && context.args.region == "forbidden" };

@id("no-way")
forbid(principal is Mcp::User, action, resource == Mcp::Tool::"desk/never")
unless {
  context.args has path && context.args.path like "/a/*" && context.args.path like "/b/*"
};
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "x-mcp-header": "Path"},
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "integer"},
        "bad": {"type": "boolean", "x-mcp-header": "Bad\r\nX-Smuggled: 1"},
    },
}
SAID = {"bascule/access": "always", "x": 1}
TOOLS = [
    tool("echo", inputSchema=SCHEMA, _meta=SAID),
    tool("never", inputSchema=SCHEMA),
    tool("other"),
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Turncoat]:
    with turncoat() as made:
        made.served["tools"] = TOOLS
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, upstream: Turncoat
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("arguments")
    made = Installation(folder, *free_ports(2))
    listed = folder / "tools.json"
    listed.write_text(json.dumps(TOOLS))
    made.config.write_text(
        CONFIG.format(
            public=made.public,
            admin=made.admin,
            upstream=upstream.port,
            command=json.dumps([sys.executable, str(CHILD), str(listed)]),
        )
    )
    (folder / "policies").mkdir()
    (folder / "policies" / "paths.cedar").write_text(POLICY)
    made.ask("user", "add", "alice")
    lock(made, "desk", upstream.document())
    definitions = {it["name"]: (it,) for it in TOOLS}
    lock(made, "shelf", Document(FORMAT, Context(), tools=definitions))
    for name in ("desk", "shelf"):
        approve(made, name)
    made.start()
    try:
        yield made
    finally:
        made.kill()


Call = Callable[..., Answer]


@pytest.fixture(params=["modern", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def call(bascule: Installation, era: str) -> Call:
    """Call `echo` of the connector behind HTTP."""
    return calling(bascule, era, "desk")


def calling(bascule: Installation, era: str, connector: str) -> Call:
    token = bascule.token("alice", connector)
    if era == "legacy":
        client = LegacyClient(bascule, token, connector)
        assert client.initialize().status == 200
        return lambda **arguments: client.tool("echo", **arguments)

    def modern(**arguments: Any) -> Answer:
        params = {"name": "echo", "arguments": arguments}
        body = body_of("tools/call", params, 7)
        headers = headers_of(body, token) | repeated(arguments)
        return bascule.send(body, headers, path=f"/c/{connector}/mcp")

    return modern


def repeated(arguments: dict[str, Any]) -> dict[str, str]:
    """Give the headers with which a client repeats arguments."""
    names = {"path": "Mcp-Param-Path", "region": "Mcp-Param-Region"}
    return {
        names[name]: value
        for name, value in arguments.items()
        if name in names and isinstance(value, str)
    }


def arrived(upstream: Turncoat) -> dict[str, Any]:
    found: dict[str, Any] = upstream.asked[-1].params["arguments"]
    return found


def refused(answer: Answer, era: str) -> str:
    """Give what is said of arguments that are refused."""
    assert answer.status == (400 if era == "modern" else 200), answer.body
    assert answer.error["code"] == -32602
    assert set(answer.error["data"]) == {"code"}
    return str(answer.error["message"])


def test_the_upstream_gets_what_was_decided_on(
    call: Call, upstream: Turncoat, era: str
) -> None:
    answer = call(path="/public/../docs//x/", limit=3)
    assert answer.status == 200, answer.body
    assert arrived(upstream) == {"path": "/docs/x", "limit": 3}
    if era == "modern":
        assert upstream.asked[-1].headers["mcp-param-path"] == "/docs/x"


def test_a_forbidden_path_is_not_there_however_it_is_spelt(
    call: Call, upstream: Turncoat, era: str
) -> None:
    before = len(upstream.asked)
    for path in ("/secret/key", "/public/../secret/key", "//secret/./key"):
        assert refused(call(path=path), era) == "unknown tool"
    for path in ("secret/key", "/secret%2Fkey", "\\secret\\key", "~/secret/key"):
        assert refused(call(path=path), era).startswith("`path` ")
    assert all(it.method != "tools/call" for it in upstream.asked[before:])


def invalid(bascule: Installation) -> int:
    return [it["reason"] for it in bascule.records()].count("invalid_arguments")


def test_an_answer_says_what_is_wrong_and_the_log_holds_no_value(
    bascule: Installation, call: Call, upstream: Turncoat, era: str
) -> None:
    before, known = len(upstream.asked), invalid(bascule)
    assert refused(call(limit="s3ntinel"), era) == (
        '`limit`: the value is not of type "integer"'
    )
    assert refused(call(pth="s3ntinel"), era) == "`pth` is not an argument of this tool"
    assert refused(call(path="/x\\s3ntinel"), era) == "`path` has a backslash"
    assert all(it.method != "tools/call" for it in upstream.asked[before:])
    until(lambda: invalid(bascule) >= known + 3)
    whole = json.dumps(bascule.whole_records()[-3:])
    assert "s3ntinel" not in whole
    assert "s3ntinel" not in bascule.log


def test_of_a_doubled_key_one_is_decided_on_and_sent(
    bascule: Installation, upstream: Turncoat
) -> None:
    token = bascule.token()
    good = body_of("tools/call", {"name": "echo", "arguments": {"path": "PATH"}}, 7)
    headers = headers_of(good, token)
    for doubled, arrives in (
        ('"/secret/a","path":"/docs/a"', "/docs/a"),
        ('"/secret/a","p\\u0061th":"/docs/a"', "/docs/a"),
        ('"/docs/a","path":"/secret/a"', None),
    ):
        text = json.dumps(good).replace('"PATH"', doubled).encode()
        named = {**headers, "Mcp-Param-Path": arrives or "/secret/a"}
        answer = bascule.send(text, named)
        assert (answer.status == 200) is (arrives is not None), answer.body
        if arrives is not None:
            assert arrived(upstream) == {"path": arrives}


def test_headers_that_repeat_arguments_say_the_same(
    bascule: Installation, upstream: Turncoat
) -> None:
    """A server may believe the header, and then that is what it reads."""
    token = bascule.token()
    body = body_of("tools/call", {"name": "echo", "arguments": {"path": "/docs/a"}}, 7)
    headers = headers_of(body, token)
    before = len(upstream.asked)
    for lie in ({"Mcp-Param-Path": "/secret/a"}, {}, {"Mcp-Param-Region": "forbidden"}):
        answer = bascule.send(body, {**headers, **lie})
        assert (answer.status, answer.error["code"]) == (400, -32020)
    assert all(it.method != "tools/call" for it in upstream.asked[before:])
    more = {"Mcp-Param-Path": "/docs/a", "Mcp-Param-Unknown": "/secret/a"}
    assert bascule.send(body, {**headers, **more}).status == 200
    sent = upstream.asked[-1].headers
    assert sent["mcp-param-path"] == "/docs/a"
    assert "mcp-param-unknown" not in sent
    bad = body_of("tools/call", {"name": "echo", "arguments": {"bad": True}}, 7)
    assert bascule.send(bad, headers_of(bad, token)).status == 200
    assert "x-smuggled" not in upstream.asked[-1].headers


def test_deep_and_huge_arguments_end_the_call_and_nothing_else(
    bascule: Installation, call: Call, era: str
) -> None:
    assert "more parts" not in refused(call(path="/x", many=[1] * 100_000), era)
    assert "`path`" in refused(call(path=["x"] * 200_000), era)
    assert call(path="/docs/x").status == 200


def found(bascule: Installation) -> list[str | None]:
    """Give what calls of the process were found to be."""
    calls = (it for it in bascule.whole_records() if it["type"] == "call.start")
    return [it["authz"].get("finding") for it in calls if it["connector"] == "shelf"]


def test_a_process_on_standard_streams_gets_them_too(
    bascule: Installation, era: str
) -> None:
    call = calling(bascule, era, "shelf")
    answer = call(path="/public/../docs/x")
    assert answer.status == 200, answer.body
    text = json.loads(answer.json["result"]["content"][0]["text"])
    assert text["arguments"] == {"path": "/docs/x"}
    assert refused(call(path="/public/../secret/x"), era) == "unknown tool"
    # In this mode what the schema does not have is found, not refused.
    assert call(new=1).status == 200
    until(lambda: "invalid_arguments" in found(bascule))


def test_a_policy_that_does_not_fit_is_refused_on_reload_and_in_a_check(
    bascule: Installation,
) -> None:
    wrong = bascule.folder / "policies" / "wrong.cedar"
    wrong.write_text(
        '\n@id("typo") forbid(principal, action == Mcp::Action::"call_tool",'
        ' resource == Mcp::Tool::"desk/echo") when { context.args.pth == "/x" };\n'
    )
    try:
        bascule.signal(signal.SIGHUP)
        until(lambda: "reload refused" in bascule.log)
        assert "pth" in bascule.log
        found = bascule.cli("policy", "check", "--json")
        assert found.exit_code == 1
        (problem,) = [
            it for it in json.loads(found.stdout)["problems"] if it["severity"] == "error"
        ]
        assert problem["file"].endswith("wrong.cedar")
        assert problem["line"] == 2
    finally:
        wrong.unlink()


def test_a_list_says_where_arguments_decide(bascule: Installation, era: str) -> None:
    """And what no arguments make callable is not there, nor is what it takes."""
    token = bascule.token()
    if era == "legacy":
        client = LegacyClient(bascule, token, "desk")
        assert client.initialize().status == 200
        answer = client.call("tools/list")
        never = client.tool("never", limit="three")
    else:
        answer = bascule.call(token, "tools/list")
        params = {"name": "never", "arguments": {"limit": "three"}}
        never = bascule.call(token, "tools/call", params)
    assert answer.status == 200, answer.body
    (echo,) = answer.json["result"]["tools"]
    assert echo == {**TOOLS[0], "_meta": {"x": 1, "bascule/access": "maybe"}}
    assert refused(never, era) == "unknown tool"
