"""Dynamic registration: off by default; on, its clients are nobody in particular."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey

from bascule.authserver.register import MAX_CLIENTS, PER_MINUTE, UNUSED_SECONDS, Turnstile
from bascule.clock import system_clock
from patience import PATIENCE
from proofs import Prover
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in, text_of
from system.recorder import Recorder
from system.server import Installation, serving

GOOD: dict[str, Any] = {
    "redirect_uris": [CALLBACK],
    "client_name": "Claude <b>",
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "mcp:desk",
    "logo_uri": "https://client.example/logo.png",
}
JWKS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}


_addresses = count(2)


@pytest.fixture(scope="module")
def open_server(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    more = "[clients]\ndynamic_registration = true\n"
    with serving(tmp_path_factory.mktemp("open"), recorder, more=more) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Registered:
    """An answer of the endpoint."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@pytest.fixture
def source() -> str:
    """Give an address of loopback that registers for this test alone."""
    return f"127.0.0.{next(_addresses)}"


def register(
    bascule: Installation, source: str, kind: str = "application/json", **change: Any
) -> Registered:
    """Register a client from an address, correctly but for `change`."""
    document = {name: it for name, it in {**GOOD, **change}.items() if it is not None}
    connection = http.client.HTTPConnection(
        "127.0.0.1", bascule.public, timeout=PATIENCE, source_address=(source, 0)
    )
    with contextlib.closing(connection):
        headers = {"Content-Type": kind}
        connection.request("POST", "/oauth/register", json.dumps(document), headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Registered(answer.status, found, answer.read())


def rows(bascule: Installation) -> list[dict[str, Any]]:
    listed = bascule.cli("agent", "list", "--json").stdout.splitlines()
    return [it for it in map(json.loads, listed) if it["origin"] == "dynamic"]


def row_of(bascule: Installation, document: dict[str, Any]) -> dict[str, Any]:
    """Give what `agent list` says of a client."""
    (found,) = [it for it in rows(bascule) if it["agent"] == document["client_id"]]
    return found


def age(bascule: Installation, seconds: int) -> None:
    """Let registrations be older by some seconds."""
    database = sqlite3.connect(bascule.data / "state.db", isolation_level=None)
    with contextlib.closing(database):
        database.execute("UPDATE agents SET expires_at = expires_at - ?", (seconds,))


def test_nobody_is_sent_to_a_self_registered_client_before_signing_in(
    open_server: Installation, source: str
) -> None:
    """A link to a server that people trust must not lead wherever its writer likes."""
    client_id = register(open_server, source).json()["client_id"]
    stranger = Flow(open_server, requests.Session(), client_id)
    wrong = stranger.link(scope="nonsense")
    there = stranger.open(wrong).headers["location"]
    assert there.startswith("/login?next=")
    user = Flow(open_server, sign_in(open_server, "alice"), client_id)
    assert user.open(wrong).headers["location"].startswith(f"{CALLBACK}?error=")


def test_it_is_off_by_default(bascule: Installation, source: str) -> None:
    answer = register(bascule, source)
    assert answer.status_code == 404
    assert rows(bascule) == []


def test_a_registered_client_goes_the_whole_way_and_is_nobody(
    open_server: Installation, source: str
) -> None:
    said = requests.get(
        f"{open_server.url}/.well-known/oauth-authorization-server", timeout=PATIENCE
    ).json()
    assert said["registration_endpoint"] == f"{open_server.url}/oauth/register"
    answer = register(open_server, source)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert document["redirect_uris"] == [CALLBACK]
    assert document["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in document
    client_id = document["client_id"]
    assert open_server.wait_for_records("--type", "client.register", "--agent", client_id)
    flow = Flow(open_server, sign_in(open_server, "alice"), document["client_id"])
    page = flow.open(flow.page())
    assert "It registered itself as “Claude <b>”. Anybody can take any name." in text_of(
        page
    )
    assert "<h1>Let an unknown app use desk?</h1>" in page.text
    tokens = flow.tokens()
    assert open_server.call(tokens["access_token"], "tools/list").status == 200
    assert flow.open(flow.link()).headers["location"].startswith("/consent")
    assert row_of(open_server, document)["verified"] is False
    open_server.ask("agent", "disable", document["client_id"])
    assert flow.open(flow.link()).status_code == 400


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", None])
def test_a_client_with_a_secret_is_still_not_verified_and_gets_no_token_alone(
    open_server: Installation, source: str, method: str | None
) -> None:
    document = register(open_server, source, token_endpoint_auth_method=method).json()
    assert document["client_secret"].startswith("bsc_ck_")
    assert document["client_secret_expires_at"] == 0
    flow = Flow(open_server, sign_in(open_server, "alice"), document["client_id"])
    flow.secret = document["client_secret"]
    flow.method = method or "client_secret_basic"
    assert "access_token" in flow.tokens()
    assert row_of(open_server, document)["verified"] is False
    assert flow.open(flow.link()).headers["location"].startswith("/consent")
    alone = requests.post(
        f"{open_server.url}/oauth/token",
        {
            "grant_type": "client_credentials",
            "resource": f"{open_server.url}/c/desk/mcp",
            "client_id": document["client_id"],
            "client_secret": document["client_secret"],
        },
        timeout=PATIENCE,
    )
    assert alone.json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"redirect_uris": ["http://client.example/cb"]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ],
    ids=str,
)
def test_what_cannot_be_registered_says_why(
    open_server: Installation, source: str, change: dict[str, Any], error: str
) -> None:
    before = rows(open_server)
    answer = register(open_server, source, **change)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert rows(open_server) == before


def test_a_form_is_no_registration(open_server: Installation, source: str) -> None:
    form = "application/x-www-form-urlencoded"
    answer = register(open_server, source, form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_native_clients_and_clients_with_keys_register(
    open_server, source: Installation
) -> None:
    local = {"application_type": "native", "redirect_uris": ["http://127.0.0.1:1/cb"]}
    assert register(open_server, source, **local).json()["application_type"] == "native"
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS}
    assert register(open_server, source, **keys).status_code == 201


def test_a_client_that_said_it_proves_gets_nothing_without(
    open_server: Installation, source: str
) -> None:
    answer = register(open_server, source, dpop_bound_access_tokens=True).json()
    assert answer["dpop_bound_access_tokens"] is True
    flow = Flow(open_server, sign_in(open_server, "alice"), answer["client_id"])
    address, prover = f"{open_server.url}/oauth/token", Prover()

    def redeem(form: dict[str, str], prover: Prover | None = None) -> dict[str, Any]:
        now = system_clock()
        proof = {} if prover is None else {"DPoP": prover.proof(address, now=now).decode()}
        answer = requests.post(address, form, headers=proof, timeout=PATIENCE)
        found: dict[str, Any] = answer.json()
        return found

    form = {
        "grant_type": "authorization_code",
        "client_id": flow.client_id,
        "code": answer_of(flow.callback())["code"],
        "code_verifier": flow.verifier,
        "redirect_uri": CALLBACK,
    }
    assert redeem(form)["error"] == "invalid_dpop_proof"
    tokens = redeem(form, prover)
    assert tokens["token_type"] == "DPoP"
    again = {
        "grant_type": "refresh_token",
        "client_id": flow.client_id,
        "refresh_token": tokens["refresh_token"],
    }
    assert redeem(again)["error"] == "invalid_dpop_proof"
    assert redeem(again, prover)["token_type"] == "DPoP"


def test_an_address_registers_a_few_in_a_minute(
    open_server: Installation, source: str
) -> None:
    found = [register(open_server, source).status_code for _ in range(PER_MINUTE + 2)]
    assert found == [201] * PER_MINUTE + [429] * 2
    again = register(open_server, source)
    assert again.headers["retry-after"]


def test_a_turnstile_tells_addresses_apart() -> None:
    turnstile = Turnstile()
    assert [turnstile.passes("a") for _ in range(PER_MINUTE + 1)][-1] is False
    assert turnstile.passes("b")


def test_clients_that_are_not_used_are_forgotten(
    open_server: Installation, source: str
) -> None:
    unused = register(open_server, source).json()["client_id"]
    used = register(open_server, source).json()["client_id"]
    flow = Flow(open_server, sign_in(open_server, "alice"), used)
    flow.tokens()
    age(open_server, UNUSED_SECONDS)
    gone = Flow(open_server, flow.browser, unused)
    assert gone.open(gone.link()).status_code == 400
    assert "access_token" in flow.tokens()
    register(open_server, source)
    assert unused not in {row["agent"] for row in rows(open_server)}
    assert used in {row["agent"] for row in rows(open_server)}


def test_there_are_only_so_many(open_server: Installation, source: str) -> None:
    database = sqlite3.connect(open_server.data / "state.db", isolation_level=None)
    later = system_clock() + 1000
    with contextlib.closing(database):
        database.executemany(
            "INSERT INTO agents (client_id, created_at, origin, auth_method, expires_at) "
            "VALUES (?, 0, 'dynamic', 'none', ?)",
            [(f"filler-{number}", later) for number in range(MAX_CLIENTS)],
        )
    before = len(open_server.records("--type", "client.register"))
    answer = register(open_server, source)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert len(open_server.records("--type", "client.register")) == before
    age(open_server, 2000)
    assert register(open_server, source).status_code == 201
