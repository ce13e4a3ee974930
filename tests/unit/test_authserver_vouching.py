"""A provider vouches for its own users alone, by what their login left behind.

The provider and the upstream's authorization server are canned here, so that they can be
wrong; a real pair is in `system/test_vouched_tokens.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from bascule.authserver.kept_logins import keep, kept_of
from bascule.authserver.provider_exchange import Kept, ProviderExchange, SignedIn
from bascule.authserver.vouching import Audience, Vouching
from bascule.clock import system_entropy
from bascule.config.model import Config
from bascule.credentials.asking import Asking, Source
from bascule.credentials.vault import Vault
from bascule.credentials.wrapping import LocalKey, NamedKeys
from bascule.errors import BasculeError
from bascule.identity.provider_claims import Person
from bascule.identity.revocation import Kind
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.errors import (
    GrantRefusedError,
    NotVouchedError,
    OAuthClientError,
    ServerUnavailableError,
    SignInAgainError,
    UnusableServerError,
)
from bascule.oauthclient.openid import OpenIdProviders
from bascule.storage import ended_logins, federated_users, revocations
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Store
from canned import Heard, http, json, serving
from oauth_state import NOW, new_store

RESOURCE = "https://rs.example/mcp"
SECRET = OctKey.generate_key(256)
KEYS = NamedKeys(LocalKey(bytes(32), system_entropy), [])
VAULT = Vault(KEYS, lambda: NOW, system_entropy)
ENDED = Kept(refresh_token="refresh-1")
"""A login whose ID token is no more."""


def id_token(lifetime: int = 300) -> str:
    claims = {"iss": "https://idp", "sub": "s1", "exp": NOW + lifetime}
    return jwt.encode({"alg": "HS256", "kid": "k"}, claims, SECRET)


@dataclass
class Scene:
    """One server that is provider, under `/idp`, and authorization server, under `/as`."""

    store: Store
    url: str = ""
    issuer: str = ""
    """Of the user; empty: the provider."""
    kind: str = "oidc"
    down: bool = False
    unreadable: bool = False
    refuses: bool = False
    """Whether the upstream's authorization server does."""
    said: dict[str, Any] = field(default_factory=dict)
    """Instead of what the provider would say of an assertion."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    meanwhile: Callable[[], object] | None = None
    """Done when the provider is asked."""
    forms: list[dict[str, str]] = field(default_factory=list)
    """Sent to token endpoints."""

    @property
    def who(self) -> FederatedUser:
        return FederatedUser(self.issuer or f"{self.url}/idp", "s1", "corp")

    def signs_in(self, kept: Kept | None) -> None:
        self.store.run(partial(federated_users.vouch, who=self.who, groups=(), now=NOW))
        if kept is not None:
            self.keep(kept)

    def keep(self, kept: Kept) -> None:
        found = SignedIn(self.who, Person(frozenset()), "", kept)
        self.store.run(partial(keep, VAULT, found=found))

    def forget(self) -> None:
        self.store.run(partial(VAULT.shred, owner=f"user:{self.who.name}"))

    def kept(self) -> Kept | None:
        find = partial(kept_of, VAULT, user=self.who.name, provider="corp")
        return self.store.read(find)

    def takes_turn(self) -> bool:
        take = partial(federated_users.take_turn, name=self.who.name, now=NOW, seconds=30)
        return self.store.run(take)

    def ends_turn(self) -> None:
        self.store.run(partial(federated_users.end_turn, name=self.who.name))

    def revoke(self, kind: Kind) -> None:
        key = f"user:{self.who.name}" if kind == "user" else ""
        self.store.run(partial(revocations.revoke, kind=kind, key=key, reason="", now=NOW))

    def answer(self, heard: Heard) -> bytes:
        if self.down:
            return http("503 Service Unavailable")
        if "/.well-known/" in heard.path:
            base = f"{self.url}/{'idp' if 'idp' in heard.path else 'as'}"
            ends = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            where = {name: f"{base}/{name.split('_')[0]}" for name in ends}
            return json("200 OK", {"issuer": base, **where})
        self.forms.append(dict(parse_qsl(heard.body.decode())))
        if heard.path == "/as/token" and self.refuses:
            return json("400 Bad Request", {"error": "invalid_grant"})
        if heard.path == "/as/token":
            return json("200 OK", {"access_token": "upstream", "token_type": "Bearer"})
        if self.meanwhile is not None:
            self.meanwhile()
        said = {
            "access_token": "the-assertion",
            "token_type": "N_A",
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            **self.said,
        }
        return json("400 Bad Request" if "error" in said else "200 OK", said)

    def vouching(self) -> Vouching:
        table = {"kind": self.kind, "issuer": f"{self.url}/idp", "client_id": "at-idp"}
        providers = {"corp": {**table, "client_secret": "env:X"}}
        config = msgspec.convert({"providers": providers}, Config)
        documents = OpenIdProviders(lambda: config)
        exchange = ProviderExchange(
            documents, self.secret, clock=lambda: NOW, entropy=system_entropy
        )
        return Vouching(
            self.store, VAULT, exchange, lambda: NOW, system_entropy, self.pause
        )

    def secret(self, _: str) -> str:
        if self.unreadable:
            raise BasculeError("secret `env:X` is not set")
        return "secret-at-idp"

    async def asks(self, user: str | None = None) -> str:
        """Get the upstream's token for a user."""
        issuer = f"{self.url}/as"
        audience = Audience(issuer, RESOURCE, ("a", "b"))
        assertion = await self.vouching().assertion(user or self.who.name, audience)
        assert not any(it in repr(assertion) for it in ("the-assertion", "refresh-"))
        source = Source(
            issuer=issuer,
            client=Client(client_id="at-as", issuer=issuer, secret="secret-at-as"),
            resource=RESOURCE,
            scopes=audience.scopes,
            audience=None,
            policy=FetchPolicy(loopback=True),
        )
        asking = Asking(source, lambda: NOW, system_entropy)
        return (await asking.with_assertion(assertion)).access_token


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with contextlib.closing(new_store(tmp_path)) as opened:
        yield Scene(opened)


def play(scene: Scene, do: Callable[[], Awaitable[object]]) -> None:
    """Do something while the server of a scene runs."""

    async def go() -> None:
        async with serving(scene.answer) as site:
            scene.url = site.url
            await do()

    asyncio.run(go())


def plays(scene: Scene, kept: Kept | None, user: str | None = None) -> None:
    """Sign in, and make one call."""

    async def do() -> None:
        scene.signs_in(kept)
        await scene.asks(user)

    play(scene, do)


def test_the_id_token_goes_to_the_provider_and_its_word_to_the_server(scene: Scene) -> None:
    kept = Kept(id_token=id_token(), refresh_token="refresh-1")
    scene.said = {"scope": "a admin"}
    plays(scene, kept)
    first, second = scene.forms
    assert first["subject_token"] == kept.id_token
    assert first["subject_token_type"].endswith(":id_token")
    assert (first["audience"], first["resource"]) == (f"{scene.url}/as", RESOURCE)
    assert first["scope"] == "a b"
    assert second["assertion"] == "the-assertion"
    assert second["scope"] == "a", "a provider widens nothing"
    assert not any(it in str(second) for it in (kept.id_token or "", "secret-at-idp"))


@pytest.mark.parametrize("ended", [None, id_token(5), "unreadable"])
def test_after_the_id_token_the_refresh_token_stands_for_the_user(
    scene: Scene, ended: str | None
) -> None:
    plays(scene, msgspec.structs.replace(ENDED, id_token=ended))
    assert scene.forms[0]["subject_token"] == "refresh-1"
    assert scene.forms[0]["subject_token_type"].endswith(":refresh_token")
    assert scene.takes_turn(), "the turn was given back"


@pytest.mark.parametrize(
    "kept", [None, Kept(), Kept(id_token=id_token(-1)), Kept(access_token="a")]
)
def test_without_a_login_that_lasts_they_sign_in_again(
    scene: Scene, kept: Kept | None
) -> None:
    with pytest.raises(SignInAgainError):
        plays(scene, kept)
    assert scene.forms == []


@pytest.mark.parametrize("user", ["alice", "https://other|s1", "https://idp|s2"])
def test_nobody_gets_the_login_of_another(scene: Scene, user: str) -> None:
    with pytest.raises(SignInAgainError):
        plays(scene, Kept(id_token=id_token()), user)
    assert scene.forms == []


def test_another_provider_of_that_name_does_not_see_the_login(scene: Scene) -> None:
    scene.issuer = "https://before"
    with pytest.raises(SignInAgainError, match="none any more"):
        plays(scene, ENDED)
    assert scene.forms == []
    assert scene.takes_turn()


@pytest.mark.parametrize("kind", ["user", "all"])
def test_a_login_from_before_a_revocation_is_over(scene: Scene, kind: Kind) -> None:
    async def do() -> None:
        scene.signs_in(Kept(id_token=id_token()))
        await scene.asks()
        scene.revoke(kind)
        with pytest.raises(SignInAgainError):
            await scene.asks()
        scene.signs_in(Kept(id_token=id_token()))
        await scene.asks()

    play(scene, do)


def test_what_takes_the_place_of_the_refresh_token_is_kept(scene: Scene) -> None:
    scene.said = {"refresh_token": "refresh-2"}

    async def do() -> None:
        scene.signs_in(ENDED)
        await scene.asks()
        before = scene.kept()
        scene.revoke("user")
        assert before is not None
        assert before.refresh_token == "refresh-2"
        with pytest.raises(SignInAgainError):  # it is the same login still
            await scene.asks()

    play(scene, do)
    assert scene.takes_turn()


def test_it_takes_the_place_of_nothing_else(scene: Scene) -> None:
    """Who signed in anew meanwhile, or was forgotten, has another login, or none."""
    scene.said = {"refresh_token": "refresh-2"}
    scene.meanwhile = lambda: scene.keep(Kept(refresh_token="of-a-new-login"))
    plays(scene, ENDED)
    kept = scene.kept()
    assert kept is not None
    assert kept.refresh_token == "of-a-new-login"
    scene.meanwhile = scene.forget
    plays(scene, ENDED)
    assert scene.kept() is None


def test_what_comes_after_a_revocation_is_kept_to_be_revoked_alone(scene: Scene) -> None:
    scene.said = {"refresh_token": "refresh-2"}
    scene.meanwhile = lambda: scene.revoke("user")
    plays(scene, ENDED)
    assert scene.kept() is None
    (login,) = scene.store.run(partial(ended_logins.to_revoke, now=NOW))
    get = partial(VAULT.get, owner=login.user, name="provider/corp")
    assert b"refresh-2" in (scene.store.read(get) or b"")


def test_it_is_kept_whatever_the_server_then_says(scene: Scene) -> None:
    scene.said = {"refresh_token": "refresh-2"}
    scene.refuses = True
    with pytest.raises(GrantRefusedError):
        plays(scene, ENDED)
    kept = scene.kept()
    assert kept is not None
    assert kept.refresh_token == "refresh-2"


def test_one_at_a_time_uses_the_refresh_token(scene: Scene) -> None:
    """Who waits for another's turn shows what that one has kept."""
    looks = 0

    async def other(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            scene.keep(Kept(refresh_token="refresh-2"))
            scene.ends_turn()

    async def do() -> None:
        scene.signs_in(ENDED)
        assert scene.takes_turn()
        await scene.asks()

    scene.pause = other
    scene.meanwhile = lambda: pytest.fail("two at once") if scene.takes_turn() else None
    play(scene, do)
    assert looks == 3
    assert scene.forms[0]["subject_token"] == "refresh-2"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"said": {"error": "invalid_grant"}}, SignInAgainError),
        ({"said": {"error": "insufficient_user_authentication"}}, SignInAgainError),
        ({"said": {"error": "access_denied"}}, NotVouchedError),
        ({"said": {"error": "unauthorized_client"}}, UnusableServerError),
        ({"said": {"error": "invalid_target"}}, NotVouchedError),
        ({"said": {"token_type": "Bearer"}}, ServerUnavailableError),
        ({"said": {"issued_token_type": "access_token"}}, ServerUnavailableError),
        ({"down": True}, ServerUnavailableError),
        ({"unreadable": True}, ServerUnavailableError),
        ({"kind": "github"}, UnusableServerError),
    ],
    ids=str,
)
def test_what_goes_wrong_at_the_provider(
    scene: Scene, changes: dict[str, Any], error: type[OAuthClientError]
) -> None:
    for name, value in changes.items():
        setattr(scene, name, value)
    with pytest.raises(error):
        plays(scene, ENDED)
    assert not any("assertion" in it for it in scene.forms)
    assert scene.takes_turn()
