"""A stdio server of the tests under the host that `up` has, without a gateway."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bascule.config.model import Limits
from bascule.launch.calls import Call, Reply
from bascule.launch.command import Command
from bascule.launch.peer import Peer
from bascule.launch.server import PATIENCE_SECONDS, StdioServer
from bascule.launch.wanted import Wanted
from bascule.protocol import modern
from patience import PATIENCE

CHILD = Path(__file__).with_name("stdio_child.py")
LIMITS = Limits(response_bytes=1 << 20)
SHARED = Wanted(user="", revision=modern.VERSION)


def child(folder: Path, *more: str) -> tuple[str, ...]:
    """Give the command of the tests' server; what it receives goes into `saw`."""
    return sys.executable, str(CHILD), "--saw", str(folder / "saw"), *more


def saw(folder: Path) -> list[dict[str, Any]]:
    """Give what servers below a folder have received: `pid` and `message`, oldest first."""
    path = folder / "saw"
    return [json.loads(it) for it in path.read_text().splitlines()] if path.exists() else []


def saw_methods(folder: Path) -> list[str]:
    """Give the methods of what they have received; responses have none."""
    return [it["message"].get("method", "") for it in saw(folder)]


def saw_calls(folder: Path, tool: str) -> list[dict[str, Any]]:
    """Give the calls of a tool that they have received."""
    messages = [it["message"] for it in saw(folder)]
    calls = [it for it in messages if it.get("method") == "tools/call"]
    return [it for it in calls if it["params"]["name"] == tool]


@dataclass
class Ear:
    """Hears what belongs to no call, and answers nothing."""

    told_of: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    patient: bool = False
    """Takes what is asked, and never answers."""

    def told(self, peer: Peer, method: str, params: dict[str, Any]) -> None:
        self.told_of.append((method, params))

    def asked(self, peer: Peer, ask: int, method: str, params: dict[str, Any]) -> bool:
        self.asked_for.append(method)
        return self.patient

    def lost(self, peer: Peer, reason: str) -> None:
        self.reasons.append(reason)


@dataclass
class Host:
    """One stdio server and what it was heard to say."""

    folder: Path
    server: StdioServer
    ear: Ear

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        wanted: Wanted = SHARED,
        client_id: int | str = 7,
        meta: Mapping[str, Any] | None = None,
    ) -> Call:
        """Begin a call of a tool."""
        peer = await self.server.peer(wanted)
        params = {"name": name, "arguments": arguments or {}, "_meta": meta or {}}
        return peer.call(client_id, "tools/call", params)

    async def value(self, name: str, **arguments: Any) -> Any:
        """Call a tool and give its structured content."""
        return content(await last(await self.call(name, arguments)))


async def replies(call: Call) -> list[Reply]:
    """Give all replies of a call."""
    found = [await call.next()]
    while not found[-1].last:
        found.append(await call.next())
    return found


async def last(call: Call) -> dict[str, Any]:
    """Give the response of a call."""
    response: dict[str, Any] = json.loads((await replies(call))[-1].data)
    return response


def content(response: Mapping[str, Any]) -> Any:
    """Give the structured content of a tool's result."""
    return response["result"]["structuredContent"]


def hosting(
    folder: Path,
    work: Callable[[Host], Awaitable[None]],
    *options: str,
    limits: Limits = LIMITS,
    command: Command | None = None,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Run `work` with a server of the tests, and end everything afterwards."""

    async def main() -> None:
        ear = Ear()
        what = command or Command("child", child(folder, *options))
        server = StdioServer(what, folder / "private", limits, ear, patience=patience)
        try:
            await work(Host(folder, server, ear))
        finally:
            await server.stop()

    uvloop.run(main())


async def eventually(reached: Callable[[], bool]) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - nothing tells of what other processes do
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Tell whether a process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Have variables in the environment of this process."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
