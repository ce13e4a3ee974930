"""The official suite's scenarios for authorization servers, against Bascule's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.rig import NODE, PATIENCE
from conformance.suite import PROGRAM
from ports import free_ports
from system.oauth_browser import Flow, sign_in
from system.recorder import Recorder, recording
from system.server import Installation, serving

SCENARIOS = {"authorization-server-metadata-endpoint", "authorization-code-grant"}
_FOLDER = re.compile(r"authorization-server-(.*)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("bascule"), recorder) as made:
        yield made


def consent(bascule: Installation, client_id: str, link: str) -> None:
    """Do what a signed-in user does with the link that the suite prints."""
    flow = Flow(bascule, sign_in(bascule, "alice"), client_id)
    answer = flow.open(link)
    assert answer.headers["location"].startswith("/consent?")
    decided = flow.decide(bascule.url + answer.headers["location"], "allow")
    assert decided.status_code == 303
    flow.browser.get(decided.headers["location"], timeout=PATIENCE)


def run(bascule: Installation, client_id: str, options: list[str]) -> str:
    """Run the suite, and consent when it waits for that; gives what it has printed."""
    link, printed = "", []
    with subprocess.Popen(
        [NODE, PROGRAM, "authorization", *options],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as suite:
        assert suite.stdout is not None
        stop = threading.Timer(PATIENCE, suite.kill)
        stop.start()
        for line in suite.stdout:
            printed.append(line)
            found = re.search(r"https?://\S+response_type=code\S*", line)
            link = link if found is None else found[0]
            if "Callback server started" in line:
                consent(bascule, client_id, link)
        stop.cancel()
    return "".join(printed)


def test_the_authorization_server_passes_every_check(
    bascule: Installation, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    callback = f"http://127.0.0.1:{port}/callback"
    bascule.ask("agent", "add", "suite", "--redirect-uri", callback)
    options = ["--url", bascule.url, "--client-id", "suite", "--port", str(port)]
    options += ["--resource", f"{bascule.url}/c/desk/mcp", "-o", str(tmp_path)]
    printed = run(bascule, "suite", options)
    checks = {
        name[1]: json.loads((path / "checks.json").read_text())
        for path in tmp_path.iterdir()
        if (name := _FOLDER.fullmatch(path.name)) is not None
    }
    assert set(checks) == SCENARIOS, printed
    statuses = [(it["id"], it["status"]) for each in checks.values() for it in each]
    assert statuses
    assert [it for it in statuses if it[1] not in {"SUCCESS", "INFO"}] == [], checks
