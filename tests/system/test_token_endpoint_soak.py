"""How many tokens the endpoint gives for a second of CPU; printed, never asserted."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
import pytest

from postgres import PostgresServer
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in
from system.recorder import Recorder
from system.replicas import on_postgres
from system.server import Installation, serving

pytestmark = [pytest.mark.soak, pytest.mark.on_disk, pytest.mark.timeout(600)]

CLIENTS = 16
EACH = 150
Ask = Callable[[dict[str, str]], dict[str, str]]
"""Posts a form to the token endpoint, and gives the answer."""
Client = Callable[[Ask], None]
"""Gets one token."""


def test_tokens_for_a_second_of_cpu(
    tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, recorder) as bascule:
        secret = str(bascule.ask("agent", "add", "headless", "--secret")["client_secret"])
        bascule.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
        measured = {
            "for agents": _measure(bascule, [_headless(bascule, secret)] * CLIENTS),
            "refreshed": _measure(bascule, [_app(bascule) for _ in range(CLIENTS)]),
            "for one agent": _measure(bascule, [_headless(bascule, secret)]),
            "refreshed by one": _measure(bascule, [_app(bascule)]),
        }
    with capsys.disabled():
        _print(measured)


def test_tokens_for_a_second_of_cpu_with_postgresql(
    tmp_path: Path,
    recorder: Recorder,
    postgres_server: PostgresServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgres_server.url(postgres_server.create())
    bascule = on_postgres(tmp_path, recorder, url)
    secret = str(bascule.ask("agent", "add", "headless", "--secret")["client_secret"])
    bascule.start()
    try:
        found = _measure(bascule, [_headless(bascule, secret)] * CLIENTS)
    finally:
        bascule.kill()
    with capsys.disabled():
        _print({"for agents, in PostgreSQL": found})


def _print(measured: dict[str, tuple[float, float]]) -> None:
    for name, (a_second, a_cpu_second) in measured.items():
        print(f"\n{name}: {a_second:.0f}/s, {a_cpu_second:.0f} a CPU second")


def _headless(bascule: Installation, secret: str) -> Client:
    """Give an agent that acts by itself."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "headless",
        "client_secret": secret,
        "resource": f"{bascule.url}/c/desk/mcp",
    }
    return lambda ask: ask(form) and None


def _app(bascule: Installation) -> Client:
    """Give a client that a user has signed in to."""
    flow = Flow(bascule, sign_in(bascule, "alice"))
    held = {"code": answer_of(flow.callback())["code"]}
    first = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}

    def use(ask: Ask) -> None:
        nonlocal held
        if "code" in held:
            held = ask(first | held | {"client_id": "app", "code_verifier": flow.verifier})
        token = held["refresh_token"]
        held = ask(
            {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token}
        )

    return use


def _measure(bascule: Installation, clients: list[Client]) -> tuple[float, float]:
    """Give tokens a second, and for a second of the server's CPU time."""
    _together(bascule, clients, 10)
    process = psutil.Process(bascule.process.pid)
    before, began = process.cpu_times(), time.perf_counter()
    _together(bascule, clients, EACH)
    after, took = process.cpu_times(), time.perf_counter() - began
    cpu = after.user + after.system - before.user - before.system
    total = len(clients) * EACH
    return total / took, total / cpu


def _together(bascule: Installation, clients: list[Client], each: int) -> None:
    threads = [threading.Thread(target=_ask, args=(bascule, it, each)) for it in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(bascule: Installation, client: Client, times: int) -> None:
    place = urlsplit(bascule.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def ask(form: dict[str, str]) -> dict[str, str]:
        connection.request("POST", "/oauth/token", urlencode(form), headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        answer: dict[str, str] = json.loads(body)
        return answer

    for _ in range(times):
        client(ask)
    connection.close()
