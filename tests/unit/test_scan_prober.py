"""Who is at a target: servers of all eras, and what only looks like one of them."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from bascule.scan.exchange import Limits
from bascule.scan.probed import Probed
from bascule.scan.prober import probe
from bascule.scan.report import Sent
from bascule.scan.scope import Scope
from bascule.scan.target import Target
from canned import (
    Answer,
    Canned,
    Heard,
    error,
    http,
    json,
    read_request,
    result,
    serving,
    talking,
    wired,
)
from certificates import new_authority

QUICK = Limits(connect_seconds=1.0, first_seconds=0.3, head_seconds=0.3, body_seconds=0.3)
TOOL = {"name": "delete_all", "description": "Delete.", "inputSchema": {"type": "object"}}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "3"}},
}
INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "old", "version": "1.2"},
}
NOT_FOUND = http("404 Not Found", b"nothing here")


def modern(heard: Heard) -> bytes:
    if heard.path != "/mcp" or heard.method != "POST":
        return NOT_FOUND
    if heard.headers.get("mcp-protocol-version") != "2026-07-28":
        return error(heard, -32020)
    if heard.rpc == "server/discover":
        return result(heard, DISCOVERED)
    if heard.rpc == "tools/list":
        return result(heard, {"resultType": "complete", "tools": [TOOL]})
    return error(heard, -32601, "404 Not Found")


def legacy(session: str = "") -> Answer:
    """Answer as servers of 2025-11-25 and before do, with or without a session."""

    def answer(heard: Heard) -> bytes:
        if heard.path != "/mcp" or heard.method == "GET":
            return NOT_FOUND
        if heard.rpc == "initialize":
            given = [f"Mcp-Session-Id: {session}"] if session else []
            return result(heard, INITIALIZED, *given)
        if session and heard.headers.get("mcp-session-id") != session:
            return error(heard, -32600)
        if heard.rpc == "tools/list":
            return result(heard, {"tools": [TOOL]})
        if heard.rpc.startswith("notifications/") or heard.method == "DELETE":
            return http("202 Accepted")
        return error(heard, -32601, "200 OK")

    return answer


def probed(
    answer: Answer, path: str = "/mcp", tls: ssl.SSLContext | None = None, **wire: Any
) -> tuple[Probed, Canned, list[Sent]]:
    """Probe a canned server at a path, or at all of them; without judges."""

    async def run() -> tuple[Probed, Canned, list[Sent]]:
        async with serving(answer, tls) as server, wired(limits=QUICK, **wire) as way:
            port = Target.of_port("127.0.0.1", server.port)
            target = Target.of_url(server.url + path) if path else port
            return await probe(way, target, judges=()), server, way.sent

    return asyncio.run(run())


def test_finds_a_server_of_2026_07_28_that_lists_without_a_token() -> None:
    found, server, _ = probed(modern)
    assert (found.server.state, found.server.auth) == ("open", "none")
    assert (found.server.name, found.server.transport) == ("new", "http")
    assert found.identity is not None
    assert (found.identity.era, found.identity.version) == ("modern", "3")
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("open-server", "high")
    assert "delete_all" in finding.evidence
    first = server.heard[0]
    assert first.rpc == "server/discover"
    assert first.headers["mcp-method"] == "server/discover"
    assert first.headers["accept"] == "application/json, text/event-stream"


@pytest.mark.parametrize("answer", [modern, legacy()], ids=["modern", "legacy"])
@pytest.mark.parametrize("challenge", ["", 'Bearer resource_metadata="http://x.invalid"'])
def test_finds_a_server_that_refuses_a_greeting_alone(
    answer: Answer, challenge: str
) -> None:
    """Who means harm asks for what he wants."""

    def refusing(heard: Heard) -> bytes | None:
        if heard.rpc in {"server/discover", "initialize"}:
            headers = [f"WWW-Authenticate: {challenge}"] if challenge else []
            return http("401 Unauthorized", b"", *headers)
        return answer(heard)

    found, _, _ = probed(refusing)
    assert found.server.state == "open"
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("open-server", "high")
    assert "delete_all" in finding.evidence


def test_finds_nothing_open_where_the_lists_are_refused_too() -> None:
    found, server, _ = probed(lambda _: http("401 Unauthorized", b"{}"))
    assert (found.server.state, found.findings) == ("token_required", ())
    assert "tools/list" in [it.rpc for it in server.heard]


def test_names_of_its_lists_those_that_have_something() -> None:
    def answer(heard: Heard) -> bytes:
        if heard.path == "/mcp" and heard.rpc in {"resources/list", "prompts/list"}:
            return result(heard, {"resultType": "complete", heard.rpc.split("/")[0]: []})
        return modern(heard)

    found, _, _ = probed(answer)
    evidence = found.findings[0].evidence
    assert evidence == "it lists 1 tool without a token: `delete_all`"


def test_shows_no_secret_of_what_a_server_says_of_itself() -> None:
    secret = "Zq8Wx3Cv6Bn9Ml2Kj5Hg"
    info = {"name": f"https://bob:{secret}@x.example/?token={secret}", "version": "1"}
    tool = {"name": f"get?api_key={secret}", "inputSchema": {}}

    def answer(heard: Heard) -> bytes:
        if heard.rpc == "initialize":
            return result(heard, {**INITIALIZED, "serverInfo": info})
        if heard.rpc == "tools/list":
            return result(heard, {"tools": [tool]})
        return legacy()(heard)

    found, _, _ = probed(answer)
    assert found.server.name == "https://[redacted]@x.example/?token=[redacted]"
    (finding,) = found.findings
    assert "get?api_key" in finding.evidence
    assert secret not in finding.evidence


@pytest.mark.parametrize(
    "hidden", [rb'"\ud800"', b'"\xff"', b"1e999", b"NaN", b'"a" ', b'{"a":"\\udfff"}']
)
def test_finds_what_a_server_hides_by_json_that_clients_read_all_the_same(
    hidden: bytes,
) -> None:
    def answer(heard: Heard) -> bytes:
        if heard.rpc != "tools/list":
            return legacy()(heard)
        tool = b'{"name":"a","inputSchema":{},"description":%b}' % hidden
        body = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[%b]}}' % (heard.id, tool)
        return http("200 OK", b"\xef\xbb\xbf" + body, "Content-Type: application/json")

    found, _, _ = probed(answer)
    assert found.server.state == "open"


@pytest.mark.parametrize("session", ["", "0123456789abcdef"])
def test_asks_an_older_server_for_its_lists_whether_or_not_a_session_came(
    session: str,
) -> None:
    found, server, _ = probed(legacy(session))
    assert found.server.state == "open"
    assert found.identity is not None
    assert found.identity.era == "legacy"
    assert found.identity.session_ids == ((session,) if session else ())
    asked = [it.rpc or it.method for it in server.heard]
    assert asked[:3] == ["server/discover", "initialize", "notifications/initialized"]
    assert ("DELETE" in asked) == bool(session)
    after = server.heard[3]
    assert after.headers["mcp-protocol-version"] == "2025-06-18"
    assert after.headers.get("mcp-session-id", "") == session


def test_never_calls_a_tool() -> None:
    for answer in (modern, legacy(), legacy("s-1")):
        for path in ("/mcp", ""):
            _, server, _ = probed(answer, path)
            assert {it.rpc for it in server.heard} <= {
                "",
                "server/discover",
                "initialize",
                "notifications/initialized",
                "tools/list",
                "resources/list",
                "prompts/list",
            }


def test_asks_an_older_server_in_the_revision_that_it_offers() -> None:
    def answer(heard: Heard) -> bytes:
        if heard.rpc == "initialize" and b"2025-11-25" in heard.body:
            problem = {
                "code": -32602,
                "message": "Unsupported protocol version",
                "data": {"supported": ["2024-11-05", "2025-03-26"]},
            }
            return json("200 OK", {"jsonrpc": "2.0", "id": heard.id, "error": problem})
        return legacy()(heard)

    found, server, _ = probed(answer)
    assert found.server.state == "open"
    assert [it.rpc for it in server.heard if b"2025-03-26" in it.body] == ["initialize"]


def test_does_not_call_lists_closed_that_a_newer_server_gives_in_its_own_revision() -> None:
    def answer(heard: Heard) -> bytes:
        if heard.method != "POST":
            return NOT_FOUND
        data = {"supported": ["2027-06-01"], "requested": "2026-07-28"}
        problem = {"code": -32022, "message": "no", "data": data}
        return json("400 Bad Request", {"jsonrpc": "2.0", "id": heard.id, "error": problem})

    found, _, _ = probed(answer)
    assert found.server.state == "unknown"
    assert found.identity is not None
    assert found.identity.versions == ("2027-06-01",)
    assert found.findings == ()


@pytest.mark.parametrize("code", [-32020, -32021, -32022])
def test_says_that_an_error_of_mcp_alone_is_not_enough(code: int) -> None:
    found, _, _ = probed(lambda heard: error(heard, code) if heard.body else NOT_FOUND)
    assert found.server.state == "unknown"
    assert f"error {code} alone" in found.not_assessed[0].why


def test_says_that_an_answer_is_encoded() -> None:
    found, _, _ = probed(lambda heard: result(heard, DISCOVERED, "Content-Encoding: gzip"))
    assert found.server.state == "unknown"
    assert "encoded" in found.not_assessed[0].why


def test_follows_cursors_but_not_for_ever() -> None:
    def answer(heard: Heard) -> bytes:
        if heard.rpc == "tools/list":
            return result(heard, {"tools": [TOOL], "nextCursor": "again"})
        return modern(heard)

    found, server, _ = probed(answer)
    assert len([it for it in server.heard if it.rpc == "tools/list"]) == 20
    assert found.identity is not None
    assert len(found.identity.lists["tools/list"]) == 20
    (gap,) = found.not_assessed
    assert (gap.what, gap.why) == ("all of `tools/list`", "there is more after 20 entries")


def test_says_that_discovery_is_open_where_lists_are_closed() -> None:
    def answer(heard: Heard) -> bytes:
        return http("401 Unauthorized") if heard.rpc.endswith("/list") else modern(heard)

    found, _, _ = probed(answer)
    assert found.server.state == "discovery_open"
    assert [it.rule for it in found.findings] == ["discovery-open"]


def test_does_not_take_silence_for_a_closed_list() -> None:
    def answer(heard: Heard) -> bytes | None:
        return None if heard.rpc == "tools/list" else modern(heard)

    found, _, _ = probed(answer)
    assert found.server.state == "unknown"
    assert found.findings == ()
    assert [it.what for it in found.not_assessed] == ["`tools/list`"]


def test_takes_the_weakest_of_two_ways_in() -> None:
    """A server that asks for a token in one era and not in the other is open."""

    def answer(heard: Heard) -> bytes:
        if "mcp-method" in heard.headers:
            metadata = 'Bearer resource_metadata="http://x.example/m"'
            return json("401 Unauthorized", {}, f"WWW-Authenticate: {metadata}")
        return legacy()(heard)

    found, _, _ = probed(answer)
    assert found.server.state == "open"
    assert found.identity is not None
    assert found.identity.era == "legacy"


@pytest.mark.parametrize(
    "heard_says",
    [
        {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "1"}},
        {"jsonrpc": "2.0", "id": 1, "result": {"capabilities": {}, "serverInfo": {}}},
        {"jsonrpc": "2.0", "id": 1, "result": {"supportedVersions": ["2026-07-28"]}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}},
        {"jsonrpc": "2.0", "id": 1, "result": "0x1b4"},
        {"data": None, "errors": [{"message": "must provide query string"}]},
        ["a batch"],
        "a string",
        None,
    ],
)
def test_takes_json_rpc_alone_for_no_mcp(heard_says: object) -> None:
    found, _, _ = probed(lambda _: json("200 OK", heard_says))
    assert found.server.state == "not_mcp"
    assert found.identity is None
    assert found.findings == ()


def test_takes_an_answer_to_another_request_for_none() -> None:
    def answer(heard: Heard) -> bytes:
        return json("200 OK", {"jsonrpc": "2.0", "id": 99, "result": INITIALIZED})

    assert probed(answer)[0].server.state == "not_mcp"


def refused(body: object, *challenges: str, status: str = "401 Unauthorized") -> Answer:
    lines = [f"WWW-Authenticate: {it}" for it in challenges]
    return lambda heard: (
        NOT_FOUND if "well-known" in heard.path else json(status, body, *lines)
    )


def test_tells_a_server_that_asks_for_a_token_by_its_metadata() -> None:
    challenge = 'Bearer resource_metadata="https://a.example/.well-known/x", scope="mcp"'
    found, _, _ = probed(refused({}, challenge))
    assert (found.server.state, found.server.auth) == ("token_required", "oauth")
    assert found.identity is not None
    assert found.identity.challenges == (challenge,)
    assert found.findings == ()


def test_tells_a_server_that_asks_for_a_token_in_the_words_of_rfc_6750() -> None:
    found, _, _ = probed(refused({"error": "invalid_token"}, "Bearer"))
    assert (found.server.state, found.server.auth) == ("token_required", "bearer")
    assert found.identity is not None


def test_takes_a_graphql_refusal_for_no_mcp() -> None:
    body = {"errors": [{"message": "not signed in"}], "error": "invalid_token"}
    found, _, _ = probed(refused(body, "Bearer"))
    assert (found.identity, found.server.state) == (None, "not_mcp")
    challenge = 'Bearer resource_metadata="https://a.example/.well-known/x"'
    found, _, _ = probed(refused(body, challenge))
    assert (found.identity is not None, found.server.state) == (True, "token_required")


def test_does_not_know_what_a_refusal_hides_that_says_nothing_of_mcp() -> None:
    found, _, _ = probed(refused({"detail": "Not authenticated"}))
    assert (found.identity, found.server.state) == (None, "token_required")
    assert found.not_assessed[0].what == "whether it is an MCP server"


def test_finds_metadata_that_the_refusal_does_not_name() -> None:
    document = {"resource": "https://a.example/mcp", "authorization_servers": ["https://b"]}

    def answer(heard: Heard) -> bytes:
        if heard.path == "/.well-known/oauth-protected-resource/mcp":
            return json("200 OK", document)
        return http("401 Unauthorized")

    found, _, _ = probed(answer)
    assert (found.server.state, found.server.auth) == ("token_required", "oauth")
    assert found.identity is not None
    other = {**document, "resource": "https://a.example/another/api"}
    found, _, _ = probed(
        lambda heard: (
            json("200 OK", other) if "well-known" in heard.path else http("401 No")
        )
    )
    assert found.identity is None


def test_names_the_status_of_the_path_that_refuses() -> None:
    found, _, _ = probed(
        lambda heard: http("401 x" if heard.path == "/api/mcp" else "404 x"), ""
    )
    assert found.server.state == "token_required"
    assert "(HTTP 401)" in found.not_assessed[0].why


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("403 Forbidden", "forbidden"),
        ("404 Not Found", "not_mcp"),
        ("429 Too Many Requests", "unknown"),
        ("503 Service Unavailable", "unknown"),
    ],
)
def test_tells_states_by_the_status(status: str, state: str) -> None:
    found, _, _ = probed(lambda _: http(status, b"<html>", "Content-Type: text/html"))
    assert found.server.state == state
    assert bool(found.not_assessed) == (state != "not_mcp")


@pytest.mark.parametrize("path", ["/v1/mcp", "/mcp/", "/gradio_api/mcp/", "/stream"])
def test_walks_the_usual_paths_where_none_is_named(path: str) -> None:
    def answer(heard: Heard) -> bytes:
        if heard.path != path:
            return NOT_FOUND
        heard.path = "/mcp"
        return modern(heard)

    found, server, _ = probed(answer, "")
    assert found.server.url == f"{server.url}{path}"
    assert server.connections == 1


def test_tries_paths_that_the_site_names_but_follows_nothing_to_elsewhere() -> None:
    page = b"""<a href="/team/mcp">x</a> <a href="https://other.example/mcp">y</a>"""

    def answer(heard: Heard) -> bytes:
        if heard.path == "/":
            return http("200 OK", page, "Content-Type: text/html")
        if heard.path == "/team/mcp":
            return http("307 Temporary Redirect", b"", "Location: /team/mcp/")
        if heard.path == "/team/mcp/":
            heard.path = "/mcp"
            return modern(heard)
        return NOT_FOUND

    found, server, sent = probed(answer, "")
    assert found.server.url == f"{server.url}/team/mcp/"
    assert {it.address for it in sent} == {f"127.0.0.1:{server.port}"}


def leads_on(heard: Heard) -> bytes:
    if heard.path == "/mcp":
        return http("307 Temporary Redirect", b"", "Location: /mcp/")
    if heard.path == "/mcp/":
        heard.path = "/mcp"
        return legacy()(heard)
    return NOT_FOUND


def test_tries_the_path_to_which_the_first_one_leads_at_the_same_place() -> None:
    found, server, _ = probed(leads_on, "")
    assert (found.server.state, found.server.url) == ("open", f"{server.url}/mcp/")


def test_a_named_url_has_a_row_of_its_own_beside_what_is_found_elsewhere() -> None:
    found, server, _ = probed(leads_on, "/mcp")
    assert (found.server.state, found.server.url) == ("not_mcp", f"{server.url}/mcp")
    (other,) = found.others
    assert (other.server.state, other.server.url) == ("open", f"{server.url}/mcp/")


@pytest.mark.parametrize("status", ["403 Forbidden", "421 Misdirected Request"])
@pytest.mark.parametrize("path", ["", "/mcp"])
def test_asks_as_localhost_who_knows_no_address(status: str, path: str) -> None:
    """As servers do that check `Host` against the one name that people type."""

    def answer(heard: Heard) -> bytes:
        named = heard.headers["host"].startswith("localhost:")
        return modern(heard) if named else http(status)

    found, server, sent = probed(answer, path)
    assert found.server.state == "open"
    assert found.server.url == f"{server.url}/mcp"
    assert {it.address for it in sent} == {f"127.0.0.1:{server.port}"}


def test_does_not_follow_a_site_that_names_ever_new_paths() -> None:
    def answer(heard: Heard) -> bytes:
        links = "".join(f'<a href="{heard.path}/{it}/mcp">' for it in range(9))
        return http("200 OK", links.encode(), "Content-Type: text/html")

    found, server, _ = probed(answer, "")
    assert found.server.state == "not_mcp"
    assert len(server.heard) < 80
    assert found.not_assessed[0].why == "40 paths were tried, and the site names more"


def test_does_not_keep_lists_without_bounds() -> None:
    tools = [{**TOOL, "description": "x" * 500_000}] * 7

    def answer(heard: Heard) -> bytes:
        if heard.rpc == "tools/list":
            return result(heard, {"tools": tools, "nextCursor": "more"})
        return modern(heard)

    found, server, _ = probed(answer)
    assert len([it for it in server.heard if it.rpc == "tools/list"]) == 3
    assert [it.what for it in found.not_assessed] == [
        "all of `tools/list`",
        "all of `resources/list`",
        "all of `prompts/list`",
    ]


def test_takes_a_server_that_serves_every_path_for_one() -> None:
    def answer(heard: Heard) -> bytes:
        heard.path = "/mcp"
        return modern(heard)

    found, server, _ = probed(answer, "")
    assert found.server.url == f"{server.url}/mcp"
    assert found.others == ()
    assert len(server.heard) < 40


def test_finds_two_endpoints_of_one_port() -> None:
    def answer(heard: Heard) -> bytes:
        if heard.path not in {"/mcp", "/rpc"}:
            return NOT_FOUND
        heard.path = "/mcp"
        return modern(heard)

    found, server, _ = probed(answer, "")
    assert [it.server.url for it in found.each()] == [
        f"{server.url}/mcp",
        f"{server.url}/rpc",
    ]


def test_never_sends_what_may_be_a_credential_in_a_url() -> None:
    found, server, sent = probed(modern, "/mcp?api_key=canary-7431")
    assert found.server.state == "open"
    assert all("canary" not in it.path + str(it.headers) for it in server.heard)
    assert "canary" not in repr((found, sent))
    assert any(it.why == "the query of it is not sent" for it in found.not_assessed)


@pytest.mark.parametrize(
    ("location", "rules"),
    [
        ("http://169.254.169.254/latest/meta-data/", ["redirects-inward"]),
        ("http://metadata.google.internal/", ["redirects-inward"]),
        ("https://elsewhere.example/mcp", []),
    ],
)
def test_reports_a_redirect_and_does_not_follow_it(location: str, rules: list[str]) -> None:
    found, server, sent = probed(lambda _: http("302 Found", b"", f"Location: {location}"))
    assert [it.rule for it in found.findings] == rules
    gap = found.not_assessed[0]
    assert "where it leads" in gap.what
    assert gap.why == "redirects are not followed"
    assert {it.address for it in sent} == {f"127.0.0.1:{server.port}"}


def raw(talk: Any, path: str = "") -> Probed:
    async def run() -> Probed:
        async with talking(talk) as server, wired(limits=QUICK) as way:
            target = Target.of_port("127.0.0.1", server.port)
            url = Target.of_url(f"{server.url}{path}")
            found = await probe(way, url if path else target, judges=())
            assert server.connections <= 3
            return found

    return asyncio.run(run())


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def greets_as_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await reader.read(1)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("talk", "state", "why"),
    [
        (is_silent, "unknown", "it takes the connection and never answers"),
        (hangs_up, "unknown", "it closes the connection without an answer"),
        (drips, "not_mcp", ""),
        (greets_as_ssh, "not_mcp", ""),
    ],
)
@pytest.mark.parametrize("path", ["", "/mcp"])
def test_leaves_what_is_no_http_at_once(talk: Any, state: str, why: str, path: str) -> None:
    found = raw(talk, path)
    assert found.server.state == state
    assert [it.why for it in found.not_assessed] == ([why] if why else [])


def test_reads_an_answer_out_of_a_stream_that_never_ends() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

    def answer(heard: Heard) -> bytes:
        whole = modern(heard)
        body = whole.partition(b"\r\n\r\n")[2]
        if not whole.startswith(b"HTTP/1.1 200"):
            return whole
        noise = b'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n'
        return head + b": hello\n\n" + noise + b"data: " + body + b"\n\n"

    found, _, _ = probed(answer)
    assert found.server.state == "open"


def test_is_not_held_by_a_stream_of_events_that_answer_nothing() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    found, _, _ = probed(lambda _: head + b'data: {"x":1}\n\n' * 5)
    assert found.server.state == "unknown"
    assert found.not_assessed[0].why == "the answer does not end in time"


async def drips_bodies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_is_held_by_a_body_that_drips_once_and_not_at_each_path(path: str) -> None:
    found = raw(drips_bodies, path)
    assert found.server.state == "unknown"
    whys = [it.why for it in found.not_assessed]
    assert whys == [
        "the answer does not end in time",
        "at /mcp, the answer does not end in time",
    ]


async def sends_a_gigabyte(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: 1073741824\r\n\r\n")
    while not reader.at_eof():
        writer.write(b'{"jsonrpc":"2.0",' * 4096)
        await writer.drain()


def test_reads_of_a_gigabyte_no_more_than_may_be_an_answer() -> None:
    async def run() -> Probed:
        limits = Limits(body_seconds=1.0, body_bytes=1 << 20)
        async with talking(sends_a_gigabyte) as server, wired(limits=limits) as way:
            return await probe(way, Target.of_url(f"{server.url}/mcp"), judges=())

    found = asyncio.run(run())
    assert found.server.state == "unknown"
    assert found.not_assessed[0].why == "the answer is larger than 1048576 bytes"


def test_finds_tls_where_the_scheme_is_not_known(tmp_path: Path) -> None:
    authority = new_authority()
    tls = authority.server(tmp_path, "127.0.0.1")
    found, _, _ = probed(modern, "", tls, trust=authority.trust)
    assert found.server.state == "open"
    assert found.server.url is not None
    assert str(found.server.url).startswith("https://")
    assert [it.rule for it in found.findings] == ["open-server"]


def test_finds_tls_where_the_server_says_so_in_the_clear(tmp_path: Path) -> None:
    """As nginx and Go do, on the port that speaks TLS."""
    authority = new_authority()
    tls = authority.server(tmp_path, "127.0.0.1")
    words = b"Client sent an HTTP request to an HTTPS server."

    async def run() -> Probed:
        async with (
            serving(lambda _: http("400 Bad Request", words), close=True) as clear,
            serving(modern, tls) as secured,
        ):

            async def dial(
                address: str, port: int
            ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                first = clear.connections == 0
                return await asyncio.open_connection(
                    address, clear.port if first else secured.port
                )

            async with wired(limits=QUICK, trust=authority.trust, dial=dial) as way:
                target = Target.of_port("127.0.0.1", 9)
                return await probe(way, target, judges=())

    found = asyncio.run(run())
    assert (found.server.state, found.server.url) == ("open", "https://127.0.0.1:9/mcp")


def test_reports_a_certificate_for_another_name_and_looks_on(tmp_path: Path) -> None:
    authority = new_authority()
    tls = authority.server(tmp_path, "other.example")

    async def run() -> Probed:
        async with (
            serving(modern, tls) as server,
            wired(limits=QUICK, trust=authority.trust) as way,
        ):
            url = f"https://127.0.0.1:{server.port}/mcp"
            return await probe(way, Target.of_url(url), judges=())

    found = asyncio.run(run())
    assert {it.rule for it in found.findings} == {"open-server", "tls-not-trusted"}
    (finding,) = (it for it in found.findings if it.rule == "tls-not-trusted")
    assert "IP address mismatch" in finding.evidence


def test_does_not_ask_what_is_out_of_scope() -> None:
    async def run() -> tuple[Probed, list[Sent]]:
        async with wired(scope=Scope()) as way:
            target = Target.of_url("http://192.0.2.7/mcp")
            return await probe(way, target, judges=()), way.sent

    found, sent = asyncio.run(run())
    assert found.server.state == "unknown"
    (gap,) = found.not_assessed
    assert "--i-own-this" in gap.why
    assert sent == []


class Events:
    """A server of 2024-11-05: a stream, and messages posted beside it."""

    def __init__(self, endpoint: str = "/messages?session_id=77c0ffee") -> None:
        self.endpoint = endpoint
        self.posted: list[str] = []
        self.waited = 0
        """Messages without a session, which have no answer at all."""
        self.stream: asyncio.StreamWriter | None = None

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                heard = await read_request(reader)
            except asyncio.IncompleteReadError:
                return
            if heard.method == "GET" and heard.path == "/sse":
                self.stream = writer
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                writer.write(head + f"event: endpoint\ndata: {self.endpoint}\n\n".encode())
                await reader.read()
                return
            if heard.path == self.endpoint.partition("?")[0]:
                self.waited += 1
                await reader.read()
            writer.write(self._answer(heard))

    def _answer(self, heard: Heard) -> bytes:
        if heard.path != self.endpoint or self.stream is None:
            return NOT_FOUND
        self.posted.append(heard.rpc)
        results = {"initialize": INITIALIZED, "tools/list": {"tools": [TOOL]}}
        if heard.rpc in results:
            body = result(heard, results[heard.rpc]).partition(b"\r\n\r\n")[2]
            self.stream.write(b"event: message\ndata: " + body + b"\n\n")
        return http("202 Accepted", b"Accepted")


@pytest.mark.parametrize("path", ["/sse", ""])
def test_finds_a_server_of_2024_11_05(path: str) -> None:
    events = Events()

    async def run() -> Probed:
        async with talking(events) as server, wired(limits=QUICK) as way:
            port = Target.of_port("127.0.0.1", server.port)
            target = Target.of_url(server.url + path) if path else port
            found = await probe(way, target, judges=())
            assert "77c0ffee" not in repr(way.sent)
            return found

    found = asyncio.run(run())
    assert (found.server.state, found.server.transport) == ("open", "sse")
    assert found.server.name == "old"
    assert events.posted[:2] == ["initialize", "notifications/initialized"]
    assert "tools/list" in events.posted
    assert events.waited == 0
    assert found.others == ()


def test_does_not_post_where_a_stream_says_if_that_is_elsewhere() -> None:
    events = Events("http://169.254.169.254/messages")

    async def run() -> tuple[Probed, list[Sent]]:
        async with talking(events) as server, wired(limits=QUICK) as way:
            target = Target.of_url(f"{server.url}/sse")
            return await probe(way, target, judges=()), way.sent

    found, sent = asyncio.run(run())
    assert [it.rule for it in found.findings] == ["endpoint-elsewhere"]
    assert len({it.address for it in sent}) == 1
    assert events.posted == []
