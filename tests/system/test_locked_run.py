"""A locked connector from the command line to its process, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import until
from ports import free_ports
from system.boxed import left_of
from system.legacy_client import LegacyClient
from system.locked import Locked
from system.server import Installation

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


def write_nosy(made: Locked) -> None:
    """Have the server try to reach something as it starts."""
    script = made.server / "server.py"
    text = script.read_text()
    script.write_text(text.replace("import json\n", f"import json\n{NOSY}", 1))


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a connector that is locked and approved."""
    made = Locked(tmp_path_factory.mktemp("approved"))
    write_nosy(made)
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
    (told,) = recorded(at, "server.refuse")
    assert told["reason"] in ran.stderr
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


def test_it_ends_when_its_approval_does(at: Locked) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(at), text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(HELLO) + "\n")
        process.stdin.flush()
        assert process.stdout.readline()
        at.run("reject", "small", "--reason", "stop", "--revoke")
        assert process.wait(60) == 1
        assert "it is not approved: was revoked" in process.stderr.read()
        assert not left_of(at.tree)


SERVED = """
owner = "support"

[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[roles.all]
members = ["user:alice"]
allow = ["small/*"]

[agents]
default_ceiling = ["small/*"]
"""


@pytest.fixture
def bascule(tmp_path: Path) -> Iterator[Installation]:
    """Serve a connector that is locked and approved."""
    made = Installation(tmp_path, *free_ports(2))
    locked = Locked(tmp_path)
    write_nosy(locked)
    locked.configure(SERVED.format(public=made.public, admin=made.admin))
    made.ask("user", "add", "alice")
    locked.run("lock", "small")
    locked.run("approve", "small", "--reason", "read it")
    made.start()
    try:
        yield made
    finally:
        made.kill()


def opened(bascule: Installation) -> int:
    """Open a session; gives the status of the answer."""
    client = LegacyClient(bascule, bascule.token("alice", "small"), connector="small")
    return client.initialize().status


def test_the_gateway_serves_from_the_store_and_records_what_was_refused(
    bascule: Installation,
) -> None:
    assert opened(bascule) == 200
    rows = bascule.wait_for_records("--type", "server.start", "--connector", "small")
    shown = bascule.cli("audit", "show", str(rows[-1]["seq"]), "--json").stdout
    assert json.loads(shown)["admin"]["sandbox"] == "bubblewrap"
    bascule.wait_for_records("--type", "egress.refuse", "--connector", "small", count=2)
    until(lambda: bascule.log.count("[small] may not reach ") >= 2)
    assert "are not sandboxed" not in bascule.log


@pytest.mark.parametrize(("mode", "told"), [("enforce", False), ("observe", True)])
def test_what_runs_without_a_sandbox_is_named(
    tmp_path: Path, mode: str, told: bool
) -> None:
    made = Installation(tmp_path, *free_ports(2))
    settings = SERVED.format(public=made.public, admin=made.admin)
    Locked(tmp_path).configure(f'mode = "{mode}"{settings}')
    made.start()
    try:
        assert ("are not sandboxed (small)" in made.log) is told
    finally:
        made.kill()


def test_nothing_is_left_when_the_gateway_is_killed(bascule: Installation) -> None:
    assert opened(bascule) == 200
    store = bascule.data / "store"
    assert left_of(store)
    bascule.kill()
    until(lambda: not left_of(store))


def test_a_start_that_is_refused_is_recorded_once(bascule: Installation) -> None:
    script = next((bascule.data / "store/sha256").rglob("server.py"))
    script.chmod(0o644)
    script.write_text(script.read_text() + "#")
    script.chmod(0o444)
    for _ in range(3):
        opened(bascule)
    rows = bascule.wait_for_records("--type", "server.refuse", "--connector", "small")
    (row,) = rows
    shown = bascule.cli("audit", "show", str(row["seq"]), "--json").stdout
    assert "server.py" in json.loads(shown)["admin"]["reason"]


def test_a_process_ends_when_its_approval_does(bascule: Installation) -> None:
    assert opened(bascule) == 200
    store = bascule.data / "store"
    assert left_of(store)
    bascule.ask("reject", "small", "--reason", "stop", "--revoke")
    until(lambda: not left_of(store))
    assert opened(bascule) == 503
