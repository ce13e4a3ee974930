"""When documents of identity providers are read, kept and dropped; time is a number."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

import canned
from bascule.config.model import Config
from bascule.config.providers import Provider
from bascule.identity.issuer_documents import BadDocumentError
from bascule.identity.provider_metadata import own_metadata, read_provider_metadata
from bascule.oauthclient.openid import (
    FAILED_SECONDS,
    KEEP_SECONDS,
    UNKNOWN_KEY_SECONDS,
    NoSuchProviderError,
    OpenIdProviders,
    ProviderUnavailableError,
)
from foreign import jwks, signer

ISSUER = "https://login.example"
FIRST, SECOND = signer("first", "ES256"), signer("second", "ES256")


def metadata(issuer: str, **more: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        **more,
    }


class Place:
    """A provider on loopback, and what reads it at a time that is set."""

    def __init__(self, server: canned.Canned) -> None:
        self.server = server
        self.now = 1000.0
        self.signers = [FIRST]
        self.status = "200 OK"
        provider = Provider(client_id="b", issuer=server.url)
        self.config = Config(providers={"corp": provider})
        self.reader = OpenIdProviders(lambda: self.config, now=lambda: self.now)

    def answer(self, heard: canned.Heard) -> bytes:
        if heard.path.endswith("openid-configuration"):
            return canned.json(self.status, metadata(self.server.url))
        return canned.http(
            self.status, jwks(*self.signers), "Content-Type: application/json"
        )

    @property
    def asked(self) -> list[str]:
        return [it.path.rpartition("/")[2] for it in self.server.heard]

    async def has(self, kid: str) -> bool:
        return await self.reader.key("corp", kid, "ES256") is not None


@contextlib.asynccontextmanager
async def place() -> AsyncGenerator[Place, None]:
    holder: list[Place] = []
    async with canned.serving(lambda heard: holder[0].answer(heard)) as server:
        holder.append(Place(server))
        yield holder[0]


def run(body: Callable[[Place], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with place() as it:
            await body(it)

    asyncio.run(inside())


def test_documents_are_read_once_for_all_who_want_them() -> None:
    async def body(it: Place) -> None:
        await asyncio.gather(*(it.has("first") for _ in range(20)))
        assert (await it.reader.metadata("corp")).issuer == it.server.url
        assert it.asked == ["openid-configuration", "keys"]
        it.now += KEEP_SECONDS + 1
        assert await it.has("first")
        assert it.asked == ["openid-configuration", "keys"] * 2

    run(body)


def test_a_key_that_is_taken_back_is_believed_no_longer() -> None:
    async def body(it: Place) -> None:
        assert await it.has("first")
        it.signers = [SECOND]
        it.now += KEEP_SECONDS + 1
        assert not await it.has("first")

    run(body)


def test_an_unknown_key_is_looked_for_but_not_for_each_token() -> None:
    async def body(it: Place) -> None:
        assert await it.has("first")
        it.signers = [FIRST, SECOND]
        assert not await it.has("second")
        it.now += UNKNOWN_KEY_SECONDS + 1
        assert await it.has("second")
        for _ in range(5):
            assert not await it.has("made up")
        assert it.asked.count("keys") == 2

    run(body)


def test_a_provider_that_fails_is_left_alone_for_a_moment() -> None:
    async def body(it: Place) -> None:
        it.status = "500 Internal Server Error"
        for _ in range(5):
            with pytest.raises(ProviderUnavailableError):
                await it.has("first")
        assert len(it.asked) == 1
        it.status = "200 OK"
        it.now += FAILED_SECONDS + 1
        assert await it.has("first")

    run(body)


def test_keys_are_not_kept_beyond_their_time_when_the_provider_is_gone() -> None:
    async def body(it: Place) -> None:
        assert await it.has("first")
        it.status = "503 Service Unavailable"
        it.now += KEEP_SECONDS + 1
        with pytest.raises(ProviderUnavailableError):
            await it.has("first")

    run(body)


def test_made_up_keys_cost_nobody_the_real_ones() -> None:
    async def body(it: Place) -> None:
        assert await it.has("first")
        it.status = "503 Service Unavailable"
        it.now += UNKNOWN_KEY_SECONDS + 1
        with pytest.raises(ProviderUnavailableError):
            await it.has("made up")
        assert await it.has("first")

    run(body)


def test_a_provider_that_is_not_configured_is_none() -> None:
    async def body(it: Place) -> None:
        assert await it.has("first")
        it.config = Config()
        with pytest.raises(NoSuchProviderError):
            await it.has("first")

    run(body)


CORP = Provider(client_id="b", issuer=ISSUER)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps(metadata("https://login.example/")).encode(),
        json.dumps(metadata("https://evil.example")).encode(),
        *(
            json.dumps(metadata(ISSUER, **{key: value})).encode()
            for key in ("authorization_endpoint", "token_endpoint", "jwks_uri")
            for value in ("http://login.example/x", "javascript:alert(1)", "")
        ),
        json.dumps(metadata(ISSUER, end_session_endpoint="data:,")).encode(),
    ],
)
def test_metadata_of_another_or_with_odd_addresses_is_refused(document: bytes) -> None:
    with pytest.raises(BadDocumentError):
        read_provider_metadata(document, CORP)


def test_metadata_for_many_tenants_has_a_place_for_them() -> None:
    issuer = "https://login.microsoftonline.com/organizations/v2.0"
    many = Provider(kind="entra", client_id="b", issuer=issuer)
    template = "https://login.microsoftonline.com/{tenantid}/v2.0"
    document = json.dumps(metadata(issuer) | {"issuer": template}).encode()
    assert read_provider_metadata(document, many).issuer == template
    with pytest.raises(BadDocumentError):
        read_provider_metadata(json.dumps(metadata(issuer)).encode(), many)


def test_github_publishes_nothing_and_needs_nothing() -> None:
    found = own_metadata(Provider(kind="github", client_id="b"))
    assert found is not None
    assert found.token_endpoint == "https://github.com/login/oauth/access_token"
    assert own_metadata(CORP) is None
