"""`bascule up` with stdio servers behind it: the tests' own, and a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE
from ports import free_ports
from system.server import Installation
from system.stdio_host import child

SDK_CLIENT = Path(__file__).parents[1] / "clients" / "mcp_sdk.py"
CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[connectors.desk]
mode = "observe"
command = {command}
{desk}

[connectors.time]
mode = "observe"
command = [{python}, "-m", "mcp_server_time"]
env = {{ TZ = "UTC" }}

[connectors.clock]
mode = "observe"
command = [{python}, "-m", "mcp_server_time"]

[call_approvals.clock]
tools = ["clock/*"]

[roles.clerk]
members = ["user:alice", "user:bob", "agent:robot"]
allow = [{tools}, "desk/resource:note:*", "time/get_current_time", "clock/*"]

[agents]
default_ceiling = ["desk/*", "time/*", "clock/*"]

[limits]
upstream_seconds = 5
{more}
"""
ALLOWED = (
    "echo",
    "env",
    "dies",
    "hangs",
    "waits",
    "progress",
    "changes",
    "stderr",
    "needs_input",
    "spawns",
    "asks",
    "capabilities",
    "logs",
    "updates",
)


MORE_SERVERS = """
[connectors.own]
mode = "observe"
command = {command}
per_user = true
"""
"""One more, with a process for each user."""


def write_config(made: Installation, *options: str, desk: str = "", more: str = "") -> None:
    made.config.write_text(
        CONFIG.format(
            public=made.public,
            admin=made.admin,
            command=json.dumps(child(made.folder, *options)),
            python=json.dumps(sys.executable),
            tools=", ".join(f'"desk/{it}"' for it in ALLOWED),
            desk=desk,
            more=more.format(command=json.dumps(child(made.folder, *options))),
        )
    )


def install(folder: Path, *options: str, desk: str = "", more: str = "") -> Installation:
    """Write a configuration, and add two users and an agent; nothing runs yet."""
    folder.mkdir(exist_ok=True)
    made = Installation(folder, *free_ports(2))
    write_config(made, *options, desk=desk, more=more)
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    made.ask("agent", "add", "robot", "--secret")
    return made


@contextmanager
def serving(
    folder: Path, *options: str, desk: str = "", more: str = "", workers: int = 1
) -> Iterator[Installation]:
    """Run a server with the tests' stdio server and a real one behind it."""
    made = install(folder, *options, desk=desk, more=more)
    made.start("--workers", str(workers))
    try:
        yield made
    finally:
        made.kill()


def value(answer: Any) -> Any:
    """Give what a tool has answered."""
    assert answer.status == 200, answer.body
    return answer.json["result"]["structuredContent"]


def sdk_client(
    bascule: Installation, connector: str, mode: str, *tools: str
) -> dict[str, Any]:
    """Run a client on the `mcp` SDK, and give what came of it."""
    result = subprocess.run(
        [sys.executable, str(SDK_CLIENT), f"{bascule.url}/c/{connector}/mcp", *tools],
        env={**os.environ, "TOKEN": bascule.token("alice", connector), "MODE": mode},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found
