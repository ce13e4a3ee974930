"""The whole way of a client with PostgreSQL and two processes, from login to reuse."""

from __future__ import annotations

import base64
import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from patience import PATIENCE, until
from postgres import PostgresServer
from system.oauth_browser import CALLBACK, Flow, answer_of, survives_a_lost_answer
from system.recorder import Recorder
from system.replicas import on_postgres, replica
from system.server import Installation
from system.visitor import Visitor, set_up

ATTEMPTS = 8


@pytest.fixture
def database(postgres_server: PostgresServer, migrated_template: str) -> str:
    return postgres_server.url(postgres_server.create(template=migrated_template))


@pytest.fixture
def bascule(tmp_path: Path, recorder: Recorder, database: str) -> Iterator[Installation]:
    made = on_postgres(tmp_path / "one", recorder, database)
    made.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
    made.start("--workers", "2")
    try:
        yield made
    finally:
        made.kill()


def consent(flow: Flow, visitor: Visitor) -> str:
    """Consent in a browser that is signed in; gives where it is sent."""
    parts = urlsplit(flow.link())
    page = visitor.get(f"{parts.path}?{parts.query}")
    name = parse_qs(urlsplit(str(page.location)).query)["request"][0]
    answer = visitor.post("/consent", {"request": name, "decision": "allow"})
    return str(answer.location)


def post(bascule: Installation, **form: str) -> requests.Response:
    return requests.post(f"{bascule.url}/oauth/token", form, timeout=PATIENCE)


def test_one_use_is_one_use_and_a_copied_token_ends_the_family(
    bascule: Installation,
) -> None:
    visitor = set_up(bascule, "dora")
    flow = Flow(bascule, requests.Session())
    code = answer_of(consent(flow, visitor))["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "app",
        "code": code,
        "code_verifier": flow.verifier,
    }
    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        answers = list(pool.map(lambda _: post(bascule, **form), range(ATTEMPTS)))
    assert sorted(it.status_code for it in answers) == [200] + [400] * (ATTEMPTS - 1)

    form["code"] = answer_of(consent(flow, visitor))["code"]
    first = post(bascule, **form).json()
    assert bascule.call(first["access_token"], "tools/list").status == 200
    refresh = {"grant_type": "refresh_token", "client_id": "app"}
    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        found = pool.map(
            lambda _: post(bascule, refresh_token=first["refresh_token"], **refresh),
            range(ATTEMPTS),
        )
        successors = {it.json()["refresh_token"] for it in found}
    (second,) = successors
    third = post(bascule, refresh_token=second, **refresh).json()
    reused = post(bascule, refresh_token=first["refresh_token"], **refresh)
    assert reused.json()["error"] == "invalid_grant"
    until(lambda: bascule.call(third["access_token"], "tools/list").status == 401)
    last = post(bascule, refresh_token=third["refresh_token"], **refresh)
    assert last.json()["error"] == "invalid_grant"
    assert bascule.wait_for_records("--type", "grant.reuse")


def test_a_client_goes_on_at_the_replica_that_is_left(
    tmp_path: Path, recorder: Recorder, bascule: Installation, database: str
) -> None:
    visitor = set_up(bascule, "dora")
    flow = Flow(bascule, requests.Session())
    form = {"grant_type": "authorization_code", "client_id": "app"}
    code = answer_of(consent(flow, visitor))["code"]
    tokens = post(bascule, code=code, code_verifier=flow.verifier, **form).json()
    left = replica(tmp_path / "two", recorder, database, bascule)
    left.start()
    try:
        survives_a_lost_answer(tokens["refresh_token"], bascule, left)
    finally:
        left.kill()


def test_text_that_postgresql_does_not_take_is_refused_like_other_nonsense(
    bascule: Installation,
) -> None:
    """U+0000 from a stranger is wrong input, not a bug with a page of the log to itself."""
    visitor = Visitor(bascule)
    assert visitor.post("/login", {"username": "a\0", "password": "x"}).status == 400
    assert visitor.get("/oauth/authorize?client_id=a%00").status == 400
    answer = post(bascule, grant_type="authorization_code", client_id="a\0")
    assert answer.json()["error"] == "invalid_request"
    basic = requests.post(
        f"{bascule.url}/oauth/token",
        {"grant_type": "client_credentials"},
        auth=("a%00", "x"),
        timeout=PATIENCE,
    )
    assert basic.json()["error"] == "invalid_client"
    claims = [base64.urlsafe_b64encode(it).decode() for it in (b"{}", b'{"sub":"\\u0000"}')]
    by_assertion = post(
        bascule,
        grant_type="client_credentials",
        client_assertion=".".join([*claims, "c2ln"]),
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    assert by_assertion.json()["error"] == "invalid_client"
    assert "a request failed on a bug" not in bascule.log
