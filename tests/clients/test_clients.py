"""Clients of others: each lists what it may, calls it, and is refused anything else."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from conformance.gateway import at_port, endpoint, guarding
from conformance.rig import (
    PACKAGES,
    PATIENCE,
    SCRIPTS,
    everything_server,
    fixture_server,
    node,
)
from patience import until
from system.server import Installation

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server behind Bascule, and two of its tools."""

    own: Installation
    allowed: str = "test_simple_text"
    refused: str = "test_error_handling"


def python(mode: str, guarded: Guarded, token: str) -> Found:
    """Run the client on the `mcp` SDK for Python."""
    script = Path(__file__).with_name("mcp_sdk.py")
    ended = subprocess.run(
        [sys.executable, script, endpoint(guarded.own), guarded.allowed, guarded.refused],
        env={"PATH": os.environ["PATH"], "TOKEN": token, "MODE": mode},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return read(ended)


def npm(script: str, mode: str, guarded: Guarded, token: str) -> Found:
    """Run a client on an npm SDK."""
    arguments = (endpoint(guarded.own), guarded.allowed, guarded.refused)
    environment = {"TOKEN": token, "MODE": mode}
    return read(node(SCRIPTS / script, *arguments, environment=environment))


def read(ended: subprocess.CompletedProcess[str]) -> Found:
    assert ended.stdout, ended.stderr
    found: Found = json.loads(ended.stdout)
    return found


CLIENTS: dict[str, Callable[[Guarded, str], Found]] = {
    "mcp for Python, auto": partial(python, "auto"),
    "mcp for Python, legacy": partial(python, "legacy"),
    "mcp for Python, 2026-07-28": partial(python, MODERN),
    "npm SDK 1": partial(npm, "sdk1.mjs", ""),
    "npm SDK 2": partial(npm, "client2.mjs", "legacy"),
    "npm SDK 2, auto": partial(npm, "client2.mjs", "auto"),
    "npm SDK 2, 2026-07-28": partial(npm, "client2.mjs", MODERN),
}
SPEAKS = {
    "mcp for Python, auto": (MODERN, LEGACY),
    "mcp for Python, legacy": (LEGACY,),
    "mcp for Python, 2026-07-28": (MODERN,),
    "npm SDK 1": (LEGACY,),
    "npm SDK 2": (LEGACY,),
    "npm SDK 2, auto": (MODERN, LEGACY),
    "npm SDK 2, 2026-07-28": (MODERN,),
}
"""Revisions that a client speaks, the one that it prefers first."""
SERVED = {"both": (MODERN, LEGACY), "modern": (MODERN,), "legacy": (LEGACY,)}
PAIRS = list(product(SPEAKS, SERVED))
FITTING = [(one, two) for one, two in PAIRS if set(SPEAKS[one]) & set(SERVED[two])]
UNFIT = [pair for pair in PAIRS if pair not in FITTING]


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Guarded]]:
    """Give Bascule before a fixture server of some eras; each is started once."""
    with contextlib.ExitStack() as stack:

        @cache
        def start(eras: str) -> Guarded:
            port = stack.enter_context(fixture_server(eras))
            folder = tmp_path_factory.mktemp(eras)
            return Guarded(stack.enter_context(guarding(folder, at_port(port))))

        yield start


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Give Bascule before a server that this project did not write either."""
    folder = tmp_path_factory.mktemp("everything")
    with everything_server() as port, guarding(folder, at_port(port)) as own:
        yield Guarded(own, "get-tiny-image", "get-env")


def works(client: str, guarded: Guarded, version: str) -> Found:
    """See a client do all that it should; gives what its call gave."""
    token = guarded.own.token("alice", "desk", "--agent", "clerk")
    before = len(denials(guarded))
    found = CLIENTS[client](guarded, token)
    assert found.get("connected") is True, found
    assert found["version"] == version
    assert found["tools"] == [guarded.allowed]
    assert found["refused_error"]["code"] == -32602
    assert "unknown tool" in found["refused_error"]["message"]
    until(lambda: len(denials(guarded)) == before + 1)
    return dict(found["called"])


def denials(guarded: Guarded) -> list[dict[str, Any]]:
    """Give the records of refusals to the agent."""
    selectors = ("--agent", "clerk", "--name", guarded.refused, "--decision", "deny")
    return guarded.own.records(*selectors)


@pytest.mark.parametrize(("client", "eras"), FITTING)
def test_a_client_of_others_works_and_sees_no_more_than_it_may(
    client: str, eras: str, behind: Callable[[str], Guarded]
) -> None:
    version = next(it for it in SPEAKS[client] if it in SERVED[eras])
    called = works(client, behind(eras), version)
    assert called["content"] == [{"type": "text", "text": "This is a simple text."}]


@pytest.mark.parametrize(
    "client", [name for name, spoken in SPEAKS.items() if LEGACY in spoken]
)
def test_a_client_of_others_works_with_a_server_of_others(
    client: str, everything: Guarded
) -> None:
    called = works(client, everything, LEGACY)
    assert called["content"][1]["mimeType"] == "image/png"


@pytest.mark.parametrize(("client", "eras"), UNFIT)
def test_without_a_common_revision_a_client_is_told_both_sides(
    client: str, eras: str, behind: Callable[[str], Guarded]
) -> None:
    guarded = behind(eras)
    found = CLIENTS[client](guarded, guarded.own.token("alice", "desk"))
    assert not found.keys() & {"tools", "called", "refused_error"}
    if (client, eras) == ("npm SDK 2, 2026-07-28", "legacy"):
        assert found["connected_error"]["code"] == "ERA_NEGOTIATION_FAILED"  # its own words
        return
    assert MODERN in json.dumps(found["connected_error"])
    assert LEGACY in json.dumps(found["connected_error"])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_others_does_not_get_in_with_another_connectors_token(
    client: str, behind: Callable[[str], Guarded]
) -> None:
    guarded = behind("both")
    found = CLIENTS[client](guarded, guarded.own.token("alice", "annex"))
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


@pytest.mark.parametrize(
    ("era", "eras"),
    [
        ("auto", "both"),
        ("auto", "modern"),
        ("auto", "legacy"),
        ("modern", "both"),
        ("legacy", "both"),
        ("legacy", "legacy"),
    ],
)
def test_the_inspector_works_and_sees_no_more_than_it_may(
    era: str, eras: str, behind: Callable[[str], Guarded], tmp_path: Path
) -> None:
    guarded = behind(eras)
    inspected = partial(inspect, guarded.own, tmp_path, era)
    listed = json.loads(inspected("--method", "tools/list").stdout)
    assert [tool["name"] for tool in listed["tools"]] == [guarded.allowed]
    called = inspected("--method", "tools/call", "--tool-name", guarded.allowed)
    assert json.loads(called.stdout)["content"][0]["text"] == "This is a simple text."
    missing = inspected("--method", "tools/call", "--tool-name", guarded.refused)
    assert missing.returncode != 0
    refused = inspected("--method", "resources/read", "--uri", "test://static-text")
    assert refused.returncode != 0
    assert "unknown resource" in refused.stderr
