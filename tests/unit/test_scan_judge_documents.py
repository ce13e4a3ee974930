"""What metadata say, judged: each rule on a document that breaks it alone, and a twin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.scan.interfaces import Reach
from bascule.scan.judge.documents import (
    is_wide,
    judge_issuer,
    judge_resource,
    leads_inward,
    names_another_place,
    same_resource,
)

URL = "https://tickets.example/mcp"
ISSUER = "https://login.example"
RESOURCE: dict[str, Any] = {
    "resource": URL,
    "authorization_servers": [ISSUER],
    "scopes_supported": ["tickets.read"],
    "bearer_methods_supported": ["header"],
}
AUTHORIZATION_SERVER: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "response_types_supported": ["code"],
    "grant_types_supported": ["authorization_code"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
}


def of_resource(document: dict[str, Any], reach: Reach = "public") -> list[str]:
    found = judge_resource(document, url=URL, target=URL, reach=reach)
    return [it.rule for it in found]


def of_issuer(document: dict[str, Any], reach: Reach = "public") -> list[str]:
    found = judge_issuer(document, issuer=ISSUER, target=URL, reach=reach)
    return [it.rule for it in found]


def test_documents_that_are_right_have_no_findings() -> None:
    assert of_resource(RESOURCE) == []
    assert of_issuer(AUTHORIZATION_SERVER) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"resource": "https://other.example/mcp"}, "resource-mismatch"),
        ({"resource": "https://tickets.example/mcp/more"}, "resource-mismatch"),
        ({"resource": "https://tickets.example:8443/mcp"}, "resource-mismatch"),
        ({"resource": 7}, "resource-mismatch"),
        ({"authorization_servers": []}, "no-resource-metadata"),
        ({"authorization_servers": "no list"}, "no-resource-metadata"),
        ({"authorization_servers": ["http://login.example"]}, "metadata-cleartext"),
        (
            {"authorization_servers": ["http://169.254.169.254/latest"]},
            "metadata-points-inward",
        ),
        ({"authorization_servers": ["https://10.0.0.5"]}, "metadata-points-inward"),
        ({"authorization_servers": ["http://localhost:9000"]}, "metadata-points-inward"),
        ({"authorization_servers": ["http://[::1]:9000"]}, "metadata-points-inward"),
        (
            {"authorization_servers": ["http://[::ffff:127.0.0.1]/"]},
            "metadata-points-inward",
        ),
        (
            {"authorization_servers": ["https://metadata.google.internal/"]},
            "metadata-points-inward",
        ),
        ({"authorization_servers": ["javascript:alert(1)"]}, "metadata-not-a-web-address"),
        ({"authorization_servers": ["file:///etc/passwd"]}, "metadata-not-a-web-address"),
        ({"scopes_supported": ["tickets.read", "*"]}, "wide-scopes"),
        ({"bearer_methods_supported": ["header", "query"]}, "token-in-url"),
    ],
)
def test_one_wrong_member_of_a_resource_is_one_finding(
    change: dict[str, Any], rule: str
) -> None:
    assert of_resource({**RESOURCE, **change}) == [rule]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"issuer": "https://login.example/"}, "issuer-mismatch"),
        ({"issuer": None}, "issuer-mismatch"),
        ({"code_challenge_methods_supported": None}, "no-pkce"),
        ({"code_challenge_methods_supported": ["plain"]}, "no-pkce"),
        ({"code_challenge_methods_supported": ["S256", "plain"]}, "no-pkce"),
        ({"authorization_response_iss_parameter_supported": False}, "no-iss-parameter"),
        ({"authorization_response_iss_parameter_supported": "true"}, "no-iss-parameter"),
        ({"grant_types_supported": ["authorization_code", "implicit"]}, "old-grants"),
        ({"response_types_supported": ["code", "id_token token"]}, "old-grants"),
        ({"token_endpoint": "http://login.example/token"}, "metadata-cleartext"),
        (
            {"authorization_endpoint": "http://www.example.com/$(calc.exe)"},
            "metadata-not-a-web-address",
        ),
        (
            {"authorization_endpoint": 'https://login.example/"&calc&"'},
            "metadata-not-a-web-address",
        ),
        ({"jwks_uri": "http://127.0.0.1:2375/containers"}, "metadata-points-inward"),
    ],
)
def test_one_wrong_member_of_an_authorization_server_is_one_finding(
    change: dict[str, Any], rule: str
) -> None:
    assert of_issuer({**AUTHORIZATION_SERVER, **change}) == [rule]


def test_the_implicit_grant_that_is_only_a_default_is_no_finding() -> None:
    """RFC 8414 §2 gives it as the default, and who leaves the member out means none."""
    document = dict(AUTHORIZATION_SERVER)
    del document["grant_types_supported"]
    assert of_issuer(document) == []


@pytest.mark.parametrize(
    ("host", "reach", "inward"),
    [
        ("127.0.0.1", "loopback", False),
        ("127.0.0.1", "private", True),
        ("10.0.0.5", "private", False),
        ("10.0.0.5", "public", True),
        ("169.254.7.7", "private", True),
        ("169.254.169.254", "loopback", True),
        ("169.254.169.254", "link_local", True),
        ("127.1", "private", True),
        ("0x7f000001", "public", True),
        ("2130706433", "public", True),
        ("0177.0.0.1", "public", True),
        ("0.0.0.0", "private", True),  # noqa: S104 - a name to judge
        ("::", "private", True),
        ("64:ff9b::7f00:1", "public", True),
        ("2002:7f00:1::", "public", True),
        ("::ffff:10.0.0.1", "public", True),
        ("8.8.8.8", "loopback", False),
        ("login.example", "loopback", False),
    ],
)
def test_an_address_leads_inward_when_it_is_nearer_than_the_server(
    host: str, reach: Reach, inward: bool
) -> None:
    assert leads_inward(host, reach) is inward


@pytest.mark.parametrize(
    "said",
    [URL, f"{URL}/", "HTTPS://TICKETS.example/mcp", "https://tickets.example:443/mcp"],
)
def test_other_spellings_of_a_resource_are_the_same(said: str) -> None:
    assert same_resource(said, URL)


def test_loopback_is_one_host_on_each_port() -> None:
    assert same_resource("http://localhost:8420/mcp", "http://127.0.0.1:8420/mcp")
    assert same_resource("http://[::1]:8420/mcp", "http://localhost:8420/mcp")
    assert not same_resource("http://localhost:8421/mcp", "http://127.0.0.1:8420/mcp")
    assert not same_resource("http://localhost:8420/x", "http://127.0.0.1:8420/mcp")


@pytest.mark.parametrize(
    ("said", "url", "another"),
    [
        ("https://mcp.example/mcp", "http://127.0.0.1:8420/mcp", True),
        ("https://mcp.example/mcp", "http://10.0.0.5/mcp", True),
        ("https://mcp.example/mcp", "http://localhost:8420/mcp", True),
        ("http://127.0.0.1:8420/other", "http://127.0.0.1:8420/mcp", False),
        ("http://localhost:8420/mcp", "http://127.0.0.1:8420/mcp", False),
        ("https://other.example/mcp", "https://mcp.example/mcp", False),
        (None, "http://127.0.0.1:8420/mcp", False),
        ("no URL", "http://127.0.0.1:8420/mcp", False),
    ],
)
def test_a_name_may_be_the_one_of_a_proxy(said: object, url: str, another: bool) -> None:
    assert names_another_place(said, url) is another


@pytest.mark.parametrize(
    "scope", ["*", "admin", "repo:admin", "admin:org", "tickets.all", "full_access", "a:*"]
)
def test_a_scope_over_everything_is_wide(scope: str) -> None:
    assert is_wide(scope)


@pytest.mark.parametrize(
    "scope",
    [
        "tickets.read",
        "mcp:time",
        "offline_access",
        "openid",
        "callback",
        "administrate_me",
        "recall:read",
        "rootcause.read",
        "badmin",
        "",
    ],
)
def test_a_scope_for_something_is_not(scope: str) -> None:
    assert not is_wide(scope)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
MEMBERS = st.sampled_from([*RESOURCE, *AUTHORIZATION_SERVER, "registration_endpoint"])


@settings(max_examples=40)
@given(st.dictionaries(MEMBERS, JSON | st.lists(st.text())))
def test_no_document_breaks_the_judge_and_no_control_character_gets_through(
    document: dict[str, Any],
) -> None:
    found = [
        *judge_resource(document, url=URL, target=URL, reach="public"),
        *judge_issuer(document, issuer=ISSUER, target=URL, reach="public"),
    ]
    assert all(it.evidence.isprintable() for it in found)
    assert all(len(it.evidence) < 10_000 for it in found)
