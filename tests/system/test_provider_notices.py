"""What identity providers tell: logouts, orders to revoke, events, and forgeries."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from bascule.clock import system_clock
from foreign import changed, segment, signer
from patience import PATIENCE, until
from ports import free_ports
from system.company import SECRET, Company, company
from system.oauth_browser import CALLBACK, Flow
from system.recorder import Recorder
from system.server import Installation, Stream, configure
from system.visitor import Visitor

KEY = signer("key-1", "RS256")
STRANGER = signer("key-1", "RS256")
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
ENABLED = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"
PROVIDERS = "".join(
    f"""
[providers.{name}]
issuer = "http://127.0.0.1:{{{name}}}"
client_id = "bascule"
client_secret = "file:{{secret}}"
admit.everybody = true
signals.audience = "events"
"""
    for name in ("corp", "other")
)
_names = count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway and two providers, which sign with the same key: only `iss` parts them.

    The gateway has two processes that serve; each request comes to one of them.
    """

    bascule: Installation
    corp: Company
    other: Company

    def post(self, path: str, **how: Any) -> requests.Response:
        return requests.post(self.bascule.url + path, timeout=PATIENCE, **how)

    def logout(self, token: bytes, name: str = "corp") -> int:
        answer = self.post(f"/login/backchannel/{name}", data={"logout_token": token})
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code

    def order(self, token: bytes, issuer: str, sub: str, name: str = "corp") -> int:
        subject = {"format": "iss_sub", "iss": issuer, "sub": sub}
        return self.post(
            f"/global-token-revocation/{name}",
            json={"sub_id": subject},
            headers={"Authorization": f"Bearer {token.decode()}"},
        ).status_code

    def event(self, token: bytes, name: str = "corp") -> int:
        return self.post(
            f"/signals/{name}",
            data=token,
            headers={"Content-Type": "application/secevent+jwt"},
        ).status_code


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in by the company, and an agent of theirs."""

    place: Place
    name: str
    visitor: Visitor
    tokens: dict[str, Any]

    def is_in(self) -> bool:
        return self.visitor.get("/account").status == 200

    def agent_is_in(self) -> bool:
        form = {
            "grant_type": "refresh_token",
            "client_id": "app",
            "refresh_token": self.tokens["refresh_token"],
        }
        return self.place.post("/oauth/token", data=form).status_code == 200

    def calls(self) -> set[int]:
        """Ask all processes with the token that the agent has; gives the statuses."""
        ask = partial(self.place.bascule.call, self.tokens["access_token"], "tools/list")
        return {ask().status for _ in range(8)}

    def logout_token(self, **changes: Any) -> dict[str, Any]:
        claims = self._claims("bascule") | {"sub": self.name, "events": {LOGOUT: {}}}
        return changed(claims, **changes)

    def order(self, **changes: Any) -> dict[str, Any]:
        url = f"{self.place.bascule.url}/global-token-revocation/corp"
        return changed(self._claims(url), **changes)

    def event(self, type: str = DISABLED, **changes: Any) -> dict[str, Any]:
        issuer = self.place.corp.issuer
        subject = {"format": "iss_sub", "iss": issuer, "sub": self.name}
        return changed(
            self._claims("events") | {"sub_id": subject, "events": {type: {}}}, **changes
        )

    def _claims(self, audience: str) -> dict[str, Any]:
        return {
            "iss": self.place.corp.issuer,
            "aud": audience,
            "iat": system_clock(),
            "jti": uuid.uuid4().hex,
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("notices")
    corp, other = free_ports(2)
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    more = PROVIDERS.format(corp=corp, other=other, secret=secret)
    bascule = configure(folder / "bascule", recorder, more=more)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(_company(folder, bascule, name, port))
            for name, port in (("corp", corp), ("other", other))
        ]
        bascule.start("--workers", "2")
        stack.callback(bascule.kill)
        bascule.cli("agent", "add", "app", "--redirect-uri", CALLBACK)
        yield Place(bascule, *started)


def _company(
    folder: Path, bascule: Installation, name: str, port: int
) -> contextlib.AbstractContextManager[Company]:
    tells = {
        "backchannel_logout_uri": f"{bascule.url}/login/backchannel/{name}",
        "backchannel_logout_session_required": True,
    }
    back = f"{bascule.url}/login/callback/{name}"
    return company(folder, port, back, KEY, client=tells)


@pytest.fixture
def person(place: Place) -> Person:
    name = f"worker{next(_names)}"
    place.corp.knows(name)
    return signed_in(place, name)


def signed_in(place: Place, name: str) -> Person:
    """Sign somebody in, in a new browser and a new session at the provider."""
    place.corp.signs_in(name)
    visitor = Visitor(place.bascule)
    assert place.corp.login(visitor).location == "/account"
    browser = requests.Session()
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    return Person(place, name, visitor, Flow(place.bascule, browser).tokens())


def logout(person: Person, **header: Any) -> bytes:
    return KEY.sign(person.logout_token(), **{"typ": "logout+jwt", **header})


def test_a_logout_ends_browsers_and_agents_of_the_user(
    place: Place, person: Person
) -> None:
    token = logout(person)
    assert person.is_in()
    assert place.logout(token) == 200
    assert not person.is_in()
    assert not person.agent_is_in()
    assert {place.logout(token) for _ in range(6)} == {400}, (
        "it counts once, in any process"
    )
    until(lambda: person.calls() == {401})


def left(person: Person) -> int:
    """Count what the vault has of somebody's logins."""
    name = f"user:{person.place.corp.issuer}|{person.name}"
    with closing(sqlite3.connect(person.place.bascule.data / "state.db")) as database:
        query = "SELECT count(*) FROM vault_entries WHERE owner = ?"
        ((count,),) = database.execute(query, (name,)).fetchall()
    return int(count)


def disable(person: Person) -> None:
    user = f"user:{person.place.corp.issuer}|{person.name}"
    person.place.bascule.ask("user", "disable", user)


def end_the_app(person: Person) -> None:
    """Revoke the grant as its client does, after its user has signed out here."""
    person.visitor.post("/logout", {})
    form = {"client_id": "app", "token": person.tokens["refresh_token"]}
    assert person.place.post("/oauth/revoke", data=form).status_code == 200


def sign_out_there(person: Person) -> None:
    person.place.corp.sign_out()


@pytest.mark.parametrize(
    "how",
    [disable, end_the_app, sign_out_there, lambda it: it.place.logout(logout(it))],
    ids=["disabled", "RFC 7009", "sid", "sub"],
)
def test_what_a_login_left_is_revoked_at_the_provider_and_forgotten(
    place: Place, person: Person, how: Callable[[Person], object]
) -> None:
    assert left(person) == 1
    place.corp.asked()
    how(person)
    until(lambda: left(person) == 0)
    asked = [it["path"] for it in place.corp.asked()]
    assert "/token/revocation" in asked


NO_LOGOUTS: list[dict[str, Any]] = [
    {"iss": "http://127.0.0.1:1"},
    {"aud": "another"},
    {"aud": ["bascule", "another"]},
    {"events": None},
    {"events": {"another": {}}},
    {"nonce": "of a login"},
    {"iat": 1_000_000_000},
    {"iat": None},
    {"exp": 1_000_000_000},
    {"jti": None},
    {"sub": None},
    {"sub": ["a", "b"]},
]


def test_what_is_no_logout_token_ends_nothing(place: Place, person: Person) -> None:
    for changes in NO_LOGOUTS:
        token = KEY.sign(person.logout_token(**changes), typ="logout+jwt")
        assert place.logout(token) == 400, changes
    assert person.is_in()


def test_forged_logout_tokens_end_nothing(place: Place, person: Person) -> None:
    claims = person.logout_token()
    none = segment({"alg": "none", "kid": KEY.kid}) + b"." + segment(claims) + b"."
    assert place.logout(none) == 400
    assert place.logout(STRANGER.sign(claims, typ="logout+jwt")) == 400
    assert place.logout(KEY.sign(claims, typ="secevent+jwt")) == 400
    assert place.logout(logout(person), name="other") == 400, "another provider's address"
    assert place.logout(logout(person), name="nobody") == 404
    assert person.is_in()


def test_an_unknown_session_at_the_provider_ends_nothing(
    place: Place, person: Person
) -> None:
    token = KEY.sign(person.logout_token(sid="of nobody"), typ="logout+jwt")
    assert place.logout(token) == 200
    assert person.is_in()


def test_the_end_of_one_session_at_the_provider_ends_what_began_with_it(
    place: Place, person: Person
) -> None:
    elsewhere = signed_in(place, person.name)
    assert (person.calls(), elsewhere.calls()) == ({200}, {200})
    with listening(elsewhere) as stream:
        stream.expect()
        place.corp.sign_out()  # of the newer one: with its `sid`
        while stream.next() is not None:
            pass
    until(lambda: elsewhere.calls() == {401})
    assert not elsewhere.is_in()
    assert not elsewhere.agent_is_in()
    assert person.is_in()
    assert person.calls() == {200}


def listening(person: Person) -> Stream:
    """Open a stream of the agent, which does not end by itself."""
    token = person.tokens["access_token"]
    return person.place.bascule.stream(token, "subscriptions/listen", {"notifications": {}})


def test_a_consent_that_comes_after_the_logout_gives_no_code(
    place: Place, person: Person
) -> None:
    browser = requests.Session()
    cookies = person.visitor.cookies
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in cookies.items())
    flow = Flow(place.bascule, browser)
    page = flow.page()
    place.corp.sign_out()
    assert flow.decide(page, "allow").headers["location"].startswith("/login")


def test_a_login_under_way_ends_with_its_user(place: Place, person: Person) -> None:
    place.corp.signs_in(person.name)
    visitor = Visitor(place.bascule)
    back = place.corp.way_back(visitor)
    disable(person)
    user = f"user:{place.corp.issuer}|{person.name}"
    place.bascule.ask("user", "enable", user)
    assert visitor.get(back).status == 403, "it began before"
    assert not visitor.signed_in
    assert place.corp.login(visitor).location == "/account"


def test_a_login_under_way_ends_with_its_session_at_the_provider(
    place: Place, person: Person
) -> None:
    """The provider tells of its end before it tells who has signed in."""
    visitor = Visitor(place.bascule)
    back = place.corp.way_back(visitor)
    token = KEY.sign(person.logout_token(sub=None, sid=sid_of(person)), typ="logout+jwt")
    assert place.logout(token) == 200
    assert visitor.get(back).status == 403
    assert not visitor.signed_in
    place.corp.signs_in(person.name)
    assert place.corp.login(visitor).location == "/account", "in a new session there"


def sid_of(person: Person) -> str:
    """Give the session at the provider in which somebody signed in."""
    with closing(sqlite3.connect(person.place.bascule.data / "state.db")) as database:
        query = "SELECT sid FROM provider_sessions WHERE user_name = ? AND sid != ''"
        name = f"{person.place.corp.issuer}|{person.name}"
        ((sid,), *_) = database.execute(query, (name,)).fetchall()
    return str(sid)


GTR = "global-token-revocation+jwt"


def test_a_provider_orders_that_all_of_its_user_ends(place: Place, person: Person) -> None:
    token = KEY.sign(person.order(), typ=GTR)
    assert place.order(token, place.corp.issuer, person.name) == 204
    assert not person.is_in()
    assert not person.agent_is_in()
    assert place.order(token, place.corp.issuer, person.name) == 401, "it counts once"


def test_no_order_ends_what_is_another_providers(place: Place, person: Person) -> None:
    url = f"{place.bascule.url}/global-token-revocation/other"
    other = person.order(iss=place.other.issuer, aud=url)
    token = KEY.sign(other, typ=GTR)
    assert place.order(token, place.corp.issuer, person.name, name="other") == 400
    mine = KEY.sign(person.order(), typ=GTR)
    assert place.order(mine, place.corp.issuer, person.name, name="other") == 401
    for claims, typ in (
        (person.order(aud="bascule"), GTR),
        (person.order(iat=1_000_000_000), GTR),
        (person.order(), "JWT"),
    ):
        forged = KEY.sign(claims, typ=typ)
        assert place.order(forged, place.corp.issuer, person.name) == 401
    strange = STRANGER.sign(person.order(), typ=GTR)
    assert place.order(strange, place.corp.issuer, person.name) == 401
    assert person.is_in()


def test_an_event_that_an_account_is_disabled_ends_all(
    place: Place, person: Person
) -> None:
    token = KEY.sign(person.event(), typ="secevent+jwt")
    assert place.event(token) == 202
    assert not person.is_in()
    assert not person.agent_is_in()


SUBJECTS: dict[str, Callable[[Person], dict[str, Any]]] = {
    "opaque": lambda it: {"format": "opaque", "id": it.name},
    "complex": lambda it: {
        "format": "complex",
        "user": {"format": "opaque", "id": it.name},
        "device": {"format": "opaque", "id": "of nobody here"},
    },
    "complex, of CAEP drafts": lambda it: {
        "user": {"subject_type": "iss-sub", "iss": it.place.corp.issuer, "sub": it.name}
    },
    "aliases": lambda it: {
        "format": "aliases",
        "identifiers": [
            {"format": "email", "email": "somebody@corp.example"},
            {"format": "opaque", "id": it.name},
        ],
    },
}


@pytest.mark.parametrize("how", SUBJECTS)
def test_an_event_names_its_user_in_any_of_the_formats(
    place: Place, person: Person, how: str
) -> None:
    event = person.event(sub_id=SUBJECTS[how](person))
    token = KEY.sign(event | {"iss": place.other.issuer}, typ="secevent+jwt")
    assert place.event(token, name="other") in {202, 400}
    assert (person.calls(), person.is_in()) == ({200}, True), "another's user of that name"
    assert place.event(KEY.sign(event, typ="secevent+jwt")) == 202
    until(lambda: person.calls() == {401})
    assert not person.is_in()
    assert not person.agent_is_in()


def session_at_the_provider(person: Person) -> str:
    """Give the `sid` of somebody's newest login."""
    name = f"{person.place.corp.issuer}|{person.name}"
    with closing(sqlite3.connect(person.place.bascule.data / "state.db")) as database:
        query = (
            "SELECT sid FROM provider_sessions WHERE user_name = ? ORDER BY session_number"
        )
        return str(database.execute(query, (name,)).fetchall()[-1][0])


def test_an_event_of_one_session_ends_what_began_with_it_alone(
    place: Place, person: Person
) -> None:
    session = {"format": "opaque", "id": session_at_the_provider(person)}
    elsewhere = signed_in(place, person.name)
    subject = {"format": "complex", "session": session}
    account = person.event(DISABLED, sub_id=subject)
    assert place.event(KEY.sign(account, typ="secevent+jwt")) == 400, "it names no account"
    event = person.event(SESSION_REVOKED, sub_id=subject)
    assert place.event(KEY.sign(event, typ="secevent+jwt")) == 202
    until(lambda: person.calls() == {401})
    assert not person.is_in()
    assert (elsewhere.calls(), elsewhere.is_in()) == ({200}, True)


def test_an_event_counts_once(place: Place, person: Person) -> None:
    token = KEY.sign(person.event(), typ="secevent+jwt")
    assert place.event(token) == 202
    place.corp.signs_in(person.name)
    assert place.corp.login(person.visitor).location == "/account"
    assert place.event(token) == 202
    assert person.is_in(), "a replay ends nothing"


def test_events_that_are_none_end_nothing(place: Place, person: Person) -> None:
    strange = {"format": "iss_sub", "iss": place.other.issuer, "sub": person.name}
    e_mail = {"format": "email", "email": "somebody@corp.example"}
    for changes in (
        {"aud": "bascule"},
        {"iss": place.other.issuer},
        {"sub_id": strange},
        {"sub_id": e_mail},
        {"sub_id": None},
        {"events": {}},
        {"jti": None},
        {"iat": 1_000_000_000},
    ):
        assert place.event(KEY.sign(person.event(**changes), typ="secevent+jwt")) == 400
    assert place.event(KEY.sign(person.event(), typ="JWT")) == 400
    assert place.event(STRANGER.sign(person.event(), typ="secevent+jwt")) == 400
    assert place.event(KEY.sign(person.event(), typ="secevent+jwt"), name="other") == 400
    assert place.event(KEY.sign(person.event(ENABLED), typ="secevent+jwt")) == 202
    assert person.is_in()
