"""The negative matrix: no method of any kind gets through without a good token."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from patience import PATIENCE
from system.forgery import TOKENS, all_of_them, good_claims, moved, signed, signing_key
from system.recorder import Recorder
from system.server import Answer, Installation, body_of, headers_of

METHODS = (
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "subscriptions/listen",
    "logging/setLevel",
    "notifications/initialized",
    "notifications/cancelled",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "no/such-method",
)
PARAMS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "echo", "arguments": {}},
    "prompts/get": {"name": "greet"},
    "resources/read": {"uri": "note:1"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "greet"}},
    "resources/subscribe": {"uri": "note:1"},
    "resources/unsubscribe": {"uri": "note:1"},
}


@pytest.fixture(scope="module")
def bad_tokens(bascule: Installation) -> dict[str, str | None]:
    return all_of_them(bascule)


def challenge(bascule: Installation, connector: str, *, shown: bool) -> str:
    error = 'error="invalid_token", ' if shown else ""
    metadata = f"{bascule.url}/.well-known/oauth-protected-resource/c/{connector}/mcp"
    return f'Bearer {error}resource_metadata="{metadata}", scope="mcp:{connector}"'


@pytest.mark.parametrize("bad", ["none", *TOKENS])
def test_no_method_gets_through_with(
    bad: str,
    bascule: Installation,
    upstream: Recorder,
    bad_tokens: dict[str, str | None],
) -> None:
    token = bad_tokens[bad]
    want = challenge(bascule, "desk", shown=token is not None)
    for method in METHODS:
        answer = bascule.call(token, method, PARAMS.get(method))
        assert (answer.status, answer.headers.get("www-authenticate")) == (401, want), (
            method
        )
        assert answer.error["code"] == 401
    assert upstream.take() == []


def test_all_that_was_refused_is_valid_but_for_one_thing(bascule: Installation) -> None:
    """The forger's own tools make tokens that pass, so the refusals have their reason."""
    claims = good_claims(bascule)
    assert bascule.call(signed(claims, signing_key(bascule)), "tools/list").status == 200
    assert bascule.call(moved(0)(bascule), "tools/list").status == 200


@pytest.mark.parametrize("verb", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
def test_other_verbs_need_a_token_too(verb: str, bascule: Installation) -> None:
    without = bascule.send(b"", headers_of({}, None), verb=verb)
    assert without.status == 401
    assert "www-authenticate" in without.headers
    known = bascule.send(b"", headers_of({}, bascule.token()), verb=verb)
    assert (known.status, known.headers.get("allow")) == (405, "POST")


SCHEMES = ["", "Bearer", "Bearer ", "Basic YTpi", "bearer\tx", "Token {token}", "{token}"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_good_token_counts_only_as_a_bearer(scheme: str, bascule: Installation) -> None:
    body = body_of("tools/list")
    value = scheme.format(token=bascule.token())
    answer = bascule.send(body, {**headers_of(body, None), "Authorization": value})
    assert answer.status == 401


def test_a_token_elsewhere_than_in_its_header_is_not_seen(
    bascule: Installation, upstream: Recorder
) -> None:
    token = bascule.token()
    body = body_of("tools/list", {"access_token": token})
    for extra in ({"Cookie": f"access_token={token}"}, {"X-Authorization": token}):
        path = f"/c/desk/mcp?access_token={token}"
        assert (
            bascule.send(body, {**headers_of(body, None), **extra}, path=path).status == 401
        )
    form = {**headers_of(body, None), "Content-Type": "application/x-www-form-urlencoded"}
    assert bascule.send(f"access_token={token}".encode(), form).status == 401
    assert upstream.take() == []


def test_a_query_changes_nothing_for_a_good_token(bascule: Installation) -> None:
    body = body_of("tools/list")
    headers = headers_of(body, bascule.token())
    answer = bascule.send(body, headers, path="/c/desk/mcp?access_token=garbage")
    assert answer.status == 200


def shape(answer: Answer, connector: str) -> tuple[int, dict[str, str], bytes]:
    """Give an answer without the connector's own name."""
    headers = {k: v.replace(connector, "NAME") for k, v in answer.headers.items()}
    return answer.status, headers, answer.body.replace(connector.encode(), b"NAME")


@pytest.mark.parametrize("token", [None, "garbage", "another connector's"])
def test_an_unknown_connector_answers_like_a_known_one(
    token: str | None, bascule: Installation
) -> None:
    shown = bascule.token("alice", "annex") if token == "another connector's" else token
    known, unknown = (
        bascule.call(shown, "tools/list", connector=name) for name in ("desk", "dusk")
    )
    assert shape(known, "desk") == shape(unknown, "dusk")


def test_metadata_of_an_unknown_connector_looks_like_that_of_a_known_one(
    bascule: Installation,
) -> None:
    base = "/.well-known/oauth-protected-resource/c"
    known, unknown = (
        bascule.send(b"", {}, path=f"{base}/{name}/mcp", verb="GET")
        for name in ("desk", "dusk")
    )
    assert known.status == 200
    assert known.json["resource"] == f"{bascule.url}/c/desk/mcp"
    assert shape(known, "desk") == shape(unknown, "dusk")


@pytest.mark.parametrize(
    "path",
    [
        "/c/desk/mcp/",
        "/c/desk/mcp/../mcp",
        "/c//desk/mcp",
        "//c/desk/mcp",
        "/c/%64esk/mcp",
        "/C/desk/mcp",
        "/c/DESK/mcp",
        "/c/desk/mcp;x=1",
        "/mcp",
        "/",
    ],
)
def test_no_other_spelling_of_the_path_reaches_the_upstream(
    path: str, bascule: Installation, upstream: Recorder
) -> None:
    body = body_of("tools/list")
    for token in (None, bascule.token()):
        answer = bascule.send(body, headers_of(body, token), path=path)
        assert answer.status == (405 if path == "/" else 404)
    assert upstream.take() == []


def test_refused_tokens_are_recorded_without_their_text(bascule: Installation) -> None:
    canary = "canary-" + "x" * 40
    bascule.call(canary, "tools/list")
    failures = bascule.wait_for_records("--type", "auth.fail")
    assert all(row["user"] is None and row["decision"] == "deny" for row in failures)
    for path in bascule.data.rglob("*"):
        assert not path.is_file() or canary.encode() not in path.read_bytes()
    assert canary not in bascule.log


def test_two_authorization_headers_are_one_too_many(bascule: Installation) -> None:
    body = json.dumps(body_of("tools/list")).encode()
    connection = http.client.HTTPConnection("127.0.0.1", bascule.public, timeout=PATIENCE)
    connection.putrequest("POST", "/c/desk/mcp")
    for name, value in headers_of(body_of("tools/list"), bascule.token()).items():
        connection.putheader(name, value)
    connection.putheader("Authorization", "Bearer other")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    assert connection.getresponse().status == 400
    connection.close()
