"""Servers that one client shows to one model are judged together, as far as they list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import canned
from bascule.scan.finding import Finding
from bascule.scan.host import scan_host
from bascule.scan.interfaces import own_addresses
from bascule.scan.local_view import Listener, LocalView
from bascule.scan.named import Named
from bascule.scan.surroundings import Surroundings

pytestmark = pytest.mark.anyio

INFO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "x", "version": "1"},
}
TOOL = {
    "name": "transfer_funds",
    "description": "Move money between accounts.",
    "inputSchema": {"type": "object"},
}


def server(heard: canned.Heard) -> bytes:
    """List one tool to anybody, in the way of the older revisions."""
    answers = {"initialize": INFO, "tools/list": {"tools": [TOOL]}}
    if heard.path != "/mcp" or heard.method != "POST":
        return canned.http("404 Not Found")
    if heard.rpc in answers:
        return canned.result(heard, answers[heard.rpc])
    return canned.error(heard, -32601) if heard.id is not None else canned.http("202 OK")


async def findings(names: Callable[[str, int], Named]) -> list[Finding]:
    async with (
        canned.serving(server) as one,
        canned.serving(server) as other,
        canned.wired() as wire,
    ):
        ports = {"bank": one.port, "helper": other.port}
        listeners = tuple(Listener("127.0.0.1", it, 0, None) for it in ports.values())
        around = Surroundings(
            view=LocalView({}, listeners, ()),
            own=own_addresses(),
            named=tuple(names(name, port) for name, port in ports.items()),
        )
        found = await scan_host(wire, around, done=lambda _done, _of: None)
    return [it for it in found.report.findings if it.target.startswith("/home")]


def of_one_file(name: str, port: int) -> Named:
    url = f"http://127.0.0.1:{port}/mcp"
    return Named(name=name, url=url, client="Cursor", path="/home/a/.cursor/mcp.json")


async def test_a_tool_that_two_servers_of_one_file_have_is_found() -> None:
    (finding,) = await findings(of_one_file)
    assert finding.target == "/home/a/.cursor/mcp.json"
    assert "bank and helper: transfer_funds" in finding.evidence


async def test_servers_of_different_files_are_no_set() -> None:
    def apart(name: str, port: int) -> Named:
        return replace(of_one_file(name, port), path=f"/home/{name}/mcp.json")

    assert await findings(apart) == []


async def test_connectors_of_bascule_are_no_set_of_a_client() -> None:
    """Bascule tells their names apart itself."""
    assert await findings(lambda *it: replace(of_one_file(*it), client="")) == []
