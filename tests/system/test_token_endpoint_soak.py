"""How many tokens the endpoint gives for a second of CPU; printed, never asserted."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
import pytest

from system.recorder import Recorder
from system.server import Installation, serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

CLIENTS = 16
EACH = 150


def test_tokens_for_a_second_of_cpu(
    tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, recorder) as bascule:
        secret = str(bascule.ask("agent", "add", "headless", "--secret")["client_secret"])
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": "headless",
                "client_secret": secret,
                "resource": f"{bascule.url}/c/desk/mcp",
            }
        )
        _many(bascule, form, 10)
        process = psutil.Process(bascule.process.pid)
        before, began = process.cpu_times(), time.perf_counter()
        _many(bascule, form, EACH)
        after, took = process.cpu_times(), time.perf_counter() - began
    cpu = after.user + after.system - before.user - before.system
    total = CLIENTS * EACH
    with capsys.disabled():
        print(f"\n{total} tokens: {total / took:.0f}/s, {total / cpu:.0f} a CPU second")


def _many(bascule: Installation, form: str, each: int) -> None:
    _together(lambda: _ask(bascule, form, each))


def _together(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(bascule: Installation, form: str, times: int) -> None:
    place = urlsplit(bascule.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(times):
        connection.request("POST", "/oauth/token", form, headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
    connection.close()
