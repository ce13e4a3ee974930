"""From a client that knows only a URL to a call: login, consent, token, refresh.

The client is the `mcp` SDK's own; the person has a browser without scripts, and a password.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from patience import PATIENCE
from system.recorder import Recorder
from system.server import Installation, body_of, headers_of, serving
from system.visitor import PASSWORD, Visitor, set_up

CALLBACK = "http://localhost:3030/cb"


@dataclass
class Kept:
    """What a client keeps between runs."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Somebody who opens the client's link, signs in and consents."""

    visitor: Visitor
    name: str
    seen: list[str] = field(default_factory=list)
    answer: str = ""

    async def open(self, link: str) -> None:
        """Do all that the browser is led to."""
        self.answer = await asyncio.to_thread(self._go, link)

    def _go(self, link: str) -> str:
        parts = urlsplit(link)
        page = self.visitor.get(f"{parts.path}?{parts.query}")
        if str(page.location).startswith("/login?"):
            self.seen.append("login")
            there = parse_qs(urlsplit(str(page.location)).query)["next"][0]
            page = self.visitor.sign_in(self.name, PASSWORD, next=there)
            assert page.location == there
            page = self.visitor.get(there)
        if str(page.location).startswith("/consent?"):
            self.seen.append("consent")
            page = self.visitor.get(str(page.location))
            assert "everything of desk" in page.text
            fields = {"request": page.fields["request"], "decision": "allow"}
            page = self.visitor.post("/consent", fields)
        return str(page.location)

    async def result(self) -> AuthorizationCodeResult:
        """Give what the client's own address was called with."""
        assert self.answer.startswith(CALLBACK)
        found = {k: v[0] for k, v in parse_qs(urlsplit(self.answer).query).items()}
        return AuthorizationCodeResult.model_validate(found)


def person(bascule: Installation, name: str) -> Person:
    visitor = set_up(bascule, name)
    visitor.post("/logout", {})
    return Person(visitor, name)


async def calls(bascule: Installation, auth: httpx2.Auth, count: int = 1) -> list[int]:
    """Call with a client's authentication; gives the statuses."""
    body = body_of("tools/list")
    address = f"{bascule.url}/c/desk/mcp"
    async with httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as client:
        answers = [
            await client.post(address, json=body, headers=headers_of(body, None))
            for _ in range(count)
        ]
    return [answer.status_code for answer in answers]


def provider(bascule: Installation, kept: Kept, who: Person) -> OAuthClientProvider:
    metadata = OAuthClientMetadata.model_validate(
        {"client_name": "A client", "redirect_uris": [CALLBACK]}
    )
    address = f"{bascule.url}/c/desk/mcp"
    return OAuthClientProvider(address, metadata, kept, who.open, who.result)


def registered(bascule: Installation, client_id: str) -> Kept:
    """Give what is kept by a client that the operator registered."""
    bascule.ask("agent", "add", client_id, "--redirect-uri", "http://localhost/cb")
    document = {
        "client_id": client_id,
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "issuer": bascule.url,
    }
    return Kept(client=OAuthClientInformationFull.model_validate(document))


def test_a_client_gets_from_the_url_of_a_connector_to_a_call(
    bascule: Installation,
) -> None:
    who = person(bascule, "dora")
    kept = registered(bascule, "known-client")
    assert asyncio.run(calls(bascule, provider(bascule, kept, who))) == [200]
    assert who.seen == ["login", "consent"]
    assert kept.tokens is not None
    assert kept.tokens.scope == "mcp:desk"
    first = kept.tokens.refresh_token
    who.seen.clear()
    kept.tokens.access_token += "x"  # as if it had expired
    auth = provider(bascule, kept, who)

    async def expired() -> list[int]:
        await auth._initialize()
        auth.context.token_expiry_time = 1.0
        return await calls(bascule, auth, 2)

    assert asyncio.run(expired()) == [200, 200]
    assert who.seen == []
    assert kept.tokens.refresh_token != first


def test_a_client_registers_itself_where_it_may(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> None:
    more = "[clients]\ndynamic_registration = true\n"
    with serving(tmp_path_factory.mktemp("dcr"), recorder, more=more) as bascule:
        who, kept = person(bascule, "dora"), Kept()
        assert asyncio.run(calls(bascule, provider(bascule, kept, who))) == [200]
        assert who.seen == ["login", "consent"]
        assert kept.client is not None
        assert str(kept.client.client_id).startswith("dcr-")


def test_programs_without_a_user_get_to_a_call(bascule: Installation) -> None:
    address = f"{bascule.url}/c/desk/mcp"
    secret = bascule.ask("agent", "add", "sdk-secret", "--secret")["client_secret"]
    auth: Any = ClientCredentialsOAuthProvider(
        address, Kept(), "sdk-secret", secret, issuer=bascule.url
    )
    assert asyncio.run(calls(bascule, auth)) == [200]
    key = ECKey.generate_key("P-256")
    path = bascule.folder / "sdk.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    bascule.ask("agent", "add", "sdk-key", "--jwks", str(path))
    signing = SignedJWTParameters(
        issuer="sdk-key",
        subject="sdk-key",
        signing_algorithm="ES256",
        signing_key=key.as_pem(private=True).decode(),
    )
    auth = PrivateKeyJWTOAuthProvider(
        address,
        Kept(),
        "sdk-key",
        assertion_provider=signing.create_assertion_provider(),
        issuer=bascule.url,
    )
    assert asyncio.run(calls(bascule, auth)) == [200]
