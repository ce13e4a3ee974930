"""Which client Bascule is at a server, and which scopes it asks for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.challenge import Challenge
from bascule.oauthclient.client import AssertionKey, Client
from bascule.oauthclient.discovery import AuthorizationServer, ProtectedResource
from bascule.oauthclient.errors import (
    GrantRefusedError,
    OAuthClientError,
    ServerUnavailableError,
    UnusableServerError,
)
from bascule.oauthclient.finding import find_server
from bascule.oauthclient.legacy import legacy_authorization_server
from bascule.oauthclient.registration import client_metadata, document_client, register
from bascule.oauthclient.scopes import missing_scopes, select_scopes
from canned import Canned, Heard, http, json, serving

NEAR = FetchPolicy(loopback=True, seconds=2)
METADATA = client_metadata(
    name="Bascule", redirect_uris=["https://gw.example/cb"], application_type="web"
)


def registered(
    answer: bytes, *, methods: tuple[str, ...] | None = None
) -> tuple[Client, dict[str, Any]]:
    async def run() -> tuple[Client, dict[str, Any]]:
        async with serving(lambda _: answer) as site:
            server = AuthorizationServer(
                issuer=site.url,
                registration_endpoint=f"{site.url}/register",
                token_endpoint_auth_methods_supported=methods,
            )
            client = await register(server, METADATA, NEAR)
            assert client.issuer == site.url
            (heard,) = site.heard
            return client, msgspec.json.decode(heard.body)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("methods", "asked"),
    [
        (None, "client_secret_basic"),
        (("none",), "none"),
        (("none", "client_secret_post"), "client_secret_post"),
        (("private_key_jwt",), "none"),
    ],
)
def test_it_registers_with_what_the_server_knows(
    methods: tuple[str, ...] | None, asked: str
) -> None:
    said = {"client_id": "new", "client_secret": "s3cret"}
    client, sent = registered(json("201 Created", said), methods=methods)
    assert sent == {**METADATA, "token_endpoint_auth_method": asked}
    assert sent["application_type"] == "web"
    assert (client.client_id, client.method) == ("new", asked)
    assert client.secret == (None if asked == "none" else "s3cret")
    assert "s3cret" not in repr(client)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json("400 Bad Request", {"error": "invalid_redirect_uri"}), GrantRefusedError),
        (http("403 Forbidden"), GrantRefusedError),
        (http("500 Oops"), ServerUnavailableError),
        (http("302 Found", b"", "Location: https://x/"), ServerUnavailableError),
        (http("201 Created", b"<html>"), ServerUnavailableError),
        (json("201 Created", {"client_id": ""}), ServerUnavailableError),
        (json("201 Created", {"client_id": "n"}), UnusableServerError),
        (
            json("201 Created", {"client_id": "n", "token_endpoint_auth_method": "magic"}),
            UnusableServerError,
        ),
    ],
)
def test_it_does_not_register(answer: bytes, error: type[OAuthClientError]) -> None:
    with pytest.raises(error):
        registered(answer)


def test_the_server_may_change_how_the_client_authenticates() -> None:
    said = {"client_id": "n", "token_endpoint_auth_method": "none", "client_secret": "s"}
    client, _ = registered(json("200 OK", said))
    assert (client.method, client.secret) == ("none", None)


def test_where_nothing_can_be_registered_the_operator_is_told() -> None:
    with pytest.raises(UnusableServerError, match="client_id"):
        asyncio.run(register(AuthorizationServer(issuer="https://a"), METADATA, NEAR))


def test_a_document_may_name_a_key() -> None:
    address = "https://gw.example/oauth/client-metadata.json"
    plain = document_client(address)
    assert (plain.method, plain.issuer) == ("none", None)
    key = AssertionKey(None, "ES256")  # type: ignore[arg-type]
    assert document_client(address, key).method == "private_key_jwt"


@pytest.mark.parametrize(
    ("named", "configured", "legacy", "error"),
    [
        (True, None, False, None),
        (True, "HERE/as", False, None),
        (True, "https://other.example", False, "configured"),
        (False, None, False, "configure"),
        (False, "HERE/as", False, None),
        (False, None, True, None),
    ],
)
def test_where_tokens_come_from(
    named: bool, configured: str | None, legacy: bool, error: str | None
) -> None:
    async def run() -> None:
        def answer(heard: Heard) -> bytes:
            here, place = site.url, heard.path
            if place.startswith("/.well-known/oauth-protected-resource") and named:
                said = {"resource": f"{here}/mcp", "authorization_servers": [f"{here}/as"]}
                return json("200 OK", said)
            if place == "/.well-known/oauth-authorization-server/as":
                return json("200 OK", {"issuer": f"{here}/as"})
            return http("404 Not Found")

        async with serving(answer) as site:
            issuer = configured and configured.replace("HERE", site.url)
            asked = find_server(f"{site.url}/mcp", None, NEAR, issuer=issuer, legacy=legacy)
            if error is None:
                described, server = await asked
                assert described is None or described.resource == f"{site.url}/mcp"
                assert (described is not None) is named
                assert server.issuer == (site.url if legacy else f"{site.url}/as")
            else:
                with pytest.raises(UnusableServerError, match=error):
                    await asked

    asyncio.run(run())


@pytest.mark.parametrize(("path", "fits"), [("", True), ("/as", False)])
def test_a_slash_after_a_bare_host_is_no_other_issuer(path: str, fits: bool) -> None:
    def answer(heard: Heard) -> bytes:
        if heard.path == "/.well-known/oauth-protected-resource/mcp":
            named = [f"{site.url}{path}/"]
            return json(
                "200 OK", {"resource": f"{site.url}/mcp", "authorization_servers": named}
            )
        return json("200 OK", {"issuer": f"{site.url}{path}"})

    async def run() -> None:
        nonlocal site
        async with serving(answer) as site:
            asked = find_server(f"{site.url}/mcp", None, NEAR, issuer=f"{site.url}{path}")
            if fits:
                assert (await asked)[1].issuer == site.url
            else:
                with pytest.raises(UnusableServerError, match="does not name"):
                    await asked
            with pytest.raises(UnusableServerError, match="another issuer"):
                await find_server(f"{site.url}/mcp", None, NEAR)

    site: Canned
    asyncio.run(run())


def scopes(*supported: str) -> AuthorizationServer:
    return AuthorizationServer(issuer="https://a", scopes_supported=supported or None)


RESOURCE = ProtectedResource("https://r", scopes_supported=("read", "write"))


@pytest.mark.parametrize(
    ("challenged", "resource", "server", "before", "expected"),
    [
        ("b a", RESOURCE, scopes(), (), ("b", "a")),
        ("", RESOURCE, scopes(), (), ("read", "write")),
        ("", ProtectedResource("https://r"), scopes("x"), (), ()),
        ("", None, scopes("x"), (), ()),
        ("b", RESOURCE, scopes("offline_access"), (), ("b", "offline_access")),
        ("b offline_access", RESOURCE, scopes(), (), ("b",)),
        ("b", RESOURCE, scopes(), ("a", "b"), ("a", "b")),
    ],
)
def test_which_scopes_are_asked_for(
    challenged: str,
    resource: ProtectedResource | None,
    server: AuthorizationServer,
    before: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    challenge = Challenge("bearer", {"scope": challenged})
    assert select_scopes(challenge, resource, server, before=before) == expected
    online = select_scopes(challenge, resource, server, before=before, offline=False)
    assert "offline_access" not in online


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (None, None),
        (Challenge("bearer"), None),
        (Challenge("bearer", {"error": "invalid_token", "scope": "b"}), None),
        (Challenge("bearer", {"error": "insufficient_scope", "scope": "a b"}), ("b",)),
        (Challenge("bearer", {"error": "insufficient_scope", "scope": "a"}), ()),
    ],
)
def test_what_a_step_up_needs(
    challenge: Challenge | None, expected: tuple[str, ...] | None
) -> None:
    assert missing_scopes(challenge, ["a"]) == expected


def test_an_old_server_is_its_own_authorization_server() -> None:
    async def find(metadata: bool) -> AuthorizationServer:
        def answer(heard: Heard) -> bytes:
            if metadata and heard.path == "/.well-known/oauth-authorization-server":
                said = {"issuer": site.url, "token_endpoint": f"{site.url}/t"}
                return json("200 OK", said)
            return http("404 Not Found")

        async with serving(answer) as site:
            found = await legacy_authorization_server(f"{site.url}/deep/mcp", NEAR)
            assert found.issuer == site.url
            return found

    described, silent = asyncio.run(find(True)), asyncio.run(find(False))
    assert str(described.token_endpoint).endswith("/t")
    assert str(silent.token_endpoint).endswith("/token")
    assert str(silent.registration_endpoint).endswith("/register")
