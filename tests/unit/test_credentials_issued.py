"""Tokens without a user at hand: asked for once, replaced in time, dropped when told."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest
from joserfc import jwt

from bascule.clock import UnixTime, system_entropy
from bascule.credentials import issued as module
from bascule.credentials.asking import Actors, Asking, Source
from bascule.credentials.issued import IssuedTokens
from bascule.identity import access_token
from bascule.identity.access_token import InvalidTokenError
from bascule.identity.keys import KeySet, new_key
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.errors import ServerUnavailableError
from bascule.oauthclient.tokens import Tokens
from canned import Heard, http, json, serving

NOW = UnixTime(1_800_000_000)


@dataclass
class Scene:
    """A server that gives tokens, and the time."""

    monkeypatch: pytest.MonkeyPatch
    lifetime: int | None = 600
    seconds: float = 0.0
    generation: int = 1
    asked: list[Hashable] = field(default_factory=list)
    down: bool = False

    def tokens(self) -> IssuedTokens:
        self.monkeypatch.setattr(module, "monotonic", lambda: self.seconds)
        return IssuedTokens(self.ask, self.now, lambda: self.generation)

    def now(self) -> UnixTime:
        return UnixTime(NOW + int(self.seconds))

    async def ask(self, whom: Hashable) -> Tokens:
        self.asked.append(whom)
        await asyncio.sleep(0)
        if self.down:
            raise ServerUnavailableError("down")
        ends = None if self.lifetime is None else UnixTime(self.now() + self.lifetime)
        return Tokens(f"t{len(self.asked)}", "Bearer", ends, ())


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_a_thousand_calls_ask_once_and_each_user_for_themselves(scene: Scene) -> None:
    async def run() -> None:
        tokens = scene.tokens()
        found = await asyncio.gather(*(tokens.get("alice") for _ in range(1000)))
        assert {it.authorization for it in found} == {"Bearer t1"}
        assert (await tokens.get("bob")).authorization == "Bearer t2"
        assert scene.asked == ["alice", "bob"]
        assert tokens.cached("alice") is found[0]
        assert tokens.cached("eve") is None
        assert "t1" not in repr(found[0])

    asyncio.run(run())


@pytest.mark.parametrize("lifetime", [600, None, 100_000])
def test_it_is_replaced_ahead_of_its_end_while_calls_go_on(
    scene: Scene, lifetime: int | None
) -> None:
    async def run() -> None:
        scene.lifetime, tokens = lifetime, scene.tokens()
        await tokens.get("a")
        scene.seconds = 539.0
        assert tokens.cached("a") is not None
        scene.seconds = 541.0
        assert tokens.cached("a") is None
        assert (await tokens.get("a")).authorization == "Bearer t1"
        await asyncio.sleep(0.01)
        assert (await tokens.get("a")).authorization == "Bearer t2"

    asyncio.run(run())


def test_a_server_that_is_down_costs_nothing_until_the_end(scene: Scene) -> None:
    async def run() -> None:
        tokens = scene.tokens()
        await tokens.get("a")
        scene.down, scene.seconds = True, 541.0
        for _ in range(3):
            assert (await tokens.get("a")).authorization == "Bearer t1"
            await asyncio.sleep(0.01)
        assert len(scene.asked) == 2
        scene.seconds = 547.0
        await tokens.get("a")
        await asyncio.sleep(0.01)
        assert len(scene.asked) == 3
        scene.seconds = 596.0
        with pytest.raises(ServerUnavailableError):
            await tokens.get("a")

    asyncio.run(run())


def test_a_revocation_drops_what_was_asked_for_before_it(scene: Scene) -> None:
    async def run() -> None:
        tokens = scene.tokens()
        await tokens.get("a")
        scene.generation = 2
        assert tokens.cached("a") is None
        assert (await tokens.get("a")).authorization == "Bearer t2"
        late = asyncio.create_task(tokens.get("b"))
        await asyncio.sleep(0)
        scene.generation = 3
        await late
        assert tokens.cached("b") is None

    asyncio.run(run())


def test_a_refused_token_is_replaced_once_unless_it_is_new(scene: Scene) -> None:
    async def run() -> None:
        tokens = scene.tokens()
        first = await tokens.get("a")
        assert await tokens.refused("a", first.version) is None
        scene.seconds = 31.0
        again = await asyncio.gather(*(tokens.refused("a", first.version) for _ in "abc"))
        again.append(await tokens.refused("a", first.version))
        assert {it and it.authorization for it in again} == {"Bearer t2"}

    asyncio.run(run())


def test_only_so_many_are_kept(scene: Scene) -> None:
    scene.monkeypatch.setattr(module, "MAX_KEPT", 2)

    async def run() -> None:
        tokens = scene.tokens()
        for whom in "abc":
            await tokens.get(whom)
        assert [tokens.cached(it) is None for it in "abc"] == [True, False, False]

    asyncio.run(run())


KEY = new_key(NOW)


def test_an_exchange_states_who_acts_and_holds_no_token_of_the_client() -> None:
    async def run() -> list[Heard]:
        def answer(heard: Heard) -> bytes:
            if heard.path == "/.well-known/oauth-authorization-server":
                said = {"issuer": site.url, "token_endpoint": f"{site.url}/token"}
                return json("200 OK", said)
            if heard.path == "/token":
                kind = "urn:ietf:params:oauth:token-type:access_token"
                tokens = {"access_token": "a", "token_type": "Bearer"}
                return json("200 OK", {**tokens, "issued_token_type": kind})
            return http("404 Not Found")

        async with serving(answer) as site:
            asking = Asking(source(site.url), lambda: NOW, system_entropy)
            alice = Actors("alice", "claude")
            for _ in range(2):
                await asking.for_user(alice, public_url="https://gw", key=lambda: KEY)
            await asking.for_itself()
            return site.heard

    metadata, first, second, itself = asyncio.run(run())
    assert metadata.path.startswith("/.well-known/")
    sent = dict(parse_qsl(first.body.decode()))
    statement = jwt.decode(sent["subject_token"], KEY.key, algorithms=["Ed25519"])
    assert statement.header["typ"] == "JWT"
    issuer = f"http://{first.headers['host']}"
    claims = dict(statement.claims)
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": "https://gw",
        "sub": "alice",
        "aud": issuer,
        "act": {"sub": "claude"},
        "iat": NOW,
        "exp": NOW + 60,
    }
    assert sent["resource"] == "https://rs.example/mcp"
    assert sent["subject_token"] not in second.body.decode()
    assert dict(parse_qsl(itself.body.decode()))["grant_type"] == "client_credentials"


def test_a_statement_is_no_token_here() -> None:
    asking = Asking(source("https://as.example"), lambda: NOW, system_entropy)
    statement = asking.statement(
        Actors("a", "b"), public_url="https://gw", key=KEY, now=NOW
    )
    for resource in ("https://gw/c/x/mcp", "https://as.example"):
        with pytest.raises(InvalidTokenError):
            access_token.verify(
                statement.encode(), keys=KeySet([KEY]), issuer="https://gw",
                resource=resource, now=NOW, leeway=30,
            )  # fmt: skip


def source(issuer: str) -> Source:
    return Source(
        issuer=issuer,
        client=Client(client_id="us", issuer=issuer, secret="s3cret"),
        resource="https://rs.example/mcp",
        scopes=("a",),
        audience=None,
        policy=FetchPolicy(loopback=True, seconds=2),
    )
