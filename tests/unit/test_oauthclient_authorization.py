"""The authorization request, and which responses are the answer to it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import system_entropy
from bascule.oauthclient.authorization import (
    AuthorizationRefusedError,
    ForeignResponseError,
    Pending,
    begin_authorization,
    read_response,
)
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import UnusableServerError

ISSUER = "https://as.example"
SERVER = AuthorizationServer(
    issuer=ISSUER,
    authorization_endpoint="https://as.example/authorize?tenant=1",
    code_challenge_methods_supported=("S256",),
)
CLIENT = Client(client_id="us", issuer=ISSUER)


def begin(server: AuthorizationServer = SERVER, **options: object) -> tuple[str, Pending]:
    usual: dict[str, object] = {
        "redirect_uri": "https://gw.example/link/callback",
        "scopes": ["a", "b"],
        "resource": "https://rs.example/mcp",
        "entropy": system_entropy,
    }
    return begin_authorization(server, CLIENT, **{**usual, **options})  # type: ignore[arg-type]


def test_the_request() -> None:
    url, pending = begin(extra={"prompt": "login", "state": "fixed"}, with_nonce=True)
    query = parse_qs(urlsplit(url).query)
    assert url.startswith("https://as.example/authorize?tenant=1&")
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    assert query == {
        "tenant": ["1"],
        "prompt": ["login"],
        "response_type": ["code"],
        "client_id": ["us"],
        "redirect_uri": ["https://gw.example/link/callback"],
        "state": [pending.state],
        "nonce": [pending.nonce],
        "scope": ["a b"],
        "resource": ["https://rs.example/mcp"],
        "code_challenge_method": ["S256"],
        "code_challenge": [base64.urlsafe_b64encode(digest).rstrip(b"=").decode()],
    }
    secrets = {pending.state, pending.verifier, str(pending.nonce)}
    assert len(secrets) == 3
    assert not any(secret in repr(pending) for secret in secrets)
    assert "scope" not in parse_qs(urlsplit(begin(scopes=[])[0]).query)


def without(name: str, value: object = None) -> AuthorizationServer:
    members = {it: getattr(SERVER, it) for it in SERVER.__struct_fields__}
    return AuthorizationServer(**{**members, name: value})


@pytest.mark.parametrize(
    "server",
    [
        without("code_challenge_methods_supported"),
        without("code_challenge_methods_supported", ("plain",)),
        without("authorization_endpoint"),
        without("issuer", "https://other.example"),
    ],
)
def test_where_nobody_is_sent(server: AuthorizationServer) -> None:
    with pytest.raises(UnusableServerError):
        begin(server)


def test_the_operator_may_vouch_for_pkce() -> None:
    url, _ = begin(without("code_challenge_methods_supported"), assume_pkce=True)
    assert "code_challenge_method=S256" in url


PENDING = replace(begin()[1], state="s" * 43)


def response(**said: str) -> str:
    return urlencode({"state": PENDING.state, "code": "c", **said})


@pytest.mark.parametrize(
    ("names_issuer", "iss", "fits"),
    [
        (True, ISSUER, True),
        (True, None, False),
        (True, "https://evil.example", False),
        (True, "https://as.example/", False),
        (True, "https://AS.example", False),
        (False, None, True),
        (False, ISSUER, True),
        (False, "https://evil.example", False),
    ],
)
def test_the_issuer_of_a_response(names_issuer: bool, iss: str | None, fits: bool) -> None:
    pending = replace(PENDING, names_issuer=names_issuer)
    said = {} if iss is None else {"iss": iss}
    if fits:
        assert read_response(response(**said), pending) == "c"
        with pytest.raises(AuthorizationRefusedError, match="access_denied"):
            read_response(response(error="access_denied", **said), pending)
    else:
        for more in ({}, {"error": "access_denied", "error_description": "<b>"}):
            with pytest.raises(ForeignResponseError) as raised:
                read_response(response(**said, **more), pending)
            assert "denied" not in str(raised.value)


@pytest.mark.parametrize(
    "query",
    [
        urlencode({"code": "c"}),
        urlencode({"state": "x", "code": "c"}),
        response(code=""),
        response() + "&code=d",
        response() + "&state=" + PENDING.state,
        response() + "&" + "&".join(f"a{it}=" for it in range(60)),
        response(code="c" * 10_000),
    ],
)
def test_what_is_no_answer(query: str) -> None:
    with pytest.raises(ForeignResponseError):
        read_response(query, PENDING)


def test_an_error_that_is_no_code_is_not_repeated() -> None:
    with pytest.raises(AuthorizationRefusedError) as raised:
        read_response(response(error="<script>"), PENDING)
    assert raised.value.error == "unknown_error"


@given(st.text())
def test_any_query_is_read(query: str) -> None:
    with pytest.raises(ForeignResponseError):
        read_response(query, PENDING)
