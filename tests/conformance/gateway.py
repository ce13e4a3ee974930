"""Bascule before a fixture server: default deny, and rights to names alone."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from conformance.rights import PROMPTS, RESOURCES, TOOLS
from ports import free_ports
from system.server import Installation

CONFIG = """\
[server]
public_url = "http://localhost:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
{server}

[boundary]
every_minutes = 0

[connectors.desk]
mode = "observe"
{desk}
may_ask = ["elicitation", "sampling", "roots"]

[connectors.annex]
mode = "observe"
{desk}

[roles.tester]
members = ["user:alice"]
allow = [
    {names},
]

[clients]
dynamic_registration = true

[agents]
default_ceiling = ["desk/test_simple_text"]

[agents.ceilings]
suite = [
    {names},
]
clerk = [
    "desk/test_simple_text",
    "desk/prompt:test_simple_prompt",
    "desk/get-tiny-image",
]

[scopes]
"desk.text" = ["desk/test_simple_text"]
"""


def names() -> list[str]:
    """Give each name of the fixture server as configuration writes it."""
    prompts = [f"prompt:{name}" for name in PROMPTS]
    resources = [f"resource:{uri}" for uri in RESOURCES]
    everything = (*TOOLS, *prompts, *resources, "get-tiny-image", "get-sum")
    return [f"desk/{name}" for name in everything]


def at_port(port: int) -> str:
    """Give the configuration of a server on loopback."""
    return f'url = "http://127.0.0.1:{port}/mcp"'


def on_stdio(*, per_user: bool) -> str:
    """Give the configuration of the fixture server as one that Bascule starts."""
    command = [sys.executable, "-m", "conformance.fixture.server", "--stdio"]
    tests = Path(__file__).parents[1]
    return (
        f"command = {json.dumps(command)}\n"
        f"env = {{ PYTHONPATH = {json.dumps(str(tests))} }}\n"
        f"per_user = {str(per_user).lower()}"
    )


@contextlib.contextmanager
def guarding(
    folder: Path, desk: str, *options: str, server: str = ""
) -> Iterator[Installation]:
    """Run a server for one upstream: user alice may all, agent `clerk` next to nothing."""
    public, admin = free_ports(2)
    made = Installation(folder, public, admin)
    quoted = ",\n    ".join(f'"{name}"' for name in names())
    made.config.write_text(
        CONFIG.format(public=public, admin=admin, desk=desk, names=quoted, server=server)
    )
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    for agent in ("suite", "clerk"):
        made.ask("agent", "add", agent, "--secret")
    made.start(*options)
    try:
        yield made
    finally:
        made.kill()


def endpoint(made: Installation) -> str:
    """Give the URL that clients are told."""
    return f"http://localhost:{made.public}/c/desk/mcp"
