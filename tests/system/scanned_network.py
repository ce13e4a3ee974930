"""Servers of a network that is scanned: MCP at one address, something else at others."""

from __future__ import annotations

import asyncio
import sys

from canned import Heard, http, listening_at, result

DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {},
}


def mcp(heard: Heard) -> bytes:
    if heard.rpc == "server/discover":
        return result(heard, DISCOVERED)
    if heard.rpc == "tools/list":
        return result(heard, {"resultType": "complete", "tools": [{"name": "wipe"}]})
    return http("404 Not Found")


def web(heard: Heard) -> bytes:
    return http("200 OK", b"<html>", "Content-Type: text/html")


async def main(address: str, *others: str) -> None:
    """Serve until killed."""
    await listening_at(mcp, address, 8000)
    for other in others:
        await listening_at(web, other, 80)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
