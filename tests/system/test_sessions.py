"""Sessions of the revisions before 2026-07-28: whose they are and how they end."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bascule.clock import monotonic
from patience import until
from system.legacy_client import VERSION, LegacyClient, request
from system.legacy_recorder import TOOLS, LegacyServer
from system.lodge import begun, lodging
from system.recorder import FORBIDDEN, Recorder, recording
from system.server import CREDENTIAL, Answer, Installation

IN_FORCE_SECONDS = 2.0


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[tuple[Installation, Recorder]]:
    with lodging(tmp_path_factory.mktemp("lodge"), recorder) as made:
        yield made


@pytest.fixture
def bascule(house: tuple[Installation, Recorder]) -> Installation:
    return house[0]


@pytest.fixture
def lodge(house: tuple[Installation, Recorder]) -> Recorder:
    """Give the upstream, with nothing from other tests in it."""
    house[1].take()
    return house[1]


# Beginning


def test_a_session_is_begun_with_what_both_sides_can_do(
    bascule: Installation, lodge: Recorder
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"), "lodge")
    answer = client.initialize(_meta={"progressToken": 1, "x": 2})
    assert answer.status == 200
    assert answer.json["id"] == 0
    result = answer.json["result"]
    assert result["protocolVersion"] == VERSION
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    assert result["instructions"] == "knock first"
    (sent,) = lodge.take()
    assert sent.params["protocolVersion"] == VERSION
    assert sent.params["capabilities"] == {"elicitation": {}}
    assert sent.params["clientInfo"] == {"name": "raw", "version": "1"}
    assert sent.params["_meta"] == {"x": 2}
    assert "mcp-protocol-version" not in sent.headers


def test_the_servers_own_session_id_stays_between_it_and_the_gateway(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    assert client.session is not None
    assert client.session.isascii()
    assert client.session.isprintable()
    assert client.session not in {begun(bascule).session for _ in range(5)}
    lodge.take()
    answer = client.tool("echo")
    (sent,) = lodge.take()
    raw = sent.headers["mcp-session-id"]
    assert raw.startswith("raw/")
    assert sent.headers["mcp-protocol-version"] == VERSION
    assert raw not in client.session
    assert raw.encode() not in answer.body
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("nonsense", "2025-11-25"),
    ],
)
def test_the_revision_is_the_clients_or_else_the_latest(
    asked: str, agreed: str, bascule: Installation, lodge: Recorder
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    answer = client.initialize(asked)
    assert answer.json["result"]["protocolVersion"] == agreed
    client.version = agreed
    assert client.tool("echo").status == 200
    assert lodge.take()[-1].headers["mcp-protocol-version"] == agreed


@pytest.mark.parametrize(
    "change",
    [{"protocolVersion": 1}, {"protocolVersion": None}, {"capabilities": []}],
)
def test_a_beginning_that_says_too_little_is_refused(
    change: dict[str, object], bascule: Installation, lodge: Recorder
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    params = {"protocolVersion": VERSION, "capabilities": {}, **change}
    answer = client.post(request("initialize", params))
    assert (answer.status, answer.error["code"]) == (200, -32602)
    assert "mcp-session-id" not in answer.headers
    assert lodge.take() == []


def test_a_server_that_refuses_is_heard_and_no_session_is_begun(
    bascule: Installation,
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    answer = client.initialize(name="unwanted")
    assert (answer.status, answer.error["message"]) == (400, "go away")
    assert client.session is None


def test_a_server_that_is_too_old_is_named_with_what_is_spoken_here(
    bascule: Installation,
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    answer = client.initialize(name="ancient")
    assert answer.status == 502
    assert "2024-11-05" in answer.error["message"]
    assert "2025-03-26" in answer.error["message"]


def test_a_second_beginning_is_a_second_session(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    first = client.session
    assert client.initialize().status == 200
    assert client.session != first
    assert client.tool("echo").status == 200
    client.session = first
    assert client.tool("echo").status == 200
    used = [it.headers.get("mcp-session-id") for it in lodge.take()]
    assert len({it for it in used if it}) == 2


def test_a_server_without_sessions_is_served_all_the_same(bascule: Installation) -> None:
    client = begun(bascule, connector="plain")
    assert client.session is not None
    assert client.tool("echo").status == 200
    assert client.verb("DELETE").status == 204
    assert client.tool("echo").status == 404


# Whose it is


def test_a_request_without_a_session_is_refused(
    bascule: Installation, lodge: Recorder
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    answers = [client.tool("echo"), client.notify("notifications/initialized")]
    answers += [client.verb("GET"), client.verb("DELETE")]
    assert [answer.status for answer in answers] == [400] * 4
    assert {answer.error["code"] for answer in answers} == {-32600}
    assert lodge.take() == []


def flipped(session: str) -> str:
    return session[:40] + ("A" if session[40] != "A" else "B") + session[41:]


STRANGE: dict[str, Callable[[LegacyClient, Installation], LegacyClient]] = {
    "another user": lambda it, own: LegacyClient(own, own.token("bob", "lodge")),
    "another agent": lambda it, own: LegacyClient(
        own, own.token("alice", "lodge", "--agent", "robot")
    ),
    "the agent itself": lambda it, own: LegacyClient(
        own, own.token(None, "lodge", "--agent", "robot")
    ),
    "another connector": lambda it, own: LegacyClient(
        own, own.token("alice", "barn"), "barn"
    ),
}
BROKEN: dict[str, Callable[[str], str]] = {
    "changed": flipped,
    "cut": lambda session: session[:-8],
    "longer": lambda session: session + "AAAA",
    "raw": lambda session: "raw/1",
    "empty": lambda session: "",
    "not base64": lambda session: "%%%",
    "huge": lambda session: "A" * 20_000,
}


@pytest.mark.parametrize("stranger", STRANGE)
def test_nobody_else_can_use_a_session(
    stranger: str, bascule: Installation, lodge: Recorder
) -> None:
    own = begun(bascule)
    other = STRANGE[stranger](own, bascule)
    other.session = own.session
    lodge.take()
    unknown = LegacyClient(bascule, other.token, other.connector, session="unknown")
    for use in (
        lambda it: it.tool("echo"),
        lambda it: it.notify("notifications/initialized"),
        lambda it: it.reply("1", {}),
        lambda it: it.verb("GET"),
        lambda it: it.verb("DELETE"),
    ):
        answer: Answer = use(other)
        assert answer.status == 404
        assert answer.body == use(unknown).body
    assert lodge.take() == []
    assert own.tool("echo").status == 200


@pytest.mark.parametrize("how", BROKEN)
def test_an_id_that_was_not_given_out_is_unknown(
    how: str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    assert client.session is not None
    client.session = BROKEN[how](client.session)
    answer = client.tool("echo")
    assert (answer.status, answer.json["id"]) == (404, 7)
    assert lodge.take() == []


# Its end


def test_an_ended_session_is_unknown(bascule: Installation, lodge: Recorder) -> None:
    client = begun(bascule)
    lodge.take()
    assert client.verb("DELETE").status == 204
    (sent,) = lodge.take()
    assert sent.head.startswith(b"DELETE /mcp HTTP/1.1\r\n")
    assert sent.headers["mcp-session-id"].startswith("raw/")
    assert client.tool("echo").status == 404
    assert client.verb("DELETE").status == 404
    assert lodge.take() == []


def test_a_session_that_the_server_forgot_is_unknown(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    answer = client.tool("forgets")
    assert (answer.status, answer.json["id"]) == (404, 7)
    lodge.take()
    assert client.tool("echo").status == 404
    assert lodge.take() == []


SELECTORS: dict[str, list[str]] = {
    "user": ["--user", "alice"],
    "agent": ["--agent", "bascule-cli"],
    "connector": ["--connector", "lodge"],
    "everything": ["--all"],
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_revocation_ends_sessions_and_their_streams_whatever_token_shows_them(
    selector: str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    stream = client.listen()
    assert stream.status == 200
    bascule.ask("revoke", *SELECTORS[selector], "--reason", "test")
    before = monotonic()
    while stream.next() is not None:
        pass
    assert monotonic() - before < IN_FORCE_SECONDS
    stream.close()
    assert client.tool("echo").status == 401
    client.token = bascule.token("alice", "lodge")
    assert client.tool("echo").status == 404
    assert client.verb("DELETE").status == 404
    assert client.initialize().status == 200
    assert client.tool("echo").status == 200


def test_a_session_ends_with_the_token_that_began_it(bascule: Installation) -> None:
    """Its owner may have another token, on which a stream is open."""
    client = begun(bascule)
    issued = bascule.ask("token", "issue", "--user", "alice", "--connector", "lodge")
    client.token = issued["access_token"]
    client.initialize()
    client.token = bascule.token("alice", "lodge")
    stream = client.listen()
    assert stream.status == 200
    bascule.ask("revoke", "--jti", issued["jti"], "--reason", "test")
    while stream.next() is not None:
        pass
    stream.close()
    assert client.tool("echo").status == 404


def test_a_session_outlives_a_restart(bascule: Installation, lodge: Recorder) -> None:
    client = begun(bascule)
    assert bascule.stop() == 0
    bascule.start()
    assert client.tool("echo").status == 200


def test_a_session_outlives_a_crash(bascule: Installation) -> None:
    """The call that was on its way is closed in the log; its client goes on."""
    client = begun(bascule)
    stream = client.stream("opens")
    stream.expect()
    bascule.kill()
    assert stream.next() is None
    stream.close()
    bascule.start()
    assert client.tool("echo").status == 200
    until(
        lambda: any(
            it.get("result", {}).get("outcome") == "outcome_unknown"
            for it in bascule.whole_records()
        )
    )


def test_a_session_is_unknown_at_another_server_of_the_same_name(
    tmp_path: Path, recorder: Recorder
) -> None:
    """A connector may lead elsewhere after a reload; its old session ids do not."""
    with (
        lodging(tmp_path / "made", recorder) as (own, lodge),
        recording(LegacyServer()) as other,
    ):
        client = begun(own)
        text = own.config.read_text().replace(f":{lodge.port}/", f":{other.port}/")
        own.config.write_text(text)
        own.signal(signal.SIGHUP)
        until(lambda: client.tool("echo").status == 404)
        assert other.take() == []
        assert client.initialize().status == 200
        assert client.tool("echo").status == 200
        assert [it.message["method"] for it in other.take()] == ["initialize", "tools/call"]


def test_streams_with_a_revoked_token_do_not_open(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    bascule.ask("revoke", "--user", "alice", "--reason", "test")
    until(lambda: client.tool("echo").status == 401)
    assert [client.verb(verb).status for verb in ("GET", "DELETE")] == [401, 401]
    # A call that was cut off by the revocation may have gone upstream.
    assert {it.head.partition(b" ")[0] for it in lodge.take()} <= {b"POST"}


# Tokens


METHODS = (
    "initialize",
    "ping",
    "logging/setLevel",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "notifications/initialized",
    "notifications/cancelled",
)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_gets_through_without_a_token_of_the_connector(
    method: str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    for token in (None, "garbage", bascule.token("alice", "barn"), f"{client.token}x"):
        client.token = token
        answer = client.call(method, {"name": "echo", "uri": "note:one"})
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert [client.verb(verb).status for verb in ("GET", "DELETE")] == [401, 401]
    assert lodge.take() == []


def test_nothing_of_the_clients_credentials_goes_upstream(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    client.extra = {"Cookie": "canary=1", "X-Forwarded-User": "canary"}
    client.tool("echo")
    client.verb("DELETE")
    assert client.token is not None
    for sent in lodge.take():
        assert client.token.encode() not in sent.raw
        assert b"canary" not in sent.raw
        assert CREDENTIAL.encode() not in sent.raw
        assert "user-agent" not in sent.headers


# Rights


def test_what_may_not_be_used_answers_like_what_is_not_there(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    seen = set()
    for method, key, name in (
        ("tools/call", "name", FORBIDDEN),
        ("tools/call", "name", "nonesuch!"),
        ("resources/read", "uri", "secret:one"),
        ("resources/subscribe", "uri", "secret:one"),
        ("resources/unsubscribe", "uri", "secret:one"),
        ("prompts/get", "name", "secret"),
    ):
        answer = client.call(method, {key: name}, "an id")
        assert (answer.status, answer.error["code"]) == (200, -32602)
        assert answer.json["id"] == "an id"
        data = answer.error["data"]
        seen.add((answer.error["message"], tuple(sorted(data))))
    assert seen == {
        ("unknown tool", ("code",)),
        ("unknown prompt", ("code",)),
        ("unknown resource", ("code", "uri")),
    }
    assert lodge.take() == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {}, -32602),
        ("tools/call", {"name": 1}, -32602),
        ("tools/call", {"name": "echo", "arguments": []}, -32602),
        ("resources/subscribe", {}, -32602),
        ("completion/complete", {}, -32602),
        ("tools/list", {"cursor": "not ours"}, -32602),
        ("tasks/list", {}, -32601),
        ("elicitation/create", {}, -32601),
        ("no/such-method", {}, -32601),
        ("GET", {}, -32601),
    ],
)
def test_a_request_that_is_wrong_is_no_error_of_http(
    method: str,
    params: dict[str, object],
    code: int,
    bascule: Installation,
    lodge: Recorder,
) -> None:
    client = begun(bascule)
    lodge.take()
    answer = client.call(method, params)
    assert (answer.status, answer.error["code"], answer.json["id"]) == (200, code, 7)
    assert lodge.take() == []


def test_a_missing_scope_alone_is_named(bascule: Installation, lodge: Recorder) -> None:
    client = begun(bascule)
    client.token = bascule.token("alice", "lodge", "--scope", "desk.echo")
    lodge.take()
    answer = client.tool("echo")
    assert (answer.status, answer.json["id"]) == (403, 7)
    assert 'scope="mcp:lodge"' in answer.headers["www-authenticate"]
    assert lodge.take() == []


def test_lists_hold_what_may_be_called(bascule: Installation) -> None:
    tools = begun(bascule).call("tools/list").json["result"]["tools"]
    assert [tool["name"] for tool in tools] == list(TOOLS)


# Versions and bodies


def test_a_version_that_is_not_spoken_is_refused(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    for version in ("2024-11-05", "2099-01-01", "latest"):
        client.version = version
        answers = [client.tool("echo"), client.verb("GET"), client.verb("DELETE")]
        assert [answer.status for answer in answers] == [400] * 3
        assert "2025-11-25" in answers[0].error["message"]
    assert lodge.take() == []
    client.version = None
    assert client.tool("echo").status == 200
    assert lodge.take()[-1].headers["mcp-protocol-version"] == VERSION


def test_batches_are_refused(bascule: Installation, lodge: Recorder) -> None:
    client = begun(bascule)
    client.version = "2025-03-26"
    lodge.take()
    answer = client.post(json.dumps([request("tools/list")]).encode())
    assert (answer.status, answer.error["code"]) == (400, -32600)
    assert lodge.take() == []


def test_the_body_decides_the_era(bascule: Installation, lodge: Recorder) -> None:
    """A session's id on a request of 2026-07-28 means nothing."""
    client = begun(bascule)
    lodge.take()
    client.version = "2026-07-28"
    assert client.tool("echo").error["code"] == -32602
    client.version = VERSION
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    answer = client.call("tools/call", {"name": "echo", "_meta": meta})
    assert (answer.status, answer.error["code"]) == (400, -32020)
    assert lodge.take() == []


# Records


def test_what_goes_upstream_is_recorded_first(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule, "bob")
    client.tool("echo")
    client.tool(FORBIDDEN)
    client.verb("DELETE")
    bascule.wait_for_records("--type", "session.end", "--user", "bob")
    found = [
        (it["type"], it["mcp"]["method"], it["mcp"]["proto"])
        for it in bascule.whole_records()
        if it.get("user", {}).get("sub") == "bob" and "mcp" in it
    ]
    assert found == [
        ("list", "initialize", VERSION),
        ("notification", "notifications/initialized", VERSION),
        ("call.start", "tools/call", VERSION),
        ("authz.decision", "tools/call", VERSION),
        ("session.end", "DELETE", VERSION),
    ]
