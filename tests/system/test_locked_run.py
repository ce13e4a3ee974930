"""A locked connector from the command line to its process, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patience import until
from system.boxed import left_of
from system.locked import Locked

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
NOSY = """
import socket
for place in (("203.0.113.9", 80), ("registry.test", 443)):
    try:
        socket.create_connection(place, 5)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a connector that is locked and approved."""
    made = Locked(tmp_path_factory.mktemp("approved"))
    script = made.server / "server.py"
    text = script.read_text()
    script.write_text(text.replace("import json\n", f"import json\n{NOSY}", 1))
    made.run("lock", "small")
    made.run("approve", "small", "--reason", "read it")
    return made.folder


@pytest.fixture
def at(approved: Path, tmp_path: Path) -> Locked:
    """Give a copy of it, to be spoilt."""
    folder = tmp_path / "copy"
    shutil.copytree(approved, folder, symlinks=True)
    return Locked(folder, made=True)


def command(at: Locked) -> list[str]:
    options = ["--config", str(at.config), "--data-dir", str(at.data)]
    return [sys.executable, "-m", "bascule.cli.main", *options, "run", "small"]


def run(at: Locked) -> subprocess.CompletedProcess[str]:
    """Run the server as a client would: one message, then the end of its input."""
    return subprocess.run(
        command(at),
        input=json.dumps(HELLO) + "\n",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def recorded(at: Locked, kind: str) -> list[dict[str, Any]]:
    rows = at.run("audit", "query", "--type", kind, "--connector", "small", "--json")
    found = [json.loads(it) for it in rows.stdout.splitlines()]
    return [
        json.loads(at.run("audit", "show", str(it["seq"]), "--json").stdout)["admin"]
        for it in found
    ]


def test_what_is_approved_runs_enclosed_and_is_recorded(at: Locked) -> None:
    ran = run(at)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[0])["id"] == 1
    (start,) = recorded(at, "server.start")
    assert start["sandbox"] == "bubblewrap"
    refused = {(it["host"], it["port"]) for it in recorded(at, "egress.refuse")}
    assert {("203.0.113.9", "80"), ("registry.test", "0")} <= refused


def refused(at: Locked) -> str:
    ran = run(at)
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout == ""
    assert recorded(at, "server.start") == []
    return ran.stderr


def test_without_an_approval_nothing_runs(at: Locked) -> None:
    at.run("reject", "small", "--reason", "no", "--revoke")
    assert "`small`: it is not approved" in refused(at)


def test_one_changed_byte_stops_it(at: Locked) -> None:
    script = next(at.tree.rglob("server.py"))
    script.chmod(0o644)
    text = script.read_text()
    script.write_text(text.replace("import socket", "import sockeT"))
    script.chmod(0o444)
    assert "server.py" in refused(at)


def test_another_command_stops_it(at: Locked) -> None:
    at.configure(command=json.dumps([sys.executable, "server/server.py", "--more"]))
    assert "differs from `mcp.lock.json` in launch.command" in refused(at)


def test_another_environment_stops_it(at: Locked) -> None:
    at.configure(settings='env = { LD_PRELOAD = "x.so" }')
    assert "launch.env" in refused(at)


def test_a_wider_sandbox_stops_it(at: Locked) -> None:
    at.configure(settings='boundary = { may_reach = ["elsewhere.example:443"] }')
    assert "sandbox.may_reach" in refused(at)


def test_a_lock_that_was_edited_stops_it(at: Locked) -> None:
    path = at.folder / "mcp.lock.json"
    path.write_text(path.read_text().replace('"{python}"', '"{tree}/bin/sh"', 1))
    refused(at)


def test_a_connector_that_is_not_locked_does_not_run(tmp_path: Path) -> None:
    assert "run `bascule lock small`" in refused(Locked(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_it(at: Locked, number: signal.Signals) -> None:
    with subprocess.Popen(
        command(at), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(HELLO) + "\n")
        process.stdin.flush()
        assert process.stdout.readline()
        assert left_of(at.tree)
        os.kill(process.pid, number)
        until(lambda: not left_of(at.tree))
