"""A hosted server that is started anew, or says that it has changed, is looked at anew."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.lock.surface import FORMAT, Context, Document
from patience import until
from ports import free_ports
from system.gated import approve, lock
from system.legacy_client import LegacyClient
from system.server import Answer, Installation
from system.turncoat import tool

CHILD = Path(__file__).with_name("turncoat_child.py")
CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[connectors.desk]
mode = "warn"
command = {command}

[connectors.own]
mode = "warn"
command = {command}
per_user = true

[roles.clerk]
members = ["user:alice", "user:bob"]
allow = ["desk/*", "own/*"]

[agents]
default_ceiling = ["desk/*", "own/*"]
"""
SERVER = {
    "capabilities": {"tools": {"listChanged": True}, "logging": {}},
    "serverInfo": {"name": "turncoat", "version": "1"},
}
APPROVED = [tool("echo"), tool("announce"), tool("turn")]
CHANGED = [tool("echo", description="Does something else."), *APPROVED[1:]]


class Child:
    """The installation, and the file with what its server lists."""

    def __init__(self, folder: Path) -> None:
        self.calls = 0
        self.tools = folder / "tools.json"
        self.lists(APPROVED)
        self.bascule = Installation(folder, *free_ports(2))
        command = json.dumps([sys.executable, str(CHILD), str(self.tools)])
        self.bascule.config.write_text(
            CONFIG.format(
                public=self.bascule.public, admin=self.bascule.admin, command=command
            )
        )
        for name in ("alice", "bob"):
            self.bascule.ask("user", "add", name)
        definitions = {it["name"]: (it,) for it in APPROVED}
        for name in ("desk", "own"):
            document = Document(FORMAT, Context(), server=(SERVER,), tools=definitions)
            lock(self.bascule, name, document)
            approve(self.bascule, name)

    def lists(self, tools: list[dict[str, Any]]) -> None:
        """Let it list other tools from now on."""
        self.tools.write_text(json.dumps(tools))

    def finding(self) -> str | None:
        """Give what the last call of a tool was found to be."""
        self.bascule.wait_for_records("--type", "call.start", count=self.calls)
        calls = [it for it in self.bascule.whole_records() if it["type"] == "call.start"]
        found: str | None = calls[-1]["authz"].get("finding")
        return found


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    made = Child(tmp_path_factory.mktemp("child"))
    made.bascule.start()
    try:
        yield made
    finally:
        made.bascule.kill()


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_what_a_process_serves_is_not_what_the_next_one_does(
    child: Child, era: str
) -> None:
    bascule, token = child.bascule, child.bascule.token()
    child.lists(APPROVED)
    legacy = LegacyClient(bascule, token, "desk")
    if era == "legacy":
        assert legacy.initialize().status == 200

    def calls(name: str = "echo") -> int:
        """Call a tool; give the process that answered."""
        params = {"name": name, "arguments": {}}
        answer: Answer = (
            bascule.call(token, "tools/call", params)
            if era == "modern"
            else legacy.call("tools/call", params)
        )
        assert answer.status == 200, answer.body
        child.calls += 1
        text = answer.json["result"]["content"][0]["text"]
        return int(json.loads(text)["pid"])

    first = calls()
    assert calls() == first
    assert child.finding() is None
    child.lists(CHANGED)
    told = bascule.log.count("[desk] ")
    os.kill(first, signal.SIGKILL)
    until(lambda: bascule.log.count("[desk] ") > told)  # the host knows
    assert calls() != first  # decided by what the first one served, then looked at anew
    calls()
    assert child.finding() == "definition_drifted"
    child.lists(APPROVED)
    calls("announce")
    calls()  # decided by what was served before it was announced
    calls()
    assert child.finding() is None


def test_a_server_that_is_who_was_approved_does_not_deviate(child: Child) -> None:
    """Also where clients are told less: a shared process has no level of logging."""
    bascule = child.bascule
    shown = LegacyClient(bascule, bascule.token(), "desk").initialize().json["result"]
    assert "logging" not in shown["capabilities"]
    own = LegacyClient(bascule, bascule.token("alice", "own"), "own")
    assert "logging" in own.initialize().json["result"]["capabilities"]
    assert "its server definition drifted" not in bascule.log


def test_a_user_of_a_process_of_their_own_is_shown_something_else(child: Child) -> None:
    child.lists(APPROVED)

    def finds(user: str, name: str = "echo") -> str | None:
        token = child.bascule.token(user, "own")
        params = {"name": name, "arguments": {}}
        answer = child.bascule.call(token, "tools/call", params, connector="own")
        assert answer.status == 200, answer.body
        child.calls += 1
        return child.finding()

    assert finds("alice") is None
    assert finds("bob") is None
    finds("alice", "turn")
    finds("alice")  # decided by what was served before
    assert finds("alice") == "definition_drifted"
    assert finds("bob") is None
