"""What clients are told, what upstreams get, and what neither ever sees."""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import json
from typing import Any

import pytest

from patience import PATIENCE, until
from system.recorder import CURSOR, FORBIDDEN, STATE, SUBSCRIPTION, TOOLS, Recorder
from system.server import CREDENTIAL, Answer, Installation, body_of, headers_of

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


@pytest.fixture(scope="module")
def token(bascule: Installation) -> str:
    return bascule.token()


def without_code(answer: Answer) -> tuple[int, list[str], bytes]:
    code = answer.error["data"]["code"].encode()
    assert len(base64.urlsafe_b64decode(code)) == 12
    return answer.status, sorted(answer.headers), answer.body.replace(code, b"CODE")


# Denied and not there


@pytest.mark.parametrize(
    ("method", "key", "there", "absent"),
    [
        ("tools/call", "name", FORBIDDEN, "forbidde!"),
        ("prompts/get", "name", "greeting", "nonesuch"),
        ("resources/read", "uri", "file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_what_is_denied_and_what_is_not_there_answer_alike(
    method: str,
    key: str,
    there: str,
    absent: str,
    bascule: Installation,
    token: str,
    upstream: Recorder,
) -> None:
    answers = [bascule.call(token, method, {key: name}) for name in (there, absent)]
    first, second = (without_code(answer) for answer in answers)
    assert first == second
    assert answers[0].status == 400
    assert (answers[0].json["id"], answers[0].error["code"]) == (7, -32602)
    assert answers[0].error["data"]["code"] != answers[1].error["data"]["code"]
    assert upstream.take() == []


def test_a_refused_code_leads_to_the_reason_in_the_log(
    bascule: Installation, token: str
) -> None:
    code = bascule.tool(token, FORBIDDEN).error["data"]["code"]

    def decisions() -> list[str]:
        found = [it for it in bascule.whole_records() if it.get("code") == code]
        return [it["authz"]["decision"] for it in found]

    until(lambda: decisions() != [])
    assert decisions() == ["deny"]


def test_a_missing_scope_alone_is_named(bascule: Installation, upstream: Recorder) -> None:
    narrow = bascule.token("alice", "desk", "--scope", "desk.echo")
    assert bascule.tool(narrow, "echo").status == 200
    upstream.take()
    answer = bascule.tool(narrow, "fails")
    assert (answer.status, answer.json["id"]) == (403, 7)
    named = answer.headers["www-authenticate"]
    assert named.startswith('Bearer error="insufficient_scope", resource_metadata="')
    assert 'scope="mcp:desk"' in named
    assert upstream.take() == []


def test_a_missing_scope_is_not_named_to_who_may_not_anyway(bascule: Installation) -> None:
    narrow = bascule.token("alice", "desk", "--scope", "desk.echo")
    wide = bascule.token()
    assert without_code(bascule.tool(narrow, FORBIDDEN)) == without_code(
        bascule.tool(wide, FORBIDDEN)
    )


# Lists


def test_lists_hold_what_may_be_called_and_are_private(
    bascule: Installation, token: str
) -> None:
    result = bascule.call(token, "tools/list").json["result"]
    assert [tool["name"] for tool in result["tools"]] == list(TOOLS)
    assert result["cacheScope"] == "private"


def test_who_has_no_rights_gets_an_empty_list(bascule: Installation) -> None:
    bascule.ask("user", "add", "nobody")
    unknown = bascule.token("nobody")
    until(lambda: bascule.call(unknown, "tools/list").status == 200)
    answer = bascule.call(unknown, "tools/list")
    assert (answer.status, answer.json["result"]["tools"]) == (200, [])


def test_an_agent_by_itself_has_none_of_its_users_rights(bascule: Installation) -> None:
    alone = bascule.token(None, "desk", "--agent", "robot")
    assert bascule.call(alone, "tools/list").json["result"]["tools"] == []
    assert bascule.tool(alone, "echo").status == 400


def test_a_discovery_is_private_too(bascule: Installation, token: str) -> None:
    result = bascule.call(token, "server/discover").json["result"]
    assert (result["cacheScope"], result["supportedVersions"]) == ("private", [])


# Heads


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_foreign_host_is_refused_before_anything_else(
    host: str, bascule: Installation, token: str, upstream: Recorder
) -> None:
    body = body_of("tools/list")
    for path in ("/c/desk/mcp", "/healthz", "/oauth/jwks"):
        answer = bascule.send(body, {**headers_of(body, token), "Host": host}, path=path)
        assert answer.status == 421
        assert b"server.allowed_hosts" in answer.body
    assert upstream.take() == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_a_foreign_origin_is_refused(
    origin: str, bascule: Installation, token: str, upstream: Recorder
) -> None:
    body = body_of("tools/list")
    answer = bascule.send(body, {**headers_of(body, token), "Origin": origin})
    assert (answer.status, answer.error["code"]) == (403, -32600)
    assert b"server.allowed_origins" in answer.body
    assert upstream.take() == []


def test_its_own_origin_is_served(bascule: Installation, token: str) -> None:
    body = body_of("tools/list")
    answer = bascule.send(body, {**headers_of(body, token), "Origin": bascule.url})
    assert answer.status == 200


ECHO = body_of("tools/call", {"name": "echo", "arguments": {}})


@pytest.mark.parametrize(
    "changes",
    [
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": "TOOLS/CALL"},
        {"Mcp-Method": None},
        {"Mcp-Name": "fails"},
        {"Mcp-Name": "ECHO"},
        {"Mcp-Name": "=?base64?ZmFpbHM=?="},
        {"Mcp-Name": "=?base64?!?="},
        {"Mcp-Name": None},
        {"MCP-Protocol-Version": "2025-11-25"},
        {"MCP-Protocol-Version": None},
    ],
)
def test_a_header_that_says_other_than_the_body_is_refused(
    changes: dict[str, str | None], bascule: Installation, token: str, upstream: Recorder
) -> None:
    wanted = {**headers_of(ECHO, token), **changes}
    headers = {name: value for name, value in wanted.items() if value is not None}
    answer = bascule.send(ECHO, headers)
    assert (answer.status, answer.error["code"]) == (400, -32020)
    assert answer.json["id"] == 7
    assert upstream.take() == []


def with_meta(**changes: Any) -> dict[str, Any]:
    return body_of("tools/call", {"name": "echo", "_meta": changes})


@pytest.mark.parametrize(
    ("body", "status", "code", "message_id"),
    [
        (b"", 400, -32700, None),
        (b"{", 400, -32700, None),
        (b"[]", 400, -32600, None),
        (json.dumps([ECHO]).encode(), 400, -32600, None),
        (b'  \n[{"jsonrpc":"2.0"}]', 400, -32600, None),
        (json.dumps({**ECHO, "jsonrpc": "1.0"}).encode(), 400, -32600, 7),
        (json.dumps({**ECHO, "id": None}).encode(), 400, -32600, None),
        (json.dumps({**ECHO, "id": 1.5}).encode(), 400, -32600, None),
        (json.dumps({**ECHO, "id": True}).encode(), 400, -32600, None),
        (b'{"jsonrpc":"2.0","id":7,"result":{}}', 400, -32600, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call"}', 400, -32602, 7),
        (json.dumps(body_of("initialize")).encode(), 404, -32601, 7),
        (json.dumps(body_of("ping")).encode(), 404, -32601, 7),
        (json.dumps(body_of("no/such-method")).encode(), 404, -32601, 7),
        (b"[" * 100_000, 400, -32600, None),
        (
            b'{"jsonrpc":"2.0","id":7,"method":"x","params":' + b'{"a":' * 5000,
            400,
            -32700,
            None,
        ),
    ],
)
def test_a_body_that_breaks_the_protocol_gets_an_error_object(
    body: bytes,
    status: int,
    code: int,
    message_id: int | None,
    bascule: Installation,
    token: str,
    upstream: Recorder,
) -> None:
    try:
        named = json.loads(body)
    except (ValueError, RecursionError):
        named = {}
    headers = headers_of(named if isinstance(named, dict) else ECHO, token)
    answer = bascule.send(body, headers)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.json.get("id") == message_id
    assert upstream.take() == []


def test_nesting_beyond_the_limit_is_refused(bascule: Installation, token: str) -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    answer = bascule.tool(token, "echo", deep=deep)
    assert (answer.status, answer.error["code"], answer.json["id"]) == (400, -32600, 7)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", "text/plain", 415),
        ("Content-Type", "application/json; charset=utf-16", 415),
        ("Accept", "text/html", 406),
    ],
)
def test_other_media_are_refused(
    header: str, value: str, status: int, bascule: Installation, token: str
) -> None:
    answer = bascule.send(ECHO, {**headers_of(ECHO, token), header: value})
    assert (answer.status, answer.error["code"]) == (status, -32600)


# What goes upstream


def test_a_doubled_key_is_resolved_once(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    body = json.dumps(ECHO).replace('"name": "echo"', '"name": "forbidden", "name": "echo"')
    answer = bascule.send(body.encode(), headers_of(ECHO, token))
    assert answer.status == 200
    (received,) = upstream.take()
    assert received.raw.count(b'"name"') == 1
    assert b"forbidden" not in received.raw


def test_the_last_of_a_doubled_key_is_what_is_decided(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    body = json.dumps(ECHO).replace('"name": "echo"', '"name": "echo", "name": "forbidden"')
    headers = {**headers_of(ECHO, token), "Mcp-Name": "forbidden"}
    assert bascule.send(body.encode(), headers).status == 400
    assert upstream.take() == []


@pytest.mark.parametrize("arguments", [["rm"], "rm", 1, True, None])
def test_arguments_that_no_record_has_a_place_for_are_refused(
    arguments: Any, bascule: Installation, token: str, upstream: Recorder
) -> None:
    params = {"name": "echo", "arguments": arguments}
    answer = bascule.call(token, "tools/call", params)
    assert (answer.status, answer.json["id"], answer.error["code"]) == (400, 7, -32602)
    assert upstream.take() == []


def test_the_upstream_gets_nothing_of_the_clients_own(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    private = {
        "Cookie": "session=canary-cookie",
        "Proxy-Authorization": "Basic canary-proxy",
        "X-Forwarded-For": "198.51.100.7",
        "X-Desk-Key": "canary-key",
        "Mcp-Session-Id": "canary-session",
        "Last-Event-ID": "canary-event",
        "TE": "trailers",
        "Keep-Alive": "timeout=5",
        "User-Agent": "canary-agent",
        "Traceparent": "canary-trace",
        "Connection": "x-desk-key, keep-alive",
    }
    answer = bascule.send(ECHO, {**headers_of(ECHO, token), **private})
    assert answer.status == 200
    (received,) = upstream.take()
    assert set(received.headers) == {
        "host",
        "content-type",
        "accept",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "x-desk-key",
        "content-length",
    }
    assert received.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert received.headers["x-desk-key"] == CREDENTIAL
    assert b"canary" not in received.raw.replace(CREDENTIAL.encode(), b"")


def test_the_clients_token_is_nowhere_in_what_goes_upstream(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    for name in ("echo", "redirects", "unauthorized", "html", "dies"):
        bascule.tool(token, name)
    bascule.call(token, "tools/list")
    bascule.stream(token, "tools/call", {"name": "streams"}).close()
    upstream.wait()
    parts = [token.encode(), *token.encode().split(b".")[1:]]
    for received in upstream.take():
        assert not any(part in received.raw for part in parts)
        assert "authorization" not in received.headers


def test_a_connector_without_a_credential_shows_none(
    bascule: Installation, upstream: Recorder
) -> None:
    other = bascule.token("alice", "annex")
    body = body_of("tools/call", {"name": "echo"})
    assert bascule.send(body, headers_of(body, other), path="/c/annex/mcp").status == 200
    (received,) = upstream.take()
    assert CREDENTIAL.encode() not in received.raw
    assert received.head.startswith(b"POST /annex HTTP/1.1\r\n")


def test_the_credential_reaches_neither_log_nor_client(
    bascule: Installation, token: str
) -> None:
    for name in ("echo", "fails", "dies", "unauthorized", "redirects", "garbage"):
        answer = bascule.tool(token, name)
        assert CREDENTIAL not in repr(answer)
    for path in bascule.data.rglob("*"):
        assert not path.is_file() or CREDENTIAL.encode() not in path.read_bytes()
    assert CREDENTIAL not in bascule.log


def test_the_upstreams_headers_stay_behind(bascule: Installation, token: str) -> None:
    answer = bascule.tool(token, "leaks")
    assert set(answer.headers) == {"content-type", "cache-control", "content-length"}


def test_an_upstreams_401_is_not_the_clients(bascule: Installation, token: str) -> None:
    answer = bascule.tool(token, "unauthorized")
    assert answer.status == 400
    assert "www-authenticate" not in answer.headers
    assert answer.error["message"] == "no key"


def test_names_beyond_ascii_go_upstream_in_base64(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    uri = "note:caf\u00e9 \u4e2d"
    encoded = f"=?base64?{base64.b64encode(uri.encode()).decode()}?="
    body = body_of("resources/read", {"uri": uri})
    answer = bascule.send(
        body,
        {
            **headers_of(body_of("x"), token),
            "Mcp-Method": "resources/read",
            "Mcp-Name": encoded,
        },
    )
    assert answer.status == 200
    (received,) = upstream.take()
    assert received.headers["mcp-name"] == encoded
    assert received.params["uri"] == uri


def test_what_a_connector_may_not_ask_is_not_declared(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    able = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}, "experimental": {}}
    bascule.call(token, "tools/call", {"name": "echo", "_meta": {CAPABILITIES: able}})
    (received,) = upstream.take()
    declared = received.params["_meta"][CAPABILITIES]
    assert declared == {"elicitation": {"form": {}}, "experimental": {}}


def test_an_ask_that_is_not_allowed_ends_the_call(
    bascule: Installation, token: str
) -> None:
    answer = bascule.tool(token, "asks_to_sample")
    assert (answer.status, answer.json["id"], answer.error["code"]) == (502, 7, 502)
    assert STATE not in answer.body.decode()


# Handles


def sealed_state(bascule: Installation, token: str) -> str:
    result = bascule.tool(token, "asks").json["result"]
    assert result["resultType"] == "input_required"
    return str(result["requestState"])


def sealed_cursor(bascule: Installation, token: str) -> str:
    return str(bascule.call(token, "tools/list").json["result"]["nextCursor"])


def test_the_upstream_gets_its_own_state_back(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    sealed = sealed_state(bascule, token)
    assert STATE not in sealed
    upstream.take()
    params = {"name": "asks", "requestState": sealed, "inputResponses": {"one": {}}}
    assert bascule.call(token, "tools/call", params).json["result"]["content"]
    assert upstream.take()[0].params["requestState"] == STATE


def test_the_upstream_gets_its_own_cursor_back(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    sealed = sealed_cursor(bascule, token)
    assert CURSOR not in sealed
    upstream.take()
    answer = bascule.call(token, "tools/list", {"cursor": sealed})
    assert answer.json["result"]["tools"] == []
    assert upstream.take()[0].params["cursor"] == CURSOR


@pytest.fixture(scope="module")
def strangers(bascule: Installation) -> dict[str, str]:
    return {
        "another user": bascule.token("bob"),
        "another agent": bascule.token("alice", "desk", "--agent", "robot"),
    }


@pytest.mark.parametrize("stranger", ["another user", "another agent"])
def test_a_handle_is_worthless_to(
    stranger: str,
    bascule: Installation,
    token: str,
    strangers: dict[str, str],
    upstream: Recorder,
) -> None:
    handles = [
        ("tools/list", {"cursor": sealed_cursor(bascule, token)}),
        ("tools/call", {"name": "asks", "requestState": sealed_state(bascule, token)}),
    ]
    upstream.take()
    for method, params in handles:
        answer = bascule.call(strangers[stranger], method, params)
        assert (answer.status, answer.error["code"]) == (400, -32602)
    assert upstream.take() == []


def test_a_handle_is_worthless_at_another_connector_and_method(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    sealed = sealed_cursor(bascule, token)
    upstream.take()
    elsewhere = bascule.token("alice", "annex")
    answers = [
        bascule.call(elsewhere, "tools/list", {"cursor": sealed}, connector="annex"),
        bascule.call(token, "prompts/list", {"cursor": sealed}),
        bascule.call(token, "tools/call", {"name": "asks", "requestState": sealed}),
    ]
    assert [(it.status, it.error["code"]) for it in answers] == [(400, -32602)] * 3
    assert upstream.take() == []


@pytest.mark.parametrize(
    "handle", ["", "x", CURSOR, "a" * 100_000, "\u00e9", 7, True, [], {"a": 1}]
)
def test_a_handle_that_was_not_sealed_here_is_refused(
    handle: Any, bascule: Installation, token: str, upstream: Recorder
) -> None:
    for method, params in (
        ("tools/list", {"cursor": handle}),
        ("tools/call", {"name": "asks", "requestState": handle}),
    ):
        answer = bascule.call(token, method, params)
        assert (answer.status, answer.error["code"]) == (400, -32602)
    assert upstream.take() == []


def test_each_changed_character_of_a_handle_is_noticed(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    sealed = sealed_cursor(bascule, token)
    upstream.take()
    for place in range(0, len(sealed), 5):
        other = "A" if sealed[place] != "A" else "B"
        changed = sealed[:place] + other + sealed[place + 1 :]
        assert bascule.call(token, "tools/list", {"cursor": changed}).status == 400
    assert upstream.take() == []


# Callers that share an upstream


def test_ids_of_concurrent_clients_do_not_cross(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    other = bascule.token("bob")

    def one(number: int) -> tuple[int, Any, Any]:
        answer = bascule.tool((token, other)[number % 2], "echo", number=number)
        text = answer.json["result"]["content"][0]["text"]
        return number, answer.json["id"], json.loads(text)["number"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(64)))
    assert found == [(number, 7, number) for number in range(64)]
    ids = [received.message["id"] for received in upstream.take()]
    assert len(set(ids)) == 64


@pytest.mark.parametrize("progress_token", ["mine", 7, 0])
def test_progress_comes_under_the_clients_own_token(
    progress_token: str | int, bascule: Installation, token: str, upstream: Recorder
) -> None:
    params = {"name": "streams", "_meta": {"progressToken": progress_token}}
    with bascule.stream(token, "tools/call", params, "one") as stream:
        first, second, last = stream.expect(), stream.expect(), stream.expect()
        assert stream.next() is None
    for number, message in enumerate((first, second), 1):
        assert message["params"] == {"progressToken": progress_token, "progress": number}
    assert last["id"] == "one"
    (received,) = upstream.take()
    assert received.params["_meta"]["progressToken"] == received.message["id"]


def test_without_a_progress_token_no_progress_comes(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    with bascule.stream(token, "tools/call", {"name": "streams"}) as stream:
        assert stream.expect()["result"]["content"][0]["text"] == "done"
    assert "progressToken" not in upstream.take()[0].params["_meta"]


def test_a_subscription_has_the_clients_own_id(bascule: Installation, token: str) -> None:
    listen = bascule.stream(token, "subscriptions/listen", {"notifications": {}}, "sub")
    with listen as stream:
        for _ in range(2):
            assert stream.expect()["params"]["_meta"] == {SUBSCRIPTION: "sub"}


def test_only_resources_that_may_be_read_are_listened_to(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    wanted = {"resourceSubscriptions": ["note:1", "file:///etc/passwd"]}
    bascule.stream(token, "subscriptions/listen", {"notifications": wanted}).close()
    (received,) = upstream.take()
    assert received.params["notifications"] == {"resourceSubscriptions": ["note:1"]}


def test_nobody_hears_of_a_resource_that_they_may_not_read(
    bascule: Installation, token: str
) -> None:
    """Whatever the server sends, and whatever was allowed when the stream began."""
    heard = bascule.stream(token, "subscriptions/listen", {"notifications": {}})
    with heard as stream:
        while (message := stream.expect())["method"] != "notifications/resources/updated":
            continue
    assert message["params"]["uri"] == "note:1"


def test_notifications_are_accepted_and_go_nowhere(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}
    answer = bascule.send(body, headers_of(body, token))
    assert (answer.status, answer.body) == (202, b"")
    assert upstream.take() == []


def test_text_that_is_no_unicode_is_refused_both_ways(
    bascule: Installation, token: str, upstream: Recorder
) -> None:
    answer = bascule.tool(token, "surrogate")
    assert (answer.status, answer.json["id"]) == (502, 7)
    upstream.take()
    for value in (b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"'):
        body = json.dumps(ECHO).encode().replace(b'"echo"', value)
        assert bascule.send(body, headers_of(ECHO, token)).status == 400
    assert upstream.take() == []


def test_requests_on_one_connection_keep_their_callers_apart(
    bascule: Installation, token: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", bascule.public, timeout=PATIENCE)
    body = json.dumps(ECHO)
    found = []
    for shown in (token, None, "garbage", token, bascule.token("alice", "annex"), token):
        connection.request("POST", "/c/desk/mcp", body, headers_of(ECHO, shown))
        response = connection.getresponse()
        response.read()
        found.append(response.status)
    connection.close()
    assert found == [200, 401, 401, 200, 401, 200]


# What a scanner learns


def test_the_own_scanner_finds_that_a_token_is_asked_for(bascule: Installation) -> None:
    result = bascule.cli("scan", "url", f"{bascule.url}/c/desk/mcp", "--json")
    (row,) = json.loads(result.stdout)["servers"]
    assert (row["state"], row["auth"]) == ("token_required", "oauth")
