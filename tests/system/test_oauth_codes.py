"""Users and clients: authorize, consent, code, refresh; with Authlib as the client."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from patience import PATIENCE, until
from system.oauth_browser import (
    CALLBACK,
    Flow,
    answer_of,
    sign_in,
    survives_a_lost_answer,
    text_of,
)
from system.recorder import Recorder
from system.server import Installation, serving

MORE = """
[agents.ceilings]
app = ["desk/*"]
"""
"""Beside what every test's configuration has."""


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("codes")
    with serving(folder, recorder, more=MORE) as made:
        made.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
        made.ask("agent", "add", "other", "--redirect-uri", CALLBACK)
        made.ask(
            "agent", "add", "native", "--redirect-uri", "http://127.0.0.1/cb",
            "--redirect-uri", "http://localhost:7777/cb",
        )  # fmt: skip
        yield made


@pytest.fixture
def alice(bascule: Installation) -> requests.Session:
    return sign_in(bascule, "alice")


@pytest.fixture
def flow(bascule: Installation, alice: requests.Session) -> Flow:
    return Flow(bascule, alice)


def post(bascule: Installation, path: str = "token", **form: str) -> requests.Response:
    return requests.post(f"{bascule.url}/oauth/{path}", form, timeout=PATIENCE)


def redeem(flow: Flow, code: str, **change: str) -> requests.Response:
    return post(
        flow.bascule,
        **{
            "grant_type": "authorization_code",
            "client_id": flow.client_id,
            "code": code,
            "code_verifier": flow.verifier,
            "redirect_uri": flow.redirect_uri,
            **change,
        },
    )


def refresh(flow: Flow, token: str, **change: str) -> requests.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": flow.client_id,
        "refresh_token": token,
    }
    return post(flow.bascule, **{**form, **change})


def code_of(flow: Flow) -> str:
    return answer_of(flow.callback())["code"]


def works(bascule: Installation, tokens: dict[str, Any]) -> bool:
    return bascule.call(tokens["access_token"], "tools/list").status == 200


# The whole way (GW-110, GW-114, GW-115)


def test_a_client_gets_what_the_user_consents_to(flow: Flow) -> None:
    location = flow.callback()
    told = answer_of(location)
    assert location.startswith(f"{CALLBACK}?")
    assert told["iss"] == flow.bascule.url
    assert told["state"] == "state-1"
    assert told["code"].startswith("bsc_ac_")
    answer = redeem(flow, told["code"])
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["scope"] == "mcp:desk"
    assert tokens["refresh_token"].startswith("bsc_rt_")
    assert works(flow.bascule, tokens)
    annex = flow.bascule.call(tokens["access_token"], "tools/list", connector="annex")
    assert annex.status == 401


def test_a_client_of_others_goes_the_whole_way(flow: Flow) -> None:
    tokens = flow.tokens()
    with flow.client as client:
        client.token = tokens
        address = f"{flow.bascule.url}/oauth/token"
        fresh = client.refresh_token(address, refresh_token=tokens["refresh_token"])
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert works(flow.bascule, fresh)


def test_a_client_with_a_secret_goes_the_whole_way(
    bascule: Installation, alice: requests.Session
) -> None:
    secret = bascule.ask("agent", "add", "web-app", "--secret", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, alice, "web-app", secret=secret["client_secret"])
    flow.method = "client_secret_basic"
    tokens = flow.tokens()
    assert "access_token" in tokens
    assert refresh(flow, tokens["refresh_token"]).status_code == 401
    said = post(
        bascule,
        "introspect",
        token=tokens["refresh_token"],
        client_id="web-app",
        client_secret=secret["client_secret"],
    ).json()
    assert (said["active"], said["sub"], said["scope"]) == (True, "alice", "mcp:desk")


def test_who_is_not_signed_in_is_led_to_the_login_and_nothing_is_kept(flow: Flow) -> None:
    stranger = Flow(flow.bascule, requests.Session())
    link = stranger.link()
    answer = stranger.open(link)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2Foauth%2Fauthorize")
    page = flow.page()
    assert stranger.open(page).headers["location"].startswith("/login?next=%2Fconsent")


# What the user sees (GW-124, GW-128)


def test_the_consent_page_says_who_asks_for_what_and_where_it_goes(flow: Flow) -> None:
    page = flow.open(flow.page())
    shown = text_of(page)
    assert page.status_code == 200
    assert "client.example" in shown
    assert "alice" in shown
    assert "everything of desk that you may use yourself" in shown
    assert "does not prove who it is" in shown
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://client.example;" in policy
    assert page.headers["cache-control"] == "no-store"


def test_the_page_says_that_a_local_program_cannot_be_checked(
    bascule: Installation, alice: requests.Session
) -> None:
    flow = Flow(bascule, alice, "native", "http://127.0.0.1:50123/cb")
    page = flow.open(flow.page())
    assert "a program on your own computer" in text_of(page)
    assert "127.0.0.1:50123" in text_of(page)
    assert "form-action 'self' http://127.0.0.1:50123;" in page.headers[
        "content-security-policy"
    ]  # fmt: skip


def test_the_page_says_that_an_agent_without_ceiling_sees_nothing(
    bascule: Installation, recorder: Recorder
) -> None:
    flow = Flow(bascule, sign_in(bascule, "bob"))
    assert "everything of desk" in text_of(flow.open(flow.page()))
    scoped = text_of(flow.open(flow.page(scope="desk.echo")))
    assert "the tool echo" in scoped


def test_markup_of_strangers_is_text(bascule: Installation, flow: Flow) -> None:
    page = flow.open(flow.page(state="<script>alert(1)</script>"))
    assert "<script>alert" not in page.text


# The decision


def test_who_refuses_tells_the_client(flow: Flow) -> None:
    page = flow.page()
    answer = flow.decide(page, "deny")
    told = answer_of(answer.headers["location"])
    assert told["error"] == "access_denied"
    assert (told["state"], told["iss"]) == ("state-1", flow.bascule.url)
    assert flow.decide(page, "allow").status_code == 409
    again = flow.decide(page, "deny")
    assert answer_of(again.headers["location"])["error"] == "access_denied"
    assert flow.bascule.wait_for_records("--type", "consent.deny")


def test_a_form_that_is_sent_twice_gives_the_same_code(flow: Flow) -> None:
    page = flow.page()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: flow.decide(page, "allow"), range(6)))
    codes = {answer_of(it.headers["location"])["code"] for it in answers}
    assert len(codes) == 1
    tokens = redeem(flow, codes.pop()).json()
    assert flow.decide(page, "allow").status_code == 409
    assert flow.decide(page, "deny").status_code == 409
    assert flow.open(page).status_code == 409
    assert works(flow.bascule, tokens)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
    ],
    ids=str,
)
def test_another_site_cannot_consent(flow: Flow, headers: dict[str, str]) -> None:
    page = flow.page()
    answer = flow.decide(page, "allow", **headers)
    assert answer.status_code == 403
    assert "location" not in answer.headers
    assert flow.open(page).status_code == 200


def test_a_request_belongs_to_the_browser_that_made_it(flow: Flow) -> None:
    """Else an attacker's request, allowed by the victim, would give the attacker a code."""
    page = flow.page()
    for name in ("bob", "alice"):
        elsewhere = Flow(flow.bascule, sign_in(flow.bascule, name))
        assert elsewhere.open(page).status_code == 404
        assert elsewhere.decide(page, "allow").status_code == 404
    flow.decide(page, "allow")
    assert elsewhere.decide(page, "allow").status_code == 404


@pytest.mark.parametrize("decision", ["", "maybe"])
def test_a_form_without_a_decision_decides_nothing(flow: Flow, decision: str) -> None:
    page = flow.page()
    assert flow.decide(page, decision).status_code == 400
    assert flow.open(page).status_code == 200


def test_a_request_that_is_unknown_has_no_page(flow: Flow) -> None:
    for name in ("", "0" * 64, "%00", "x" * 5000):
        assert flow.open(f"{flow.bascule.url}/consent?request={name}").status_code == 404


# Consent is remembered for verified clients alone


def test_a_verified_client_need_not_ask_twice_for_the_same(bascule: Installation) -> None:
    secret = bascule.ask("agent", "add", "known", "--secret", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, sign_in(bascule, "bob"), "known", secret=secret["client_secret"])
    flow.method = "client_secret_post"
    flow.tokens(scope="mcp:desk desk.echo")
    again = flow.open(flow.link(scope="desk.echo"))
    assert "code" in answer_of(again.headers["location"])
    assert "/consent?" in flow.open(flow.link(prompt="consent")).headers["location"]
    other = f"{bascule.url}/c/annex/mcp"
    assert "/consent?" in flow.open(flow.link(resource=other)).headers["location"]
    elsewhere = Flow(bascule, sign_in(bascule, "alice"), "known")
    assert "/consent?" in elsewhere.open(elsewhere.link()).headers["location"]
    # Nobody inherits it: no other client, as verified and with the same redirect as it is.
    bascule.ask("agent", "add", "heir", "--secret", "--redirect-uri", CALLBACK)
    heir = Flow(bascule, flow.browser, "heir")
    assert "/consent?" in heir.open(heir.link(scope="desk.echo")).headers["location"]
    bascule.ask("revoke", "--user", "bob", "--reason", "r")
    flow.browser = sign_in(bascule, "bob")
    assert "/consent?" in flow.open(flow.link(scope="desk.echo")).headers["location"]


def test_a_client_that_proves_nothing_asks_each_time(flow: Flow) -> None:
    flow.tokens()
    assert flow.open(flow.link()).headers["location"].startswith("/consent?")


def test_a_local_redirect_asks_each_time(bascule: Installation) -> None:
    local = "http://localhost/cb"
    secret = bascule.ask("agent", "add", "desktop", "--secret", "--redirect-uri", local)
    flow = Flow(bascule, sign_in(bascule, "bob"), "desktop", local)
    flow.secret, flow.method = secret["client_secret"], "client_secret_post"
    with flow.client as client:
        client.fetch_token(
            f"{bascule.url}/oauth/token",
            code=answer_of(flow.callback())["code"],
            code_verifier=flow.verifier,
        )
    assert flow.open(flow.link()).headers["location"].startswith("/consent?")


# Wrong clients and redirects: a page, never a redirect (GW-113)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://client.example/cb2",
        "https://client.example/cb/",
        "https://client.example/cb?x=1",
        "https://client.example/cb#x",
        "https://client.example:443/cb",
        "https://client.example:444/cb",
        "http://client.example/cb",
        "https://client.example/CB",
        "https://client.example/%63b",
        "https://Client.example/cb",
        "https://client.example@evil.example/cb",
        "https://client.example.evil.example/cb",
        "https://evil.example/cb",
        "https://client.example/../cb",
        "https://client.example\\@evil.example/cb",
        "javascript:alert(1)",
        "//client.example/cb",
        "/cb",
        "",
    ],
)
def test_a_redirect_uri_that_is_not_registered_gets_a_page(
    flow: Flow, redirect_uri: str
) -> None:
    flow.redirect_uri = redirect_uri
    answer = flow.open(flow.link())
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "refresh" not in answer.headers
    assert "wrong address" in text_of(answer)


@pytest.mark.parametrize(
    ("redirect_uri", "accepted"),
    [
        ("http://127.0.0.1/cb", True),
        ("http://127.0.0.1:50000/cb", True),
        ("http://localhost:7777/cb", True),
        ("http://localhost:50000/cb", True),
        ("http://localhost/cb", True),
        ("http://127.0.0.1:50000/other", False),
        ("http://[::1]:50000/cb", False),
        ("http://127.0.0.2:50000/cb", False),
        ("https://127.0.0.1:50000/cb", False),
        ("http://127.0.0.1:99999/cb", False),
        ("http://127.0.0.1:0/cb", False),
        ("http://127.0.0.1:50000@evil.example/cb", False),
        ("http://localhost.evil.example:50000/cb", False),
        ("http://LOCALHOST:50000/cb", False),
    ],
)
def test_on_loopback_the_port_is_free_and_nothing_else(
    bascule: Installation, alice: requests.Session, redirect_uri: str, accepted: bool
) -> None:
    flow = Flow(bascule, alice, "native", redirect_uri)
    assert flow.open(flow.link()).status_code == (303 if accepted else 400)


@pytest.mark.parametrize(
    "client_id", ["nobody", "bascule-cli", "", "app\x00", "user:alice"]
)
def test_an_unknown_client_gets_a_page(flow: Flow, client_id: str) -> None:
    flow.client_id = client_id
    answer = flow.open(flow.link())
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_disabled_client_gets_a_page_also_on_the_way(
    bascule: Installation, alice: requests.Session
) -> None:
    bascule.ask("agent", "add", "leaving", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, alice, "leaving")
    page = flow.page()
    bascule.ask("agent", "disable", "leaving")
    assert flow.open(flow.link()).status_code == 400
    assert flow.decide(page, "allow").status_code == 400


# Everything else goes back to the client (GW-111, GW-115)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"resource": ""}, "invalid_target"),
        ({"scope": "mcp:annex"}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_told_to_the_client(
    flow: Flow, change: dict[str, str], error: str
) -> None:
    parts = urlsplit(flow.link())
    query = {**answer_of(flow.link()), **change}
    address = f"{flow.bascule.url}{parts.path}"
    for browser in (flow.browser, requests.Session()):
        answer = browser.get(address, params=query, allow_redirects=False, timeout=PATIENCE)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{CALLBACK}?")
        told = answer_of(answer.headers["location"])
        assert told["error"] == error
        assert (told["state"], told["iss"]) == ("state-1", flow.bascule.url)


def test_an_unknown_connector_is_an_invalid_target(flow: Flow) -> None:
    answer = flow.open(flow.link(resource=f"{flow.bascule.url}/c/nothing/mcp"))
    assert answer_of(answer.headers["location"])["error"] == "invalid_target"


def test_a_doubled_parameter_gets_a_page(flow: Flow) -> None:
    answer = flow.open(flow.link() + "&client_id=other")
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_from_a_page_of_ours_the_browser_leaves_by_a_page(flow: Flow) -> None:
    """The login form's policy would stop a redirect to elsewhere."""
    link = flow.link(scope="nonsense")
    answer = flow.open(link, **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert answer.headers["refresh"].startswith(f"0; url={CALLBACK}?error=invalid_scope")


# Codes (GW-111, GW-112)


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": "x"},
        {"client_id": "other"},
        {"redirect_uri": "https://client.example/other"},
        {"code": "bsc_ac_" + "0" * 64},
    ],
    ids=str,
)
def test_a_code_is_bound_to_client_redirect_and_verifier(
    flow: Flow, change: dict[str, str]
) -> None:
    code = code_of(flow)
    refused = redeem(flow, **{"code": code, **change})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert redeem(flow, code).status_code == 200


@pytest.mark.parametrize("missing", ["code", "code_verifier"])
def test_code_and_verifier_must_be_there(flow: Flow, missing: str) -> None:
    refused = redeem(flow, **{"code": "bsc_ac_x", missing: ""})
    assert refused.json()["error"] == "invalid_request"


@pytest.mark.parametrize("resource", ["/c/annex/mcp", "/c/nothing/mcp", "/c/desk/mcp/x"])
def test_a_code_is_for_the_resource_that_was_consented_to(
    flow: Flow, resource: str
) -> None:
    code = code_of(flow)
    refused = redeem(flow, code, resource=flow.bascule.url + resource)
    assert refused.json()["error"] == "invalid_target"
    same = redeem(flow, code, resource=f"{flow.bascule.url}/c/desk/mcp")
    assert same.status_code == 200


def test_more_scope_than_was_consented_to_is_refused(flow: Flow) -> None:
    code = answer_of(flow.callback(scope="desk.echo"))["code"]
    assert redeem(flow, code, scope="mcp:desk").json()["error"] == "invalid_scope"
    assert redeem(flow, code).json()["scope"] == "desk.echo"


def records_about(flow: Flow, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the records that name the family of some tokens."""
    found = flow.bascule.whole_records()
    return [it for it in found if it.get("admin", {}).get("grant") == grant_of(tokens)]


def reuses(flow: Flow, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the records that say that the family was ended by a copy."""
    return [it for it in records_about(flow, tokens) if it["type"] == "grant.reuse"]


def test_a_code_that_is_used_twice_ends_what_it_gave(flow: Flow) -> None:
    code = code_of(flow)
    tokens = redeem(flow, code).json()
    assert works(flow.bascule, tokens)
    assert redeem(flow, code).json()["error"] == "invalid_grant"
    until(lambda: not works(flow.bascule, tokens))
    assert refresh(flow, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert redeem(flow, code).json()["error"] == "invalid_grant"
    later = flow.tokens()
    until(lambda: len(records_about(flow, later)) == 2)
    (record,) = reuses(flow, tokens)
    assert record["user"]["sub"] == "alice"
    assert record["agent"]["client_id"] == "app"
    assert record["connector"] == "desk"


def test_of_eight_that_redeem_one_code_one_wins(flow: Flow) -> None:
    code = code_of(flow)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: redeem(flow, code), range(8)))
    assert sorted(it.status_code for it in answers) == [200] + [400] * 7


# Refresh (GW-116)


def test_a_refresh_token_rotates(flow: Flow) -> None:
    first = flow.tokens()["refresh_token"]
    second = refresh(flow, first).json()
    third = refresh(flow, second["refresh_token"]).json()
    assert len({first, second["refresh_token"], third["refresh_token"]}) == 3
    assert works(flow.bascule, third)


def test_a_retry_gets_the_same_successor(flow: Flow) -> None:
    first = flow.tokens()["refresh_token"]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: refresh(flow, first), range(6)))
    assert {it.status_code for it in answers} == {200}
    assert len({it.json()["refresh_token"] for it in answers}) == 1
    assert len({it.json()["access_token"] for it in answers}) == 6
    assert all(works(flow.bascule, it.json()) for it in answers)


def test_a_client_whose_answer_was_lost_in_a_crash_stays_signed_in(flow: Flow) -> None:
    survives_a_lost_answer(flow.tokens()["refresh_token"], flow.bascule, flow.bascule)


def test_a_token_that_is_used_again_later_ends_the_family(flow: Flow) -> None:
    first = flow.tokens()["refresh_token"]
    second = refresh(flow, first).json()
    third = refresh(flow, second["refresh_token"]).json()
    assert refresh(flow, first).json()["error"] == "invalid_grant"
    until(lambda: not works(flow.bascule, third))
    assert refresh(flow, third["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_token_of_another_client_is_none(flow: Flow) -> None:
    tokens = flow.tokens()
    stolen = refresh(flow, tokens["refresh_token"], client_id="other")
    assert stolen.json()["error"] == "invalid_grant"
    assert refresh(flow, tokens["refresh_token"]).status_code == 200


def test_a_refresh_may_narrow_and_never_widen(flow: Flow) -> None:
    token = flow.tokens(scope="desk.echo")["refresh_token"]
    assert refresh(flow, token, scope="mcp:desk").json()["error"] == "invalid_scope"
    annex = f"{flow.bascule.url}/c/annex/mcp"
    assert refresh(flow, token, resource=annex).json()["error"] == "invalid_target"
    wide = flow.tokens(scope="desk.echo mcp:desk")["refresh_token"]
    narrow = refresh(flow, wide, scope="desk.echo offline_access").json()
    assert narrow["scope"] == "desk.echo"
    again = refresh(flow, narrow["refresh_token"]).json()
    assert again["scope"] == "desk.echo mcp:desk"


# The end of it


def test_a_client_ends_its_family_and_no_other(flow: Flow) -> None:
    mine, kept = flow.tokens(), flow.tokens()
    token = mine["refresh_token"]
    assert post(flow.bascule, "revoke", client_id="other", token=token).status_code == 200
    fresh = refresh(flow, token).json()
    done = post(flow.bascule, "revoke", client_id="app", token=fresh["refresh_token"])
    assert done.status_code == 200
    until(lambda: not works(flow.bascule, fresh))
    assert refresh(flow, fresh["refresh_token"]).json()["error"] == "invalid_grant"
    assert works(flow.bascule, kept)


def test_an_access_token_ends_alone(flow: Flow) -> None:
    tokens = flow.tokens()
    post(flow.bascule, "revoke", client_id="app", token=tokens["access_token"])
    until(lambda: not works(flow.bascule, tokens))
    assert refresh(flow, tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    "words",
    [
        ("--user", "bob"),
        ("--agent", "app"),
        ("--connector", "desk"),
        ("--all",),
    ],
    ids=" ".join,
)
def test_the_operator_ends_grants_and_a_new_login_begins_another(
    bascule: Installation, words: tuple[str, ...]
) -> None:
    flow = Flow(bascule, sign_in(bascule, "bob"))
    tokens, code = flow.tokens(), code_of(flow)
    bascule.ask("revoke", *words, "--reason", "test")
    assert refresh(flow, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert redeem(flow, code).json()["error"] == "invalid_grant"
    flow.browser = sign_in(bascule, "bob")
    assert works(bascule, flow.tokens())


def test_the_operator_ends_one_grant(bascule: Installation) -> None:
    flow = Flow(bascule, sign_in(bascule, "bob"))
    tokens, kept = flow.tokens(), flow.tokens()
    bascule.ask("revoke", "--grant", grant_of(tokens), "--reason", "test")
    assert refresh(flow, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    until(lambda: not works(bascule, tokens))
    assert refresh(flow, kept["refresh_token"]).status_code == 200


def test_who_is_disabled_gets_no_more_tokens(bascule: Installation) -> None:
    bascule.ask("user", "add", "carol")
    flow = Flow(bascule, sign_in(bascule, "carol"))
    tokens, page = flow.tokens(), flow.page()
    bascule.ask("user", "disable", "carol")
    assert refresh(flow, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert flow.decide(page, "allow").headers["location"].startswith("/login")
    bascule.ask("user", "enable", "carol")
    assert refresh(flow, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_what_happened_is_in_the_log_without_its_secrets(flow: Flow) -> None:
    code = code_of(flow)
    tokens = redeem(flow, code).json()
    fresh = refresh(flow, tokens["refresh_token"]).json()
    for name in ("consent.grant", "token.issue", "token.refresh"):
        assert flow.bascule.wait_for_records("--type", name, "--user", "alice")
    kept = [it.read_bytes() for it in flow.bascule.data.rglob("*") if it.is_file()]
    secrets = [code, tokens["refresh_token"], fresh["refresh_token"], fresh["access_token"]]
    assert not any(it.encode() in content for it in secrets for content in kept)
    assert not any(it in flow.bascule.log for it in secrets)


# What users see of it


def test_a_user_sees_the_apps_that_act_for_them_and_ends_one(flow: Flow) -> None:
    bascule = flow.bascule
    flow.browser = sign_in(bascule, "bob")
    mine, kept = flow.tokens(scope="desk.echo"), flow.tokens()
    listed = flow.open(f"{bascule.url}/account/apps")
    assert "the tool echo" in text_of(listed)
    ids = re.findall(r'name="grant" value="([^"]+)"', listed.text)
    chosen = grant_of(mine)
    assert {chosen, grant_of(kept)} <= set(ids)
    answer = end_app(flow, chosen)
    assert answer.headers["location"] == "/account/apps"
    until(lambda: not works(bascule, mine))
    assert refresh(flow, mine["refresh_token"]).json()["error"] == "invalid_grant"
    assert chosen not in flow.open(f"{bascule.url}/account/apps").text
    assert works(bascule, kept)
    assert end_app(flow, chosen).status_code == 404


def test_nobody_sees_or_ends_the_apps_of_another(flow: Flow) -> None:
    tokens = flow.tokens()
    mine = grant_of(tokens)
    flow.browser = sign_in(flow.bascule, "bob")
    assert mine not in flow.open(f"{flow.bascule.url}/account/apps").text
    assert end_app(flow, mine).status_code == 404
    flow.browser = requests.Session()
    assert end_app(flow, mine).headers["location"].startswith("/login")
    shown = flow.open(f"{flow.bascule.url}/account/apps")
    assert shown.headers["location"] == "/login?next=%2Faccount%2Fapps"
    assert works(flow.bascule, tokens)


def test_an_app_that_was_put_out_is_not_remembered(bascule: Installation) -> None:
    secret = bascule.ask("agent", "add", "again", "--secret", "--redirect-uri", CALLBACK)
    flow = Flow(bascule, sign_in(bascule, "bob"), "again", secret=secret["client_secret"])
    flow.method = "client_secret_post"
    tokens = flow.tokens()
    assert "code=" in flow.open(flow.link()).headers["location"]
    end_app(flow, grant_of(tokens))
    assert flow.open(flow.link()).headers["location"].startswith("/consent")


def grant_of(tokens: dict[str, Any]) -> str:
    """Read the grant out of an access token."""
    claims = tokens["access_token"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["bsc_g"])


def end_app(flow: Flow, grant: str) -> requests.Response:
    return flow.browser.post(
        f"{flow.bascule.url}/account/apps/end",
        {"grant": grant},
        headers={"Origin": flow.bascule.url},
        allow_redirects=False,
        timeout=PATIENCE,
    )
