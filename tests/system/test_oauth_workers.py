"""Several processes: what one gives out the others know, and one use is one use."""

from __future__ import annotations

import concurrent.futures
import signal
from collections.abc import Iterator

import pytest
import requests

from bascule.clock import system_clock
from foreign import jwks, signer
from patience import PATIENCE, until
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in
from system.recorder import Recorder
from system.server import Installation, install

ATTEMPTS = 12


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    more = "[clients]\ndynamic_registration = true\n"
    made = install(tmp_path_factory.mktemp("workers"), recorder, more=more)
    made.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
    made.start("--workers", "3")
    try:
        yield made
    finally:
        made.kill()


def test_a_client_that_is_new_is_known_to_all_processes_when_it_has_a_token(
    bascule: Installation,
) -> None:
    browser = sign_in(bascule, "alice")
    for _ in range(3):
        document = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
        made = requests.post(
            f"{bascule.url}/oauth/register", json=document, timeout=PATIENCE
        )
        flow = Flow(bascule, browser, made.json()["client_id"])
        token = flow.tokens()["access_token"]
        found = [bascule.call(token, "tools/list").status for _ in range(ATTEMPTS)]
        assert found == [200] * ATTEMPTS


def test_of_many_that_ask_different_processes_one_gets_the_code(
    bascule: Installation,
) -> None:
    flow = Flow(bascule, sign_in(bascule, "alice"))
    code = answer_of(flow.callback())["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "app",
        "code": code,
        "code_verifier": flow.verifier,
        "redirect_uri": CALLBACK,
    }

    def redeem(_: int) -> int:
        answer = requests.post(f"{bascule.url}/oauth/token", form, timeout=PATIENCE)
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        found = sorted(pool.map(redeem, range(ATTEMPTS)))
    assert found == [200] + [400] * (ATTEMPTS - 1)


def test_retries_at_different_processes_get_one_successor(bascule: Installation) -> None:
    flow = Flow(bascule, sign_in(bascule, "alice"))
    form = {
        "grant_type": "refresh_token",
        "client_id": "app",
        "refresh_token": flow.tokens()["refresh_token"],
    }

    def refresh(_: int) -> str:
        answer = requests.post(f"{bascule.url}/oauth/token", form, timeout=PATIENCE)
        return str(answer.json().get("refresh_token"))

    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        found = set(pool.map(refresh, range(ATTEMPTS)))
    assert len(found) == 1
    assert found.pop().startswith("bsc_rt_")


def test_an_assertion_that_is_shown_to_different_processes_counts_once(
    bascule: Installation,
) -> None:
    key = signer("k1", "ES256")
    (bascule.folder / "jwks").write_bytes(jwks(key))
    bascule.ask("agent", "add", "signer", "--jwks", str(bascule.folder / "jwks"))
    claims = {"iss": "signer", "sub": "signer", "aud": bascule.url, "jti": "one"}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": key.sign({**claims, "exp": system_clock() + 300}).decode(),
        "resource": f"{bascule.url}/c/desk/mcp",
    }

    def show(_: int) -> int:
        answer = requests.post(f"{bascule.url}/oauth/token", form, timeout=PATIENCE)
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        found = sorted(pool.map(show, range(ATTEMPTS)))
    assert found == [200] + [401] * (ATTEMPTS - 1)


def test_a_key_that_was_just_dropped_signs_nothing(bascule: Installation) -> None:
    secret = bascule.ask("agent", "add", "program", "--secret")["client_secret"]
    form = {
        "grant_type": "client_credentials",
        "client_id": "program",
        "client_secret": secret,
        "resource": f"{bascule.url}/c/desk/mcp",
    }
    for words in ((), ("--compromised",), ("--compromised",)):
        bascule.ask("key", "rotate", *words)
        answer = requests.post(f"{bascule.url}/oauth/token", form, timeout=PATIENCE)
        token = answer.json()["access_token"]
        found = [bascule.call(token, "tools/list").status for _ in range(ATTEMPTS)]
        assert found == [200] * ATTEMPTS


def test_a_reload_opens_and_closes_registration_everywhere(bascule: Installation) -> None:
    written = bascule.config.read_text()

    def offered() -> set[bool]:
        address = f"{bascule.url}/.well-known/oauth-authorization-server"
        found = [requests.get(address, timeout=PATIENCE).json() for _ in range(ATTEMPTS)]
        return {"registration_endpoint" in it for it in found}

    assert offered() == {True}
    bascule.config.write_text(written.replace("dynamic_registration = true", ""))
    bascule.signal(signal.SIGHUP)
    until(lambda: offered() == {False})
    refused = requests.post(f"{bascule.url}/oauth/register", json={}, timeout=PATIENCE)
    assert refused.status_code == 404
    bascule.config.write_text(written)
    bascule.signal(signal.SIGHUP)
    until(lambda: offered() == {True})
