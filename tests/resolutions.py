"""Real packages, resolved once for all tests that need them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from bascule.clock import UnixTime, system_clock
from bascule.lock.cooldown import Cooldown
from bascule.lock.launcher import parse_command
from bascule.lock.resolve import Resolution, resolve

TIME = ("uvx", "mcp-server-time")
FILESYSTEM = ("npx", "-y", "@modelcontextprotocol/server-filesystem")


def resolved(command: tuple[str, ...], *, now: UnixTime | None = None) -> Resolution:
    """Resolve a command with the registries of this machine."""
    return resolve(
        parse_command(command),
        folder=Path.cwd(),
        now=now or system_clock(),
        cooldown=Cooldown(),
        environment=os.environ,
    )


def resolved_once(folder: Path, name: str, command: tuple[str, ...]) -> Resolution:
    """Resolve a command, in the first of all processes that share `folder`."""
    path = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(msgspec.json.encode(resolved(command)))
    return msgspec.json.decode(path.read_bytes(), type=Resolution)
