"""Authorization details (RFC 9396): from what a client asks to what its token may call."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from patience import PATIENCE
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in, text_of
from system.recorder import Recorder
from system.server import Installation, serving
from system.test_oauth_codes import post, redeem, refresh

MORE = """
[agents.ceilings]
app = ["desk/*"]
"""


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("details"), recorder, more=MORE) as made:
        made.ask("agent", "add", "app", "--secret", "--redirect-uri", CALLBACK)
        yield made


@pytest.fixture
def flow(bascule: Installation) -> Flow:
    return Flow(bascule, sign_in(bascule, "alice"))


def details(*tools: str, **more: Any) -> str:
    return json.dumps([{"type": "mcp_tool_call", "tools": list(tools), **more}])


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def may(bascule: Installation, token: str, name: str, **arguments: Any) -> int:
    return bascule.tool(token, name, **arguments).status


def test_everybody_is_told_of_the_type_and_of_one_baseline(bascule: Installation) -> None:
    """Clients differ in what they read; so all places say the same."""
    wellknown = f"{bascule.url}/.well-known"
    server = requests.get(f"{wellknown}/oauth-authorization-server", timeout=PATIENCE)
    openid = requests.get(f"{wellknown}/openid-configuration", timeout=PATIENCE)
    path = "oauth-protected-resource/c/desk/mcp"
    resource = requests.get(f"{wellknown}/{path}", timeout=PATIENCE).json()
    for document in (server.json(), openid.json(), resource):
        assert document["authorization_details_types_supported"] == ["mcp_tool_call"]
    # One document for all resources would lead clients to ask for the scopes of all.
    assert "scopes_supported" not in server.json()
    assert resource["scopes_supported"] == ["mcp:desk"]
    for challenged in (None, "no.good.token"):
        answer = bascule.call(challenged, "tools/list")
        assert 'scope="mcp:desk"' in answer.headers["www-authenticate"]
    assert bascule.ask("token", "issue", "--connector", "desk", "--user", "alice")[
        "scope"
    ] == ("mcp:desk")


def test_who_names_no_scope_gets_the_advertised_one(flow: Flow) -> None:
    secret = Flow(flow.bascule, flow.browser)
    found = text_of(secret.browser.get(secret.page(), timeout=PATIENCE))
    assert "everything of desk that you may use yourself" in found


def test_a_user_consents_to_single_calls_and_the_token_is_for_them(
    bascule: Installation,
) -> None:
    bascule.ask("agent", "add", "public", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, sign_in(bascule, "alice"), client_id="public")
    asked = details("echo", constraints={"text": "hello"})
    page = flow.page(authorization_details=asked)
    shown = text_of(flow.browser.get(page, timeout=PATIENCE))
    assert 'only calls of "echo" of desk with "text" = "hello"' in shown
    assert "everything of desk that" not in shown
    code = answer_of(flow.decide(page, "allow").headers["location"])["code"]
    tokens = redeem(flow, code).json()
    want = [
        {
            "type": "mcp_tool_call",
            "locations": [f"{bascule.url}/c/desk/mcp"],
            "actions": ["tools/call"],
            "tools": ["echo"],
            "constraints": {"text": "hello"},
        }
    ]
    assert tokens["authorization_details"] == want
    assert claims(tokens["access_token"])["authorization_details"] == want
    token = tokens["access_token"]
    assert may(bascule, token, "echo", text="hello") == 200
    refused = bascule.tool(token, "echo", text="bye")
    assert refused.status == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    for said in (refused.headers["www-authenticate"], refused.error["message"]):
        assert "the token's authorization_details do not cover this call" in said
    assert may(bascule, token, "opens") == 403
    again = refresh(flow, tokens["refresh_token"]).json()
    assert again["authorization_details"] == want
    assert may(bascule, again["access_token"], "opens") == 403
    selected = ("--type", "call.start", "--name", "echo", "--agent", "public")
    (call,) = bascule.wait_for_records(*selected)
    shown_record = next(it for it in bascule.whole_records() if it["id"] == call["id"])
    assert shown_record["cred"]["tools"] == ["echo"]
    assert "hello" not in json.dumps(bascule.whole_records())


def test_consent_to_calls_is_no_consent_to_all(bascule: Installation) -> None:
    """A verified client need not ask twice for scopes; single calls are another matter."""
    made = bascule.ask("agent", "add", "proven", "--secret", "--redirect-uri", CALLBACK)
    flow = Flow(
        bascule,
        sign_in(bascule, "alice"),
        client_id="proven",
        secret=made["client_secret"],
        method="client_secret_basic",
    )
    flow.callback(authorization_details=details("echo"))
    flow.page()  # is asked for all
    flow.callback()
    assert "code=" in flow.open(flow.link()).headers["location"]  # that is remembered
    flow.page(authorization_details=details("echo"))


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("nonsense", None),
        ("[]", None),
        (json.dumps([{"type": "payment_initiation"}]), None),
        (details("echo", locations=["https://elsewhere.example"]), None),
        (details("echo", datatypes=["x"]), None),
        (details("opens"), "desk.echo"),
        (details("*"), "desk.echo"),
    ],
)
def test_what_is_unknown_or_beyond_is_refused(
    flow: Flow, text: str, scope: str | None
) -> None:
    answer = flow.open(flow.link(authorization_details=text, scope=scope))
    told = answer_of(answer.headers["location"])
    assert told["error"] == "invalid_authorization_details"


def test_a_token_may_be_for_a_part_of_what_was_consented_to_and_no_more(
    bascule: Installation,
) -> None:
    bascule.ask("agent", "add", "narrowing", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, sign_in(bascule, "bob"), client_id="narrowing")
    both = json.dumps([*json.loads(details("echo")), *json.loads(details("opens"))])
    tokens = flow.tokens(authorization_details=both)
    part = refresh(flow, tokens["refresh_token"], authorization_details=details("echo"))
    assert len(part.json()["authorization_details"]) == 1
    more = refresh(
        flow, part.json()["refresh_token"], authorization_details=details("echo", "opens")
    )
    assert more.json()["error"] == "invalid_authorization_details"
    all_ = refresh(flow, part.json()["refresh_token"]).json()
    assert len(all_["authorization_details"]) == 2


def test_an_agent_by_itself_may_ask_for_single_calls(bascule: Installation) -> None:
    made = bascule.ask("agent", "add", "job", "--secret")
    form = {
        "grant_type": "client_credentials",
        "client_id": "job",
        "client_secret": made["client_secret"],
        "resource": f"{bascule.url}/c/desk/mcp",
    }
    found = post(bascule, **form, authorization_details=details("echo")).json()
    assert found["authorization_details"][0]["tools"] == ["echo"]
    said = post(
        bascule,
        "introspect",
        client_id="job",
        client_secret=made["client_secret"],
        token=found["access_token"],
    ).json()
    assert said["authorization_details"] == found["authorization_details"]
    bad = post(bascule, **form, authorization_details="[]").json()
    assert bad["error"] == "invalid_authorization_details"


def test_the_command_line_issues_tokens_for_single_calls(bascule: Installation) -> None:
    token = bascule.token("alice", "desk", "--details", details("echo"))
    assert may(bascule, token, "echo") == 200
    assert may(bascule, token, "opens") == 403
    names = {it["name"] for it in bascule.call(token, "tools/list").json["result"]["tools"]}
    assert names == {"echo"}
    bad = bascule.cli(
        "token", "issue", "--user", "alice", "--connector", "desk", "--details", "[]"
    )
    assert bad.exit_code == 3
    assert "authorization_details" in bad.stderr
