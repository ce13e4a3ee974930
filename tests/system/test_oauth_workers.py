"""Several processes: what one gives out the others know, and one use is one use."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

import pytest
import requests

from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in
from system.recorder import Recorder
from system.server import PATIENCE, Installation, install

ATTEMPTS = 12


@pytest.fixture
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    more = "[clients]\ndynamic_registration = true\n"
    made = install(tmp_path_factory.mktemp("workers"), recorder, more=more)
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
    bascule.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
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
    bascule.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
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
