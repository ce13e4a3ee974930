"""Clients of others: each lists what it may, calls it, and is refused anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conformance.gateway import endpoint, guarding
from conformance.rig import PACKAGES, PATIENCE, SCRIPTS, fixture_server, node
from system.server import Installation, until

ALLOWED = "test_simple_text"
REFUSED = "test_error_handling"
MODERN = "2026-07-28"
Found = dict[str, Any]


def python(mode: str, url: str, token: str) -> Found:
    """Run the client on the `mcp` SDK for Python."""
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("mcp_sdk.py"), url, ALLOWED, REFUSED],
        env={"PATH": os.environ["PATH"], "TOKEN": token, "MODE": mode},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return read(ended)


def npm(script: str, mode: str, url: str, token: str) -> Found:
    """Run a client on an npm SDK."""
    environment = {"TOKEN": token, "MODE": mode}
    return read(node(SCRIPTS / script, url, ALLOWED, REFUSED, environment=environment))


def read(ended: subprocess.CompletedProcess[str]) -> Found:
    assert ended.stdout, ended.stderr
    found: Found = json.loads(ended.stdout)
    return found


CLIENTS: dict[str, Callable[[str, str], Found]] = {
    "mcp for Python, auto": partial(python, "auto"),
    "mcp for Python, 2026-07-28": partial(python, MODERN),
    "npm SDK 2, auto": partial(npm, "client2.mjs", "auto"),
    "npm SDK 2, 2026-07-28": partial(npm, "client2.mjs", MODERN),
}
SPOKEN = {
    ("mcp for Python, auto", "both"): MODERN,
    ("mcp for Python, auto", "modern"): MODERN,
    ("mcp for Python, 2026-07-28", "both"): MODERN,
    ("mcp for Python, 2026-07-28", "modern"): MODERN,
    ("npm SDK 2, auto", "both"): MODERN,
    ("npm SDK 2, auto", "modern"): MODERN,
    ("npm SDK 2, 2026-07-28", "both"): MODERN,
    ("npm SDK 2, 2026-07-28", "modern"): MODERN,
}
"""The revision that a client ends up with, by the eras of the server behind Bascule."""


@pytest.fixture(scope="module", params=["both", "modern"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Installation]]:
    folder = tmp_path_factory.mktemp("guarded")
    with fixture_server(request.param) as port, guarding(folder, port) as own:
        yield request.param, own


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_others_works_and_sees_no_more_than_it_may(
    client: str, guarded: tuple[str, Installation]
) -> None:
    eras, own = guarded
    token = own.token("alice", "desk", "--agent", "clerk")
    before = len(denials(own))
    found = CLIENTS[client](endpoint(own), token)
    assert found.get("connected") is True, found
    assert found["version"] == SPOKEN[client, eras]
    assert found["tools"] == [ALLOWED]
    assert found["called"]["content"] == [
        {"type": "text", "text": "This is a simple text."}
    ]
    assert found["refused_error"]["code"] == -32602
    assert "unknown tool" in found["refused_error"]["message"]
    until(lambda: len(denials(own)) == before + 1)


def denials(own: Installation) -> list[dict[str, Any]]:
    """Give the records of refusals to the agent."""
    return own.records("--agent", "clerk", "--name", REFUSED, "--decision", "deny")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_others_does_not_get_in_with_another_connectors_token(
    client: str, guarded: tuple[str, Installation]
) -> None:
    _, own = guarded
    token = own.token("alice", "annex", "--agent", "clerk")
    found = CLIENTS[client](endpoint(own), token)
    assert "connected_error" in found
    assert not found.keys() & {"tools", "called", "refused_error"}


INSPECTOR = PACKAGES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"


def inspect(
    own: Installation, folder: Path, era: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line of MCP Inspector."""
    token = own.token("alice", "desk", "--agent", "clerk")
    server = {
        "type": "streamable-http",
        "url": endpoint(own),
        "headers": {"Authorization": f"Bearer {token}"},
        "protocolEra": era,
    }
    config = folder / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"desk": server}}))
    environment = {"MCP_INSPECTOR_SECRET_STORE": "memory"}
    arguments = ["--cli", "--config", str(config), "--server", "desk", *options]
    return node(INSPECTOR, *arguments, environment=environment)


@pytest.mark.parametrize("era", ["auto", "modern"])
def test_the_inspector_works_and_sees_no_more_than_it_may(
    era: str, guarded: tuple[str, Installation], tmp_path: Path
) -> None:
    _, own = guarded
    inspected = partial(inspect, own, tmp_path, era)
    listed = json.loads(inspected("--method", "tools/list").stdout)
    assert [tool["name"] for tool in listed["tools"]] == [ALLOWED]
    called = inspected("--method", "tools/call", "--tool-name", ALLOWED)
    assert json.loads(called.stdout)["content"][0]["text"] == "This is a simple text."
    missing = inspected("--method", "tools/call", "--tool-name", REFUSED)
    assert missing.returncode != 0
    refused = inspected("--method", "resources/read", "--uri", "test://static-text")
    assert refused.returncode != 0
    assert "unknown resource" in refused.stderr
