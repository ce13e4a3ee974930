"""Clients on the npm SDKs that find the authorization server and log their user in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.gateway import at_port, endpoint, guarding
from conformance.rig import NODE, SCRIPTS, fixture_server
from ports import free_ports
from system.oauth_browser import Flow, sign_in
from system.server import Installation

ALLOWED = "test_simple_text"
REFUSED = "test_error_handling"
REGISTERED = "walker"


@pytest.fixture(scope="module")
def redirect() -> str:
    """Give an address that nobody listens on: the test reads where it would lead."""
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}/callback"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, redirect: str) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    with fixture_server() as port, guarding(folder, at_port(port)) as made:
        made.ask("agent", "add", REGISTERED, "--redirect-uri", redirect)
        yield made


def consent(own: Installation, link: str) -> str:
    """Let the client in as alice; gives where the browser is sent."""
    flow = Flow(own, sign_in(own, "alice"))
    shown = flow.open(link)
    assert shown.status_code == 303, shown.text
    decided = flow.decide(
        f"http://localhost:{own.public}{shown.headers['location']}", "allow"
    )
    assert decided.status_code == 303, decided.text
    return str(decided.headers["location"])


@pytest.mark.parametrize("client", ["", REGISTERED], ids=["registers itself", "registered"])
@pytest.mark.parametrize("sdk", ["1", "2"])
def test_a_client_on_an_npm_sdk_logs_its_user_in(
    sdk: str, client: str, own: Installation, redirect: str
) -> None:
    environment = {"SDK": sdk, "REDIRECT": redirect, "CLIENT_ID": client}
    with subprocess.Popen(
        [NODE, SCRIPTS / "oauth.mjs", endpoint(own), ALLOWED, REFUSED],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        printed, problems = process.communicate(
            consent(own, json.loads(line)["open"]) + "\n"
        )
    found = json.loads(printed or "null")
    assert found, problems
    assert found["tools"] == [ALLOWED]
    assert found["called"]["content"][0]["text"] == "This is a simple text."
    assert found["refused_error"]["code"] == -32602
