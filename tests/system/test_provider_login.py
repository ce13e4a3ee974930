"""Signing in by real OpenID providers, as odd as products are, and what no attack gets."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuthError

from bascule.clock import system_clock
from foreign import signer
from patience import PATIENCE, until
from ports import free_ports
from system.company import SECRET, Company, company
from system.github_double import SECRET as GITHUB_SECRET
from system.github_double import GitHub, github
from system.oauth_browser import CALLBACK, Flow
from system.recorder import Recorder
from system.server import Installation, configure
from system.visitor import PASSWORD, Visitor

TENANT = "8c1f0000-1111-2222-3333-444455556666"
PROVIDERS = """
[providers.corp]
issuer = "http://127.0.0.1:{corp}"
client_id = "bascule"
client_secret = "file:{secret}"
label = "the company"
admit.groups = ["staff", "support"]

[providers.entra]
kind = "entra"
issuer = "http://127.0.0.1:{entra}/{tenant}/v2.0"
client_id = "bascule"
client_secret = "file:{secret}"
scopes = ["openid", "profile", "email", "offline_access"]
api = "http://127.0.0.1:{entra}/graph"
admit.tenants = ["{tenant}"]
groups.names = {{ "3d8f-id" = "engineers" }}

[providers.cognito]
kind = "cognito"
issuer = "http://127.0.0.1:{cognito}"
client_id = "bascule"
client_secret = "file:{secret}"

[providers.keycloak]
kind = "keycloak"
issuer = "http://127.0.0.1:{keycloak}"
client_id = "bascule"
client_key = "file:{key}"

[providers.github]
kind = "github"
issuer = "http://127.0.0.1:{github}/login/oauth"
api = "http://127.0.0.1:{github}"
client_id = "app"
client_secret = "file:{github_secret}"
groups.names = {{ "org/9919" = "corp", "team/17" = "support" }}
admit.groups = ["corp"]
"""
CLIENT_KEY = signer("client", "ES256")


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, and all the providers that it trusts."""

    bascule: Installation
    corp: Company
    entra: Company
    cognito: Company
    keycloak: Company
    github: GitHub

    def visitor(self) -> Visitor:
        return Visitor(self.bascule)

    def user(self, name: str) -> str:
        """Give the name of a user of the company."""
        return f"{self.corp.issuer}|{name}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("providers")
    corp, entra, cognito, keycloak, hub = free_ports(5)
    secret, github_secret = folder / "secret", folder / "github-secret"
    for path, text in ((secret, SECRET), (github_secret, GITHUB_SECRET)):
        path.touch(0o600)
        path.write_text(text)
    key = folder / "client-key"
    key.touch(0o600)
    key.write_bytes(CLIENT_KEY.key.as_pem(private=True))
    more = PROVIDERS.format(
        corp=corp,
        entra=entra,
        cognito=cognito,
        keycloak=keycloak,
        key=key,
        github=hub,
        secret=secret,
        github_secret=github_secret,
        tenant=TENANT,
    )
    bascule = configure(folder / "bascule", recorder, more=more)
    with contextlib.ExitStack() as stack:
        started = _companies(stack, folder, bascule, corp, entra, cognito, keycloak)
        made = Place(bascule, *started, stack.enter_context(github(hub)))
        bascule.start()
        stack.callback(bascule.kill)
        yield made


def _companies(
    stack: contextlib.ExitStack, folder: Path, bascule: Installation, *ports: int
) -> list[Company]:
    kinds: dict[str, dict[str, object]] = {
        "corp": {},
        "entra": {"path": f"/{TENANT}/v2.0"},
        "cognito": {"refreshUnasked": True, "noOfflineAccess": True},
        "keycloak": {
            "refreshUnasked": True,
            "client": {
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": {"keys": [CLIENT_KEY.key.as_dict(private=False)]},
            },
        },
    }
    key = signer("key-1", "RS256")
    return [
        stack.enter_context(
            company(folder, port, f"{bascule.url}/login/callback/{name}", key, **profile)
        )
        for port, (name, profile) in zip(ports, kinds.items(), strict=True)
    ]


def test_somebody_signs_in_by_the_company_and_is_led_back(place: Place) -> None:
    place.corp.knows("alice", name="Alice", groups=["staff", "Admins"])
    place.corp.signs_in("alice")
    visitor = place.visitor()
    assert "Sign in with the company" in visitor.get("/login?next=/account/apps").text
    done = place.corp.login(visitor, next="/account/apps")
    assert (done.status, done.location) == (303, "/account/apps")
    assert place.user("alice") in visitor.get("/account").text
    assert place.bascule.wait_for_records(
        "--type", "login", "--user", f"user:{place.user('alice')}"
    )


def test_a_user_without_e_mail_or_name_comes_in_all_the_same(place: Place) -> None:
    place.corp.knows("nameless", groups="staff")
    place.corp.signs_in("nameless")
    visitor = place.visitor()
    assert place.corp.login(visitor).location == "/account"
    assert visitor.signed_in


def test_who_is_in_no_group_that_is_let_in_is_told_so(place: Place) -> None:
    place.corp.knows("guest", groups=["STAFF"], email="boss@corp.example")
    place.corp.signs_in("guest")
    visitor = place.visitor()
    done = place.corp.login(visitor)
    assert done.status == 403
    assert "in none of the groups" in done.text
    assert not visitor.signed_in
    assert place.bascule.wait_for_records(
        "--type", "login.refused", "--user", f"user:{place.user('guest')}"
    )


def test_a_refusal_at_the_provider_is_shown_without_its_words(place: Place) -> None:
    place.corp.signs_in(None)
    visitor = place.visitor()
    done = place.corp.login(visitor)
    assert done.status == 403
    assert "words of a stranger" not in done.text
    assert not visitor.signed_in


def test_the_same_subject_at_two_providers_is_two_users(place: Place) -> None:
    for made in (place.corp, place.cognito):
        made.knows("same", groups=["staff"], token_use="id")
        made.signs_in("same")
    one, two = place.visitor(), place.visitor()
    assert place.corp.login(one).location == "/account"
    assert place.cognito.login(two, "cognito").location == "/account"
    assert place.user("same") in one.get("/account").text
    assert f"{place.cognito.issuer}|same" in two.get("/account").text


def test_groups_that_are_too_many_for_a_token_are_asked_of_graph(place: Place) -> None:
    place.entra.knows(
        "pia", tid=TENANT, _claim_names={"groups": "src1"}, atGraph=["3d8f-id", "other"]
    )
    place.entra.signs_in("pia")
    visitor = place.visitor()
    assert place.entra.login(visitor, "entra").location == "/account"
    listed = place.bascule.cli("user", "list", "--json").stdout
    assert f"{place.entra.issuer}|engineers" in listed
    assert f"{place.entra.issuer}|other" not in listed


def test_a_user_of_another_tenant_is_refused(place: Place) -> None:
    place.entra.knows("eve", tid="another-tenant")
    place.entra.signs_in("eve")
    done = place.entra.login(place.visitor(), "entra")
    assert done.status == 403
    assert "tenant" in done.text


def test_no_provider_is_asked_for_a_resource(place: Place) -> None:
    visitor = place.visitor()
    begun = visitor.get("/login/with/corp")
    query = parse_qs(urlsplit(begun.location or "").query)
    assert "resource" not in query
    assert query["code_challenge_method"] == ["S256"]
    assert query["nonce"] != query["state"]


def test_a_key_serves_instead_of_a_secret(place: Place) -> None:
    place.keycloak.knows("kim", typ="ID", groups=["staff"])
    place.keycloak.signs_in("kim")
    visitor = place.visitor()
    assert place.keycloak.login(visitor, "keycloak").location == "/account"


def test_an_access_token_is_not_taken_for_an_id_token(place: Place) -> None:
    place.cognito.knows("fake", token_use="access")
    place.cognito.signs_in("fake")
    assert place.cognito.login(place.visitor(), "cognito").status == 502


def test_accounts_of_github_are_known_by_number(place: Place) -> None:
    visitor = place.visitor()
    begun = visitor.get("/login/with/github")
    query = parse_qs(urlsplit(begun.location or "").query)
    back = f"/login/callback/github?code=c-1&state={query['state'][0]}"
    assert visitor.get(back).location == "/account"
    name = f"{place.github.origin}/login/oauth|583231"
    assert name in visitor.get("/account").text
    assert f"{place.github.origin}/login/oauth|support" in (
        place.bascule.cli("user", "list", "--json").stdout
    )


# What somebody tries who means harm.


@pytest.fixture
def way_back(place: Place) -> tuple[Visitor, str]:
    """Give a browser, and the answer that it has not opened yet."""
    place.corp.knows("alice", groups=["staff"])
    place.corp.signs_in("alice")
    visitor = place.visitor()
    return visitor, place.corp.way_back(visitor)


def test_an_answer_counts_once(place: Place, way_back: tuple[Visitor, str]) -> None:
    visitor, path = way_back
    assert visitor.get(path).location == "/account"
    assert visitor.get(path).status == 400


def test_an_answer_planted_in_another_browser_signs_nobody_in(
    place: Place, way_back: tuple[Visitor, str]
) -> None:
    owner, path = way_back
    for victim in (place.visitor(), place.visitor()):
        victim.get("/login")
        assert victim.get(path).status == 400
        assert not victim.signed_in
    # It still is good where it belongs: nobody can spoil it from elsewhere.
    assert owner.get(path).location == "/account"


def test_an_answer_at_the_address_of_another_provider_is_none(
    way_back: tuple[Visitor, str],
) -> None:
    visitor, path = way_back
    moved = path.replace("/callback/corp", "/callback/entra")
    assert visitor.get(moved).status == 400
    assert not visitor.signed_in


def _changed(path: str, **changes: str | None) -> str:
    place, _, text = path.partition("?")
    query = {name: value[0] for name, value in parse_qs(text).items()} | changes
    return f"{place}?{urlencode({k: v for k, v in query.items() if v is not None})}"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"state": None},
        {"state": "0" * 43},
        {"code": None},
        {"code": "made up"},
    ],
    ids=str,
)
def test_an_answer_that_was_changed_signs_nobody_in(
    way_back: tuple[Visitor, str], changes: dict[str, str | None]
) -> None:
    visitor, path = way_back
    assert visitor.get(_changed(path, **changes)).status in {400, 502}
    assert not visitor.signed_in


def test_a_code_of_somebody_elses_login_is_none_here(
    place: Place, way_back: tuple[Visitor, str]
) -> None:
    visitor, path = way_back
    other = place.corp.way_back(place.visitor())
    (code,) = parse_qs(urlsplit(other).query)["code"]
    assert visitor.get(_changed(path, code=code)).status == 502
    assert not visitor.signed_in


@pytest.mark.parametrize("where", ["https://evil.example", "//evil.example", "/\\evil"])
def test_a_login_leads_nowhere_else(place: Place, where: str) -> None:
    place.corp.knows("alice", groups=["staff"])
    place.corp.signs_in("alice")
    visitor = place.visitor()
    assert place.corp.login(visitor, next=where).location == "/account"


def test_a_provider_that_is_not_configured_is_none(place: Place) -> None:
    assert place.visitor().get("/login/with/evil").status == 404
    assert place.visitor().get("/login/callback/evil?state=x&code=y").status == 400


def test_no_token_of_a_provider_lies_anywhere_in_the_clear(
    place: Place, way_back: tuple[Visitor, str]
) -> None:
    visitor, path = way_back
    (code,) = parse_qs(urlsplit(path).query)["code"]
    (state,) = parse_qs(urlsplit(path).query)["state"]
    assert visitor.get(path).location == "/account"
    planted = [it.encode() for it in (SECRET, GITHUB_SECRET, "gho_token", code, state)]
    for file in place.bascule.data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [it for it in planted if it in content], file
            assert b"eyJhbGciOiJSUzI1NiIs" not in content, file
    assert not [it for it in planted if it.decode() in place.bascule.log]


def test_signing_out_leads_to_the_provider_too(
    place: Place, way_back: tuple[Visitor, str]
) -> None:
    visitor, path = way_back
    visitor.get(path)
    out = visitor.post("/logout", {})
    assert f"{place.corp.issuer}/session/end" in out.text
    assert "id_token_hint=" in out.text
    assert not visitor.signed_in


def test_a_disabled_user_does_not_come_back_by_the_provider(place: Place) -> None:
    place.corp.knows("carol", groups=["staff"])
    place.corp.signs_in("carol")
    visitor = place.visitor()
    assert place.corp.login(visitor).location == "/account"
    place.bascule.cli("user", "disable", f"user:{place.user('carol')}")
    assert not visitor.signed_in
    done = place.corp.login(visitor)
    assert done.status == 403
    assert "disabled" in done.text


def test_no_way_in_is_left_beside_the_provider(
    place: Place, way_back: tuple[Visitor, str]
) -> None:
    visitor, path = way_back
    visitor.get(path)
    assert "Set password" not in visitor.get("/account").text
    refused = visitor.post("/account/ways-in", {"password": PASSWORD})
    assert refused.status == 400
    assert "identity provider vouches" in refused.text
    stranger = place.visitor()
    stranger.sign_in(place.user("alice"), PASSWORD)
    assert not stranger.signed_in


# What the provider is asked again at each refresh.


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client with tokens of somebody who signed in by the company."""

    place: Place
    visitor: Visitor
    name: str
    tokens: dict[str, str]

    def refresh(self, token: str | None = None) -> requests.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": "app",
            "refresh_token": token or self.tokens["refresh_token"],
        }
        url = f"{self.place.bascule.url}/oauth/token"
        return requests.post(url, form, timeout=PATIENCE)

    def is_stale(self, seconds: int = 3600) -> None:
        """Let it be long ago that the provider was asked."""
        self.change("checked_at = checked_at - ?", seconds)

    def change(self, column: str, value: int) -> None:
        """Change what the database has of the user."""
        statement = f"UPDATE federated_users SET {column} WHERE user_name = ?"  # noqa: S608
        self.execute(statement, value, self.place.user(self.name))

    def execute(self, statement: str, *values: object) -> None:
        state = self.place.bascule.data / "state.db"
        with contextlib.closing(sqlite3.connect(state)) as db:
            db.execute(statement, values)
            db.commit()

    def groups(self) -> set[str]:
        listed = self.place.bascule.cli("user", "list", "--json").stdout
        (line,) = (it for it in listed.splitlines() if f"|{self.name}" in it)
        found: list[str] = json.loads(line)["groups"]
        return {it.rpartition("|")[2] for it in found}


_names = count(1)


@pytest.fixture
def client(place: Place) -> Client:
    name = f"worker{next(_names)}"
    place.corp.knows(name, groups=["staff", "tools"])
    place.corp.signs_in(name)
    visitor = place.visitor()
    assert place.corp.login(visitor).location == "/account"
    place.bascule.cli("agent", "add", "app", "--redirect-uri", CALLBACK)
    browser = requests.Session()
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    tokens = Flow(place.bascule, browser).tokens()
    return Client(place, visitor, name, tokens)


def test_a_group_that_was_left_is_gone_with_the_next_refresh(client: Client) -> None:
    client.place.corp.knows(client.name, groups=["staff"])
    client.is_stale()
    assert client.refresh().status_code == 200
    assert client.groups() == {"staff"}


def test_a_closed_account_ends_all_that_it_had(client: Client) -> None:
    client.place.corp.forgets(client.name)
    client.is_stale()
    answer = client.refresh()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert not client.visitor.signed_in
    bascule = client.place.bascule
    until(lambda: bascule.call(client.tokens["access_token"], "tools/list").status == 401)


def test_a_closed_account_gets_nothing_for_a_code_of_an_old_login(client: Client) -> None:
    client.place.corp.forgets(client.name)
    client.is_stale()
    browser = requests.Session()
    cookies = client.visitor.cookies.items()
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in cookies)
    flow = Flow(client.place.bascule, browser)
    with pytest.raises(OAuthError) as refused:
        flow.tokens()
    assert refused.value.error == "invalid_grant"
    assert not client.visitor.signed_in


def test_who_may_no_longer_sign_in_is_refreshed_no_longer(client: Client) -> None:
    client.place.corp.knows(client.name, groups=["tools"])
    client.is_stale()
    assert client.refresh().json()["error"] == "invalid_grant"
    assert not client.visitor.signed_in


def test_a_provider_that_is_down_costs_no_token(client: Client) -> None:
    client.is_stale()
    client.place.corp.is_down(True)
    try:
        answers = [client.refresh() for _ in range(3)]
    finally:
        client.place.corp.is_down(False)
    assert [it.status_code for it in answers] == [503] * 3
    assert answers[0].json()["error"] == "temporarily_unavailable"
    assert client.visitor.signed_in
    assert client.refresh().status_code == 200


def test_many_refreshes_at_once_ask_the_provider_once(client: Client) -> None:
    client.is_stale()
    client.place.corp.asked()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.refresh(), range(10)))
    assert {it.status_code for it in answers} == {200}
    asked = [it["path"] for it in client.place.corp.asked()]
    assert asked.count("/token") == 1


def test_another_process_that_asks_is_waited_for(client: Client) -> None:
    client.is_stale()
    client.change("asking_until = ?", system_clock() + 2)
    client.place.corp.asked()
    assert client.refresh().status_code == 200
    assert [it["path"] for it in client.place.corp.asked()].count("/token") == 1


def test_a_provider_that_gave_nothing_to_ask_with_is_believed_for_half_a_day(
    client: Client,
) -> None:
    owner = f"user:{client.place.user(client.name)}"
    client.execute("DELETE FROM vault_entries WHERE owner = ?", owner)
    client.is_stale(3600)
    answer = client.refresh()
    assert answer.status_code == 200
    client.is_stale(12 * 3600)
    answer = client.refresh(answer.json()["refresh_token"])
    assert answer.json()["error"] == "invalid_grant"


def test_a_provider_that_is_configured_no_longer_is_not_believed(client: Client) -> None:
    name = client.place.user(client.name)
    client.execute("DELETE FROM vault_entries WHERE owner = ?", f"user:{name}")
    client.execute("UPDATE federated_users SET provider = 'gone' WHERE user_name = ?", name)
    client.is_stale(3600)
    assert client.refresh().json()["error"] == "invalid_grant"


# `bascule doctor idp`


def checks_of(place: Place, name: str) -> dict[str, tuple[bool, str]]:
    found = json.loads(place.bascule.cli("doctor", "idp", name, "--json").stdout)
    return {it["check"]: (it["ok"], it["found"] + it["fix"]) for it in found["checks"]}


@pytest.mark.parametrize("name", ["corp", "entra", "cognito", "keycloak", "github"])
def test_the_doctor_finds_nothing_wrong_with_a_good_provider(
    place: Place, name: str
) -> None:
    found = checks_of(place, name)
    assert all(good for good, _ in found.values()), found
    assert f"/login/callback/{name}" in found["redirect_uri"][1]


def test_the_doctor_says_what_is_wrong(place: Place, tmp_path: Path) -> None:
    text = place.bascule.config.read_text()
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("not the secret")
    secret = f'"file:{wrong}"'
    broken = text.replace(
        f'[providers.corp]\nissuer = "{place.corp.issuer}"',
        f'[providers.corp]\nissuer = "{place.corp.issuer}/"',
    )
    head, _, rest = text.partition("[providers.cognito]")
    lines = [
        f"client_secret = {secret}" if it.startswith("client_secret") else it
        for it in rest.splitlines()
    ]
    try:
        place.bascule.config.write_text(broken)
        assert checks_of(place, "corp")["metadata"][0] is False
        place.bascule.config.write_text("\n".join([head, "[providers.cognito]", *lines]))
        good, said = checks_of(place, "cognito")["client"]
        assert not good
        assert "invalid_client" in said
        assert "not the secret" not in said
    finally:
        place.bascule.config.write_text(text)
