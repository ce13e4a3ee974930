"""The pages on which a user connects an account: who may, once, and in one browser."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from msgspec import structs
from starlette.applications import Starlette

from bascule.authserver import connections
from bascule.authserver.link_return import LinkReturn
from bascule.authserver.links import Links
from bascule.clock import UnixTime, system_entropy
from bascule.credentials import link_clients, link_flow
from bascule.credentials.link_clients import LinkClients
from bascule.credentials.link_flow import LinkFlow
from bascule.credentials.link_target import callback_of
from bascule.credentials.linked_tokens import decode, name_of
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer, ProtectedResource
from bascule.oauthclient.errors import GrantRefusedError, OAuthClientError
from bascule.oauthclient.tokens import Tokens
from bascule.storage import (
    browser_sessions,
    link_requests,
    linked_accounts,
    revocations,
)
from bascule.storage.link_requests import LIFETIME_SECONDS, digest
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import Store
from bascule.web.headers import SecurityHeaders
from bascule.web.site import Site
from linked import TARGET, Shelf, tokens
from oauth_state import NOW, new_store

URL = "http://localhost:8420"
ISSUER = "https://as.example"
SERVER = AuthorizationServer(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/authorize",
    token_endpoint=f"{ISSUER}/token",
    code_challenge_methods_supported=("S256",),
    authorization_response_iss_parameter_supported=True,
    scopes_supported=("offline_access",),
)
HAND = Client(client_id="by hand", issuer=ISSUER, secret="secret-of-bascule")
TARGETS = {"desk": replace(TARGET, client=HAND)}
LINK = "f" * 64


@dataclass(slots=True)
class Log:
    """What pages record, in order."""

    events: list[tuple[str, str | None, dict[str, str]]] = field(default_factory=list)

    async def event(self, type: str, *, user: str | None = None, **more: Any) -> None:
        self.events.append((type, user, more["admin"]))

    def failed(self, *_: object, **__: object) -> bool:
        return False

    @property
    def types(self) -> list[str]:
        return [it[0] for it in self.events]


@dataclass
class Desk:
    """The pages in one process; who describes itself, and gives tokens, is a fake."""

    store: Store
    shelf: Shelf = field(default_factory=Shelf)
    log: Log = field(default_factory=Log)
    now: UnixTime = NOW
    targets: Mapping[str, Any] = field(default_factory=lambda: dict(TARGETS))
    redeemed: list[str] = field(default_factory=list)
    problem: OAuthClientError | None = None
    way: str = "/link/callback"

    def ask(
        self,
        *,
        user: str = "user:alice",
        scope: tuple[str, ...] = ("read",),
        link_id: str = LINK,
    ) -> None:
        ask = partial(link_requests.ask, link_id=link_id, user=user, agent="app")
        self.store.run(partial(ask, connector="desk", scope=scope, now=self.now))

    def sign_in(self, name: str = "alice") -> str:
        token = system_entropy(16).hex()
        begin = partial(
            browser_sessions.begin,
            token_hash=sha256(token.encode()).digest(),
            replaces=b"",
            name=name,
            audience="public",
            method="password",
            source="127.0.0.1",
            now=self.now,
            expires_at=UnixTime(self.now + 3600),
        )
        assert self.store.run(begin)
        return token

    def send(
        self, verb: str, path: str, token: str | None, data: dict[str, str] | None = None
    ) -> httpx2.Response:
        flow = LinkFlow(
            URL,
            LinkClients(URL, self.store, self.shelf),
            lambda: self.now,
            system_entropy,
        )
        clients = LinkClients(URL, self.store, self.shelf)
        links = Links(flow, clients, self.targets.get)
        back = LinkReturn(flow, self.shelf, self.targets.get)
        routes = [*back.routes, *links.routes, *connections.ROUTES]
        application = Starlette(routes=routes)
        application.state.site = Site(
            url=URL,
            audience="public",
            store=self.store,
            clock=lambda: self.now,
            entropy=system_entropy,
            records=self.log,
        )
        application.add_middleware(SecurityHeaders, url=URL)
        cookies = {} if token is None else {"bascule-session": token}

        async def exchange() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=application)
            async with httpx2.AsyncClient(
                transport=transport, base_url=URL, cookies=cookies
            ) as client:
                return await client.request(verb, path, data=data)

        return asyncio.run(exchange())

    def agree(self, token: str, link_id: str = LINK) -> httpx2.Response:
        """Look at the page, and go on from what it shows."""
        page = self.send("GET", f"/link/{link_id}", token)
        return self.send("POST", f"/link/{link_id}", token, {"shown": shown_on(page)})

    def go(self, token: str, link_id: str = LINK) -> str:
        """Follow the link and agree; gives the `state` that went to the other server."""
        answer = self.agree(token, link_id)
        assert answer.status_code == 200, answer.text
        where = answer.headers["Refresh"].partition("url=")[2]
        assert where.startswith(f"{ISSUER}/authorize?")
        query = httpx2.URL(where).params
        self.way = str(query["redirect_uri"]).removeprefix(URL)
        return str(query["state"])

    def back(self, token: str | None, **query: str | None) -> httpx2.Response:
        """Come back, by the way that was given; None leaves a parameter out."""
        named = {"code": "the-code", "iss": ISSUER, **query}
        given = {name: value for name, value in named.items() if value is not None}
        return self.send("GET", f"{self.way}?{urlencode(given)}", token)

    @property
    def account(self) -> LinkedAccount | None:
        live = partial(linked_accounts.live, user="user:alice", connector="desk")
        return self.store.read(live)

    @property
    def secrets(self) -> str:
        return str(self.shelf.secrets)


def shown_on(page: httpx2.Response) -> str:
    """Give what the page wants to hear again."""
    found = re.search(r'name="shown" value="([0-9a-f]{64})"', page.text)
    return "" if found is None else found[1]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    async def found(*_: object, **__: object) -> tuple[None, AuthorizationServer]:
        return None, SERVER

    async def challenge(_: object) -> None:
        return None

    with contextlib.closing(new_store(tmp_path)) as store:
        made = Desk(store)

        async def redeem(
            server: object, client: object, code: str, *_: object, **__: Any
        ) -> Tokens:
            made.redeemed.append(code)
            if made.problem is not None:
                raise made.problem
            return tokens(expires_at=NOW + 3600)

        monkeypatch.setattr(link_flow, "find_server", found)
        monkeypatch.setattr(link_flow, "_challenge", challenge)
        monkeypatch.setattr(link_flow, "redeem_code", redeem)
        yield made


def test_a_user_connects_an_account_and_ends_it(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    shown = desk.send("GET", f"/link/{LINK}", token)
    for it in ("desk.example", "as.example", "read", "offline_access", "alice"):
        assert it in shown.text
    state = desk.go(token)
    answer = desk.back(token, state=state)
    assert answer.status_code == 200
    assert "desk is connected" in answer.text
    account = desk.account
    assert account is not None
    assert account.scope == ("read", "offline_access")
    kept = decode(desk.shelf.secrets["user:alice", name_of(account.id)])
    assert kept.tokens.access_token == "access-1"
    listed = desk.send("GET", "/account/connections", token)
    assert "as.example" in listed.text
    ended = desk.send("POST", "/account/connections/end", token, {"connection": account.id})
    assert ended.status_code == 303
    assert desk.account is None
    assert desk.log.types == ["link.begin", "link", "unlink"]
    for secret in ("access-1", "refresh-1", "the-code", LINK, state):
        assert secret not in str(desk.log.events)


def test_without_a_login_there_is_the_login(desk: Desk) -> None:
    desk.ask()
    for verb in ("GET", "POST"):
        answer = desk.send(verb, f"/link/{LINK}", None)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/login?next=")


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_link_that_another_user_opens_is_refused_and_recorded(
    desk: Desk, verb: str
) -> None:
    desk.ask()
    answer = desk.send(verb, f"/link/{LINK}", desk.sign_in("bob"))
    assert answer.status_code == 403
    assert "as.example" not in answer.text
    assert desk.log.types == ["link.refuse"]
    assert desk.log.events[0][1:] == (
        "user:bob",
        {"for": "user:alice", "reason": "it was made for another user"},
    )
    desk.go(desk.sign_in())


def test_what_was_begun_by_one_is_not_ended_by_another(desk: Desk) -> None:
    desk.ask()
    alice = desk.sign_in()
    state = desk.go(alice)
    for other in (desk.sign_in("bob"), None):
        assert desk.back(other, state=state).status_code == 400
    assert desk.redeemed == []
    assert desk.back(alice, state=state).status_code == 200


def test_another_browser_of_the_same_user_ends_nothing(desk: Desk) -> None:
    desk.ask()
    state = desk.go(desk.sign_in())
    assert desk.back(desk.sign_in(), state=state).status_code == 400
    assert desk.redeemed == []
    assert desk.account is None


@pytest.mark.parametrize(
    "query",
    [
        {"state": "guessed"},
        {"iss": "https://evil.example"},
        {"iss": "https://evil.example", "error": "access_denied", "error_description": "x"},
        {"iss": f"{ISSUER}/"},
        {"iss": ""},
        {"iss": None},
        {"iss": ISSUER.upper()},
        {"iss": f"{ISSUER}:443"},
        {"code": None},
        {"code": ""},
    ],
)
def test_an_answer_that_is_not_the_servers_is_not_looked_at(
    desk: Desk, query: dict[str, str | None]
) -> None:
    desk.ask()
    token = desk.sign_in()
    named: dict[str, str | None] = {"state": desk.go(token), **query}
    answer = desk.back(token, **named)
    assert answer.status_code == 400
    assert "evil" not in answer.text
    assert "access_denied" not in answer.text
    assert desk.redeemed == []
    assert desk.account is None


def test_an_answer_counts_once(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    assert desk.back(token, state=state).status_code == 200
    assert desk.back(token, state=state).status_code == 400
    assert desk.redeemed == ["the-code"]
    assert desk.agree(token).status_code == 410


def test_what_is_late_is_over(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    desk.now = UnixTime(NOW + LIFETIME_SECONDS)
    assert desk.send("GET", f"/link/{LINK}", token).status_code == 410
    assert desk.back(token, state=state).status_code == 400
    assert desk.redeemed == []


def test_the_connector_must_be_the_one_that_the_user_saw(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    desk.targets = {"desk": replace(TARGETS["desk"], url="https://evil.example/mcp")}
    assert desk.back(token, state=state).status_code == 410
    assert desk.redeemed == []


@pytest.mark.parametrize(
    ("problem", "status"), [(None, 403), (GrantRefusedError("invalid_grant"), 502)]
)
def test_a_refusal_connects_nothing_and_is_recorded(
    desk: Desk, problem: OAuthClientError | None, status: int
) -> None:
    desk.ask()
    token = desk.sign_in()
    desk.problem = problem
    error = None if problem else "access_denied"
    assert desk.back(token, state=desk.go(token), error=error).status_code == status
    assert desk.account is None
    assert desk.log.types == ["link.begin", "link.fail"]


def test_a_step_up_says_what_is_new(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    first = desk.send("GET", f"/link/{LINK}", token).text
    assert "Connect desk as yourself?" in first
    assert "As before" not in first
    desk.back(token, state=desk.go(token))
    more = "e" * 64
    desk.ask(link_id=more, scope=("read", "write"))
    shown = desk.send("GET", f"/link/{more}", token).text
    assert "Give desk more rights?" in shown
    new, _, before = shown.partition("As before, it can")
    assert "<li>write</li>" in new
    assert "<li>read</li>" not in new
    assert "<li>read</li>" in before
    assert "<li>offline_access</li>" in before


def test_another_server_than_before_gets_nothing_that_was_for_the_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream that names another authorization server is connected from scratch."""
    desk.targets = {"desk": TARGET}
    monkeypatch.setattr(link_clients, "register", Registry().register)
    desk.ask()
    token = desk.sign_in()
    desk.back(token, state=desk.go(token))
    first = desk.account
    assert first is not None
    other = structs.replace(SERVER, issuer=f"{ISSUER}/other", scopes_supported=())

    async def found(*_: object, **__: object) -> tuple[None, AuthorizationServer]:
        return None, other

    monkeypatch.setattr(link_flow, "find_server", found)
    more = "e" * 64
    desk.ask(link_id=more, scope=("write",))
    page = desk.send("GET", f"/link/{more}", token).text
    assert "Connect desk as yourself?" in page
    assert "<li>read</li>" not in page
    state = desk.go(token, more)
    assert desk.back(token, state=state, iss=other.issuer).status_code == 200
    account = desk.account
    assert account is not None
    assert (account.issuer, account.scope) == (other.issuer, ("write", "read"))
    find = partial(linked_accounts.find, account_id=first.id)
    ended = desk.store.read(find)
    assert ended is not None
    assert ended.end_reason == "connected elsewhere"  # and so is revoked there
    assert ("user:alice", name_of(first.id)) in desk.shelf.secrets


@pytest.mark.parametrize("what", ["scope", "issuer", "resource", "nothing shown"])
def test_what_changed_since_the_user_looked_is_shown_before_anything_is_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    desk.ask(scope=())
    token = desk.sign_in()
    shown = shown_on(desk.send("GET", f"/link/{LINK}", token))
    server, resource = SERVER, None
    if what == "issuer":
        server = structs.replace(SERVER, issuer="https://other.example")
    elif what == "resource":
        resource = ProtectedResource("https://other.example/", (ISSUER,))
    elif what == "scope":
        resource = ProtectedResource(TARGET.url, (ISSUER,), ("read", "admin"))
    else:
        shown = ""

    async def found(*_: object, **__: object) -> tuple[object, AuthorizationServer]:
        return resource, server

    monkeypatch.setattr(link_flow, "find_server", found)
    answer = desk.send("POST", f"/link/{LINK}", token, {"shown": shown})
    assert answer.status_code == 409
    assert "Refresh" not in answer.headers
    assert "has changed since you looked" in answer.text
    assert ("admin" in answer.text) == (what == "scope")
    assert desk.log.types == []
    if what == "issuer":
        return  # where Bascule is no client
    again = {"shown": shown_on(answer)}
    assert desk.send("POST", f"/link/{LINK}", token, again).status_code == 200
    assert desk.log.types == ["link.begin"]


@pytest.mark.parametrize("how", ["revoked", "log", "store"])
def test_tokens_that_came_too_late_are_given_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Between redeeming and keeping anything may happen; no token stays good unkept."""
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    given: list[tuple[str, str]] = []

    async def give_back(
        _: object, server: AuthorizationServer, client: Client, late: Tokens, **__: object
    ) -> None:
        given.append((client.client_id, late.access_token))

    async def redeem(*_: object, **__: object) -> Tokens:
        if how == "revoked":
            revoke = partial(revocations.revoke, kind="user", key="user:alice")
            desk.store.run(partial(revoke, reason="lost laptop", now=desk.now))
        return tokens(expires_at=NOW + 3600)

    def unwritable(*_: object, **__: object) -> None:
        raise OSError("no disk")

    async def unrecorded(*_: object, **__: object) -> None:
        raise OSError("no log")

    monkeypatch.setattr(link_flow, "give_back", give_back)
    monkeypatch.setattr(link_flow, "redeem_code", redeem)
    if how == "store":
        monkeypatch.setattr(desk.shelf, "put", unwritable)
    if how == "log":
        monkeypatch.setattr(Log, "event", unrecorded)
    if how == "revoked":
        assert desk.back(token, state=state).status_code == 410
        assert desk.log.types == ["link.begin", "link", "link.fail"]
    else:
        with pytest.raises(OSError, match="no "):
            desk.back(token, state=state)
    assert given == [("by hand", "access-1")]
    assert desk.account is None
    assert "access-1" not in desk.secrets


@dataclass
class Registry:
    """An authorization server that registers clients, and may forget them."""

    made: int = 0
    forgets: bool = False
    tried: list[str] = field(default_factory=list)

    async def register(self, server: AuthorizationServer, *_: object) -> Client:
        self.made += 1
        name = f"client-{self.made}"
        return Client(client_id=name, issuer=server.issuer, secret="given")

    async def is_forgotten(self, url: str, _: object) -> bool:
        self.tried.append(str(httpx2.URL(url).params["state"]))
        return self.forgets


@pytest.fixture
def registry(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    desk.targets = {"desk": TARGET}
    monkeypatch.setattr(link_clients, "register", made.register)
    monkeypatch.setattr(link_flow, "is_forgotten", made.is_forgotten)
    return made


def test_a_client_that_sends_nobody_back_is_tried_and_registered_anew(
    desk: Desk, registry: Registry
) -> None:
    desk.ask()
    token = desk.sign_in()
    first = desk.go(token)
    assert registry.made == 1
    assert registry.tried == []  # nothing is amiss yet
    second = desk.go(token)
    assert registry.made == 1
    registry.forgets = True
    third = desk.go(token)
    assert registry.made == 2
    assert not {first, second, third} & set(registry.tried)  # good for nothing
    desk.go(token)
    assert registry.made == 3  # once for each time that its user has agreed
    desk.back(token, state=desk.go(token))
    assert desk.account is not None


@pytest.mark.parametrize("where", ["authorize", "token"])
@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_a_client_that_is_said_to_be_unknown_is_registered_anew_next_time(
    desk: Desk, registry: Registry, where: str, error: str
) -> None:
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    if where == "token":
        desk.problem = GrantRefusedError(error)
        assert desk.back(token, state=state).status_code == 502
    else:
        assert desk.back(token, state=state, error=error).status_code == 403
    assert registry.made == 1
    desk.problem = None
    desk.ask(link_id="e" * 64)
    desk.back(token, state=desk.go(token, "e" * 64))
    assert registry.made == 2
    assert desk.account is not None


@pytest.mark.parametrize("way", ["by hand", "of another issuer"])
def test_an_answer_of_another_server_is_none_where_servers_do_not_name_themselves(
    desk: Desk, registry: Registry, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A server that a user connects sends them on to another one, whose code it wants."""
    silent = {"authorization_response_iss_parameter_supported": False}
    server = structs.replace(SERVER, **silent)

    async def found(*_: object, **__: object) -> tuple[None, AuthorizationServer]:
        return None, server

    monkeypatch.setattr(link_flow, "find_server", found)
    desk.ask()
    token = desk.sign_in()
    state = desk.go(token)
    assert desk.way == callback_of(ISSUER)
    other = callback_of("https://honest.example")
    desk.way = "/link/callback" if way == "by hand" else other
    answer = desk.back(token, state=state, iss=None, code="of the honest server")
    assert answer.status_code == 400
    assert "not what you have begun" in answer.text
    assert desk.redeemed == []
    assert desk.log.types == ["link.begin", "link.fail"]
    desk.way = callback_of(ISSUER)
    assert desk.back(token, state=state, iss=None).status_code == 400  # it counts once


def test_each_issuer_has_a_way_back_of_its_own() -> None:
    ways = {callback_of(it) for it in (ISSUER, f"{ISSUER}/", "https://honest.example")}
    assert len(ways) == 3
    assert all(it.startswith("/link/callback/") for it in ways)


def test_a_forged_answer_makes_bascule_forget_nothing(
    desk: Desk, registry: Registry
) -> None:
    desk.ask()
    token = desk.sign_in()
    named = {"state": desk.go(token), "error": "invalid_client"}
    assert desk.back(token, iss="https://evil.example", **named).status_code == 400
    desk.ask(link_id="e" * 64)
    desk.go(token, "e" * 64)
    assert registry.made == 1


def test_a_client_that_was_registered_by_hand_is_never_replaced(
    desk: Desk, registry: Registry
) -> None:
    desk.targets = dict(TARGETS)
    registry.forgets = True
    desk.ask()
    token = desk.sign_in()
    desk.go(token)
    desk.go(token)
    assert registry.tried == []
    assert registry.made == 0


def test_somebody_elses_account_is_not_ended(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in()
    desk.back(token, state=desk.go(token))
    account = desk.account
    assert account is not None
    form = {"connection": account.id}
    bob = desk.sign_in("bob")
    assert desk.send("POST", "/account/connections/end", bob, form).status_code == 404
    assert account.id not in desk.send("GET", "/account/connections", bob).text
    assert desk.account is not None


def test_the_database_holds_nothing_that_a_thief_could_use(desk: Desk) -> None:
    desk.ask()
    state = desk.go(desk.sign_in())
    find = partial(link_requests.find, id_hash=digest(LINK), now=desk.now)
    found = desk.store.read(find)
    assert found is not None
    assert found.flow is not None
    for secret in (state, "secret-of-bascule", "verifier"):
        assert secret.encode() not in found.flow


def test_bascule_says_which_client_it_is(desk: Desk) -> None:
    answer = desk.send("GET", "/oauth/client-metadata.json", None)
    document = answer.json()
    assert document["client_id"] == f"{URL}/oauth/client-metadata.json"
    assert document["redirect_uris"] == [f"{URL}/link/callback"]
    assert document["token_endpoint_auth_method"] == "none"
    assert document["grant_types"] == ["authorization_code", "refresh_token"]
