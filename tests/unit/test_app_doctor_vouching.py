"""What the refusal of a made-up token tells of a provider that is to vouch for users."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from bascule.app.doctor import Finding
from bascule.app.doctor_vouching import MADE_UP, examine_vouching
from bascule.authserver.provider_exchange import ProviderExchange
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.oauthclient.openid import OpenIdProviders
from canned import Heard, http, json, serving

CREDENTIAL = {
    "kind": "id_jag",
    "issuer": "https://as.example",
    "client_id": "x",
    "client_secret": "env:X",
}


def examined(said: dict[str, Any] | None, kind: str = "oidc") -> list[Finding]:
    """Examine a provider that says that to a made-up token; None: it is away."""

    async def go() -> list[Finding]:
        def answer(heard: Heard) -> bytes:
            if "/.well-known/" in heard.path:
                ends = ("authorization_endpoint", "token_endpoint", "jwks_uri")
                where = {name: f"{site.url}/{name}" for name in ends}
                return json("200 OK", {"issuer": site.url, **where})
            assert MADE_UP.encode() in heard.body
            if said is None:
                return http("503 Service Unavailable")
            return json("400 Bad Request" if "error" in said else "200 OK", said)

        async with serving(answer) as site:
            provider = {"kind": kind, "issuer": site.url, "client_id": "b"}
            wiki = {"url": "https://wiki.example/mcp", "credential": CREDENTIAL}
            tables = {
                "providers": {"corp": {**provider, "client_secret": "env:X"}},
                "connectors": {"wiki": wiki, "other": {"url": "https://o.example"}},
            }
            config = msgspec.convert(tables, Config)
            exchange = ProviderExchange(
                OpenIdProviders(lambda: config),
                lambda _: "secret",
                clock=system_clock,
                entropy=system_entropy,
            )
            return [it async for it in examine_vouching(exchange, config, "corp")]

    return asyncio.run(go())


GIVEN = {
    "access_token": "jag",
    "token_type": "N_A",
    "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
}


@pytest.mark.parametrize(
    ("said", "good", "words"),
    [
        ({"error": "invalid_grant"}, True, "made up"),
        ({"error": "invalid_request"}, True, "made up"),
        ({"error": "unsupported_grant_type"}, False, "use token exchange"),
        ({"error": "unauthorized_client"}, False, "use token exchange"),
        ({"error": "invalid_target"}, False, "let it vouch"),
        ({"error": "access_denied"}, False, "let it vouch"),
        (None, False, "provider's own log"),
        (GIVEN, False, "do not use"),
    ],
    ids=str,
)
def test_each_refusal_says_what_is_to_be_done(
    said: dict[str, Any] | None, good: bool, words: str
) -> None:
    (found,) = examined(said)
    assert (found.connector, found.ok) == ("wiki", good)
    assert words in (found.found if good else found.fix)


def test_providers_without_id_tokens_vouch_for_nobody() -> None:
    (found,) = examined({"error": "invalid_grant"}, kind="github")
    assert not found.ok
