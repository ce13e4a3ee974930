"""Sessions of browsers on https and on loopback, and where requests come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from bascule.clock import UnixTime
from bascule.storage import users
from bascule.storage.browser_sessions import Audience
from bascule.storage.migrate import migrate
from bascule.storage.store import Store, open_store
from bascule.web.page import page
from bascule.web.sessions import (
    SESSION_SECONDS,
    begin_session,
    end_session,
    signed_in_user,
    to_login,
)
from bascule.web.site import Site
from bascule.web.source import source_of

NOW = UnixTime(1_800_000_000)


@dataclass
class Now:
    """A clock that a test sets."""

    time: UnixTime = NOW

    def __call__(self) -> UnixTime:
        return self.time


class Nothing:
    """Records that nobody reads."""

    async def event(
        self,
        type: str,
        *,
        peer: str,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
        admin: Mapping[str, str] | None = None,
    ) -> None:
        """Take a record."""

    def failed(self, reason: str, *, peer: str, user: str | None = None) -> bool:
        """Take a failure."""
        return False


async def enter(request: Request) -> Response:
    response = PlainTextResponse("in")
    await begin_session(request, response, name="alice", method="password")
    return response


async def leave(request: Request) -> Response:
    response = PlainTextResponse("out")
    await end_session(request, response)
    return response


async def who(request: Request) -> Response:
    user = await signed_in_user(request)
    return to_login(request) if user is None else PlainTextResponse(user)


@dataclass
class House:
    """Two listeners on one database."""

    store: Store
    clock: Now = field(default_factory=Now)
    drawn: int = 0

    def entropy(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def client(
        self, url: str = "https://gate.example", audience: Audience = "public"
    ) -> TestClient:
        app = Starlette(
            routes=[
                page("/in", enter, methods=("POST",)),
                page("/out", leave, methods=("POST",)),
                page("/who", who),
            ]
        )
        app.state.site = Site(
            url=url,
            audience=audience,
            store=self.store,
            clock=self.clock,
            entropy=self.entropy,
            records=Nothing(),
        )
        return TestClient(app, base_url=url, follow_redirects=False)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with contextlib.closing(open_store(tmp_path / "state.db")) as store:
        migrate(store)
        store.run(
            lambda conn: users.add(
                conn,
                name="alice",
                groups=(),
                is_admin=True,
                setup_hash=None,
                setup_expires_at=None,
                now=NOW,
            )
        )
        yield House(store)


def cookie_of(client: TestClient) -> tuple[str, list[str]]:
    """Sign in; gives the name of the cookie and its attributes."""
    pair, *attributes = client.post("/in").headers["set-cookie"].split("; ")
    return pair.partition("=")[0], attributes


def test_on_https_the_cookie_is_of_this_host_and_encrypted(house: House) -> None:
    name, attributes = cookie_of(house.client())
    assert name == "__Host-bascule-session"
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Lax", "Secure"]


def test_on_loopback_the_cookie_has_a_plain_name(house: House) -> None:
    name, attributes = cookie_of(house.client("http://localhost:8420"))
    assert name == "bascule-session"
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Lax"]


def test_the_cookie_of_administration_comes_from_no_other_site(house: House) -> None:
    name, attributes = cookie_of(house.client(audience="admin"))
    assert name == "__Host-bascule-admin-session"
    assert attributes == [
        "Path=/",
        "Max-Age=43200",
        "HttpOnly",
        "SameSite=Strict",
        "Secure",
    ]


def test_a_session_of_one_listener_is_none_at_the_other(house: House) -> None:
    """Also for somebody who renames the cookie."""
    public, admin = house.client(), house.client(audience="admin")
    for client in (public, admin):
        assert client.post("/in").status_code == 200
        assert client.get("/who").text == "user:alice"
    tokens = [client.cookies.jar for client in (public, admin)]
    (of_public,), (of_admin,) = ([it.value for it in jar] for jar in tokens)
    for audience, token in (("admin", of_public), ("public", of_admin)):
        other = house.client(audience=audience)  # type: ignore[arg-type]
        for name in ("__Host-bascule-session", "__Host-bascule-admin-session"):
            answer = other.get("/who", headers={"Cookie": f"{name}={token}"})
            assert answer.status_code == 303


def test_a_session_ends_after_twelve_hours(house: House) -> None:
    client = house.client()
    client.post("/in")
    house.clock.time = UnixTime(NOW + SESSION_SECONDS - 1)
    assert client.get("/who").text == "user:alice"
    house.clock.time = UnixTime(NOW + SESSION_SECONDS)
    assert client.get("/who").status_code == 303


def test_signing_out_removes_the_cookie(house: House) -> None:
    client = house.client()
    client.post("/in")
    line = client.post("/out").headers["set-cookie"]
    assert line.startswith("__Host-bascule-session=; ")
    assert "Max-Age=0" in line
    assert "Secure" in line


def test_the_login_leads_back_with_all_parameters(house: House) -> None:
    answer = house.client().get("/who?a=1&b=%2F%2Fevil")
    assert answer.headers["location"] == "/login?next=%2Fwho%3Fa%3D1%26b%3D%252F%252Fevil"


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("gate.example", "https://gate.example", 200),
        ("internal:8420", "https://gate.example", 200),
        ("internal:8420", "https://internal:8420", 200),
        ("gate.example", "https://internal:8420", 403),
        ("gate.example", "http://gate.example", 403),
        ("gate.example", "https://gate.example:8443", 403),
        ("gate.example", "https://evil.example", 403),
    ],
)
def test_a_form_is_of_the_name_that_people_use_or_of_the_host(
    house: House, host: str, origin: str, status: int
) -> None:
    headers = {"Host": host, "Origin": origin}
    assert house.client().post("/in", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("local", "local"),
    ],
)
def test_who_has_one_ipv6_address_has_its_whole_network(peer: str, source: str) -> None:
    assert source_of(Request({"type": "http", "client": (peer, 0)})) == source
