"""Discovery: what is believed of what a server says, and where it may lead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.challenge import Challenge
from bascule.oauthclient.discovery import (
    AuthorizationServer,
    ProtectedResource,
    authorization_server,
    is_same_resource,
    protected_resource,
    resource_metadata_addresses,
    server_metadata_addresses,
)
from bascule.oauthclient.errors import ServerUnavailableError, UnusableServerError
from canned import Heard, http, json, serving

NEAR = FetchPolicy(loopback=True, seconds=2)


@pytest.mark.parametrize(
    ("url", "paths"),
    [
        ("https://h/a/mcp", ("/a/mcp", "")),
        ("https://h/a?b=c", ("/a?b=c", "")),
        ("https://h/", ("",)),
        ("https://h", ("",)),
    ],
)
def test_where_a_resource_describes_itself(url: str, paths: tuple[str, ...]) -> None:
    root = "https://h/.well-known/oauth-protected-resource"
    assert resource_metadata_addresses(url) == tuple(f"{root}{path}" for path in paths)


def test_where_a_server_describes_itself() -> None:
    assert server_metadata_addresses("https://h/a/b") == (
        "https://h/.well-known/oauth-authorization-server/a/b",
        "https://h/.well-known/openid-configuration/a/b",
        "https://h/a/b/.well-known/openid-configuration",
    )
    assert server_metadata_addresses("https://h/") == (
        "https://h/.well-known/oauth-authorization-server",
        "https://h/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("named", "url", "same"),
    [
        ("https://h/a/mcp", "https://h/a/mcp", True),
        ("https://h/a/mcp/", "https://h/a/mcp", True),
        ("HTTPS://H:443/a", "https://h/a/mcp", True),
        ("https://h", "https://h/a/mcp", True),
        ("https://h/a", "https://h/ab", False),
        ("https://h/a/mcp/more", "https://h/a/mcp", False),
        ("https://h.evil.example/a", "https://h/a", False),
        ("https://h:8443/a", "https://h/a", False),
        ("http://h/a", "https://h/a", False),
        ("https://h/a#x", "https://h/a", False),
        ("https://h/a?tenant=2", "https://h/a?tenant=1", False),
        ("https://h/a\\@evil", "https://h/a", False),
        ("javascript:alert(1)", "https://h/a", False),
    ],
)
def test_of_which_resource_metadata_may_speak(named: str, url: str, same: bool) -> None:
    assert is_same_resource(named, url) is same


def find_resource(
    document: dict[str, Any] | bytes, *, at: str, challenge: str | None = None
) -> tuple[ProtectedResource | None, list[str]]:
    async def run() -> tuple[ProtectedResource | None, list[str]]:
        def answer(heard: Heard) -> bytes:
            if heard.path != at:
                return http("404 Not Found")
            if isinstance(document, bytes):
                return http("200 OK", document, "Content-Type: application/json")
            filled = {name: _at(value, site.url) for name, value in document.items()}
            return json("200 OK", filled)

        async with serving(answer) as site:
            named = None if challenge is None else f"{site.url}{challenge}"
            said = Challenge("bearer", {"resource_metadata": named} if named else {})
            found = await protected_resource(f"{site.url}/mcp", said, NEAR)
            return found, [it.path for it in site.heard]

    return asyncio.run(run())


def _at(value: Any, url: str) -> Any:
    if isinstance(value, list):
        return [_at(it, url) for it in value]
    return value.replace("HERE", url) if isinstance(value, str) else value


GOOD = {"resource": "HERE/mcp", "authorization_servers": ["HERE/as"]}
PATH = "/.well-known/oauth-protected-resource"


def test_the_challenge_says_where_and_nothing_else_is_asked() -> None:
    found, asked = find_resource(GOOD, at="/else", challenge="/else")
    assert found is not None
    assert found.authorization_servers[0].endswith("/as")
    assert asked == ["/else"]
    with pytest.raises(ServerUnavailableError):
        find_resource(GOOD, at=f"{PATH}/mcp", challenge="/else")


def test_without_it_the_path_then_the_root() -> None:
    assert find_resource(GOOD, at=f"{PATH}/mcp")[1] == [f"{PATH}/mcp"]
    found, asked = find_resource({**GOOD, "resource": "HERE"}, at=PATH)
    assert found is not None
    assert asked == [f"{PATH}/mcp", PATH]
    assert find_resource(GOOD, at="/nowhere")[0] is None


@pytest.mark.parametrize(
    "document",
    [
        {**GOOD, "resource": "https://evil.example/mcp"},
        {**GOOD, "authorization_servers": []},
        {**GOOD, "authorization_servers": "HERE/as"},
        {"authorization_servers": ["HERE/as"]},
        b"[" * 10_000,
        b"\xff",
    ],
)
def test_what_is_not_believed(document: dict[str, Any] | bytes) -> None:
    with pytest.raises(UnusableServerError):
        find_resource(document, at=f"{PATH}/mcp")


def find_server(
    document: dict[str, Any], *, at: str, **options: Any
) -> AuthorizationServer:
    async def run() -> AuthorizationServer:
        def answer(heard: Heard) -> bytes:
            filled = {name: _at(value, site.url) for name, value in document.items()}
            return json("200 OK", filled) if heard.path == at else http("404 Not Found")

        async with serving(answer) as site:
            return await authorization_server(f"{site.url}/as", NEAR, **options)

    return asyncio.run(run())


SERVER = {"issuer": "HERE/as", "token_endpoint": "HERE/token", "odd": {"more": 1}}


@pytest.mark.parametrize(
    "at",
    [
        "/.well-known/oauth-authorization-server/as",
        "/.well-known/openid-configuration/as",
        "/as/.well-known/openid-configuration",
    ],
)
def test_a_server_is_found_wherever_it_may_be(at: str) -> None:
    assert find_server(SERVER, at=at).issuer.endswith("/as")


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "HERE/as/"},
        {"issuer": "HERE"},
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "data:text/html,x"},
        {"token_endpoint": "http://far.example/token"},
        {"registration_endpoint": "https://user@far.example/"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": 7},
    ],
)
def test_a_server_that_says_something_wrong_is_not_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnusableServerError):
        find_server({**SERVER, **wrong}, at="/.well-known/oauth-authorization-server/as")


def test_an_issuer_may_publish_for_several_when_the_operator_says_so() -> None:
    shared = {**SERVER, "issuer": "https://login.example/{tenantid}"}
    place = "/.well-known/oauth-authorization-server/as"
    found = find_server(shared, at=place, published_issuer=shared["issuer"])
    assert found.issuer == shared["issuer"]
    with pytest.raises(UnusableServerError):
        find_server(shared, at=place)


def test_no_server_is_unavailable_and_no_address_is_unusable() -> None:
    with pytest.raises(ServerUnavailableError):
        find_server(SERVER, at="/nowhere")
    with pytest.raises(UnusableServerError):
        asyncio.run(authorization_server("javascript:alert(1)", NEAR))


def test_strangers_lead_nowhere_inside() -> None:
    challenge = Challenge("bearer", {"resource_metadata": "http://127.0.0.1:1/x"})
    with pytest.raises(ServerUnavailableError):
        asyncio.run(protected_resource("https://h/mcp", challenge, FetchPolicy()))
    with pytest.raises(ServerUnavailableError):
        asyncio.run(authorization_server("https://169.254.169.254", FetchPolicy(seconds=1)))
