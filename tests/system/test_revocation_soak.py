"""How soon revocations bite, with 10,000 live tokens and 1,000 open streams; printed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bascule.clock import monotonic, system_clock
from bascule.storage import agents
from bascule.storage.store import open_store
from patience import PATIENCE, until
from system import stdio_gateway
from system.recorder import Recorder
from system.server import Installation, body_of, headers_of, install
from system.stdio_gateway import value
from system.test_stdio_sessions import begun, called, is_running

pytestmark = [pytest.mark.soak, pytest.mark.on_disk, pytest.mark.timeout(1800)]

AGENTS = [f"robot-{number}" for number in range(100)]
TOKENS = 100
STREAMS = 10
"""Of each agent, each with a token of its own."""
REVOKED = 45
"""Agents that are revoked one after another; the others all at once."""
WORKERS = 2
AT_ONCE = 50
TIMES = 20
SECRET = "bsc_ck_" + "0" * 64
ROLE = """
[roles.robots]
members = [{members}]
allow = ["desk/opens"]
"""
Door = Callable[[Installation, str, str], object]
"""Revokes what an agent has, or its token."""


def _revoke(bascule: Installation, agent: str, _: str) -> None:
    bascule.ask("revoke", "--agent", agent, "--reason", "soak")


def _disable(bascule: Installation, agent: str, _: str) -> None:
    bascule.ask("agent", "disable", agent)


def _give_back(bascule: Installation, agent: str, token: str) -> None:
    form = {"client_id": agent, "client_secret": SECRET, "token": token}
    with contextlib.closing(bascule.connect()) as connection:
        assert _post(connection, "/oauth/revoke", form)[0] == 200


DOORS: dict[str, tuple[Door, int]] = {
    "bascule revoke": (_revoke, STREAMS),
    "agent disable": (_disable, STREAMS),
    "RFC 7009": (_give_back, 1),
}
"""Each with how many streams of the agent it ends."""


@dataclass
class Watched:
    """One open stream."""

    token: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ended_at: float = 0.0

    async def watch(self, bascule: Installation, turn: asyncio.Semaphore) -> None:
        """Open it, and see how it ends."""
        async with turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", bascule.public)
            body = body_of("tools/call", {"name": "opens"})
            sent = json.dumps(body)
            headers = {
                **headers_of(body, self.token),
                "Host": f"127.0.0.1:{bascule.public}",
            }
            lines = [f"{name}: {it}" for name, it in headers.items()]
            head = ["POST /c/desk/mcp HTTP/1.1", *lines, f"Content-Length: {len(sent)}"]
            writer.write(("\r\n".join(head) + "\r\n\r\n" + sent).encode())
            seen = await reader.readuntil(b"open")
            assert seen.startswith(b"HTTP/1.1 200"), seen
            self.opened.set()
        data = b"open"
        while data and not data.endswith(b"0\r\n\r\n"):
            data = await reader.read(65536)
        self.ended_at = monotonic()
        self.ended.set()
        writer.close()


def test_revocations_bite_in_time(
    tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with _running(tmp_path, recorder) as bascule:
        tokens = _issue(bascule)
        measured = asyncio.run(_measure(bascule, tokens))
    with capsys.disabled():
        print(f"\n{sum(map(len, tokens.values()))} tokens, {WORKERS} workers")
        for name, seconds in measured.items():
            _print(name, seconds)


def test_processes_of_a_disabled_user_end_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = []
    with stdio_gateway.serving(
        tmp_path, "--era", "both", desk="per_user = true", workers=WORKERS
    ) as bascule:
        for _ in range(TIMES):
            until(lambda: all(_is_let_in(bascule) for _ in range(4 * WORKERS)))
            session = called(begun(bascule), "echo")["pid"]
            modern = value(bascule.tool(bascule.token(), "echo"))["pid"]
            began = monotonic()
            bascule.ask("user", "disable", "alice")
            until(lambda: not any(map(is_running, (session, modern))))  # noqa: B023
            seconds.append(monotonic() - began)
            bascule.ask("user", "enable", "alice")
    with capsys.disabled():
        print()
        _print("processes of a disabled user", seconds)


def _is_let_in(bascule: Installation) -> bool:
    return bascule.call(bascule.token(), "tools/list").status == 200


def _print(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    print(
        f"{name}: {len(ordered)} ends, p50 {middle:.2f} s, p99 {late:.2f} s, "
        f"latest {ordered[-1]:.2f} s"
    )


@contextlib.contextmanager
def _running(folder: Path, recorder: Recorder) -> Iterator[Installation]:
    members = ", ".join(f'"agent:{it}"' for it in AGENTS)
    made = install(folder, recorder, more=ROLE.format(members=members))
    text = made.config.read_text()
    made.config.write_text(text.replace("upstream_seconds = 2", "upstream_seconds = 900"))
    with contextlib.closing(open_store(made.data / "state.db")) as store:
        for agent in AGENTS:
            add = partial(
                agents.add,
                client_id=agent,
                secret_hash=hashlib.sha256(SECRET.encode()).digest(),
                jwks=None,
                redirect_uris=(),
                now=system_clock(),
            )
            assert store.run(add)
    made.start("--workers", str(WORKERS))
    try:
        yield made
    finally:
        made.kill()


def _post(
    connection: http.client.HTTPConnection, path: str, form: dict[str, str]
) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", path, urlencode(form), headers)
    response = connection.getresponse()
    return response.status, response.read()


def _issue(bascule: Installation) -> dict[str, list[str]]:
    """Give tokens by agent."""

    def of_agent(agent: str) -> list[str]:
        form = {
            "grant_type": "client_credentials",
            "client_id": agent,
            "client_secret": SECRET,
            "resource": f"{bascule.url}/c/desk/mcp",
        }
        found = []
        with contextlib.closing(bascule.connect()) as connection:
            for _ in range(TOKENS):
                status, body = _post(connection, "/oauth/token", form)
                assert status == 200, body
                found.append(json.loads(body)["access_token"])
        return found

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(AGENTS, pool.map(of_agent, AGENTS), strict=True))


async def _measure(
    bascule: Installation, tokens: dict[str, list[str]]
) -> dict[str, list[float]]:
    """Give the seconds from before a door was used to each end, by door."""
    turn = asyncio.Semaphore(AT_ONCE)
    streams = {
        agent: [Watched(token) for token in tokens[agent][:STREAMS]] for agent in AGENTS
    }
    async with asyncio.TaskGroup() as group:
        for stream in (it for of_agent in streams.values() for it in of_agent):
            group.create_task(stream.watch(bascule, turn))
        async with asyncio.timeout(10 * PATIENCE):
            for stream in (it for of_agent in streams.values() for it in of_agent):
                await stream.opened.wait()
        measured: dict[str, list[float]] = {}
        for number, agent in enumerate(AGENTS[:REVOKED]):
            name = list(DOORS)[number % len(DOORS)]
            door, count = DOORS[name]
            ending = streams[agent][:count]
            began = monotonic()
            await asyncio.to_thread(door, bascule, agent, ending[0].token)
            measured.setdefault(f"{name}, streams", []).extend(await _ends(ending, began))
            shown = [it.token for it in ending]
            refused = await asyncio.to_thread(_refused, bascule, shown, began)
            measured.setdefault(f"{name}, tokens", []).append(refused)
        left = [
            it for of_agent in streams.values() for it in of_agent if not it.ended.is_set()
        ]
        began = monotonic()
        await asyncio.to_thread(bascule.ask, "revoke", "--all", "--reason", "soak")
        measured["everything, streams"] = await _ends(left, began)
    return measured


async def _ends(streams: list[Watched], began: float) -> list[float]:
    async with asyncio.timeout(PATIENCE):
        for stream in streams:
            await stream.ended.wait()
    return [stream.ended_at - began for stream in streams]


def _refused(bascule: Installation, tokens: list[str], began: float) -> float:
    """Give the seconds until new connections, so all workers, refuse each token."""
    until(lambda: all(_is_refused(bascule, it) for it in tokens for _ in range(3)))
    return monotonic() - began


def _is_refused(bascule: Installation, token: str) -> bool:
    return bascule.call(token, "tools/list").status == 401
