"""The OAuth of npm SDKs: registration, login, consent, tokens, refresh, a call."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.rig import NODE, PATIENCE, SCRIPTS
from system.oauth_browser import Flow, sign_in
from system.recorder import Recorder, recording
from system.server import Installation, serving

CALLBACK = "http://localhost:3030/cb"
LIBRARIES = {
    "npm SDK 1": "@modelcontextprotocol/sdk/client/auth.js",
    "npm SDK 2": "@modelcontextprotocol/client",
}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    more = "[clients]\ndynamic_registration = true\n"
    with serving(tmp_path_factory.mktemp("npm"), recorder, more=more) as made:
        yield made


def consent(bascule: Installation, link: str) -> str:
    """Do what a signed-in user does with a link; gives where the browser ends."""
    flow = Flow(bascule, sign_in(bascule, "alice"))
    page = flow.open(link).headers["location"]
    return str(flow.decide(bascule.url + page, "allow").headers["location"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_on_an_npm_sdk_gets_from_a_url_to_calls(
    bascule: Installation, library: str
) -> None:
    words = [LIBRARIES[library], f"{bascule.url}/c/desk/mcp", CALLBACK]
    with subprocess.Popen(
        [NODE, SCRIPTS / "authorize.mjs", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        link = json.loads(client.stdout.readline())["open"]
        assert "code_challenge_method=S256" in link
        assert "resource=" in link
        rest, _ = client.communicate(consent(bascule, link) + "\n", timeout=PATIENCE)
    found: list[dict[str, Any]] = [json.loads(it)["tokens"] for it in rest.splitlines()]
    first, second = found
    assert first["refresh_token"] != second["refresh_token"]
    for tokens in found:
        assert tokens["scope"] == "mcp:desk"
        assert bascule.call(tokens["access_token"], "tools/list").status == 200
