"""`bascule scan url` against all that servers may do wrong, at once: each is in the report.

Each of them by itself, and quickly, is in the unit tests of the prober.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from canned import Heard, http, result, serving, talking
from canned import json as json_answer
from certificates import new_authority

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n"
DISCOVERED = {"supportedVersions": ["2026-07-28"], "capabilities": {}}
GIGABYTE = 1 << 30


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % b"application/json" + b"Content-Length: 9999\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(1)


async def sends_a_gigabyte(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % GIGABYTE)
    for _ in range(GIGABYTE >> 16):
        writer.write(b"x" * (1 << 16))
        await writer.drain()


async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % b"text/event-stream" + b"\r\n")
    while not reader.at_eof():
        writer.write(b": here\n\n")
        await writer.drain()
        await asyncio.sleep(0.1)


def redirects(heard: Heard) -> bytes:
    return http("302 Found", b"", "Location: http://169.254.169.254/latest/meta-data/")


def is_another_rpc(heard: Heard) -> bytes:
    return json_answer("200 OK", {"jsonrpc": "2.0", "id": 1, "result": "0x1b4"})


def is_graphql(heard: Heard) -> bytes:
    return json_answer("401 Unauthorized", {"errors": [{"message": "sign in"}]})


def is_open(heard: Heard) -> bytes:
    if heard.rpc == "server/discover":
        return result(heard, DISCOVERED)
    return result(heard, {"tools": []}) if heard.rpc == "tools/list" else http("404 x")


STATES = {
    is_silent: "unknown",
    drips: "unknown",
    sends_a_gigabyte: "unknown",
    streams: "unknown",
    redirects: "not_mcp",
    is_another_rpc: "not_mcp",
    is_graphql: "not_mcp",
}


@pytest.mark.soak
def test_none_holds_a_scan_and_each_is_in_its_report(tmp_path: Path) -> None:
    tls = new_authority().server(tmp_path, "other.example")

    async def run() -> tuple[list[str], dict[str, Any]]:
        async with AsyncExitStack() as stack:
            urls = []
            for bad in STATES:
                answers = serving if not asyncio.iscoroutinefunction(bad) else talking
                server = await stack.enter_async_context(answers(bad))  # type: ignore[operator]
                urls.append(f"{server.url}/mcp")
            secured = await stack.enter_async_context(serving(is_open, tls))
            urls.append(f"https://127.0.0.1:{secured.port}/mcp")
            command = [sys.executable, "-m", "bascule.cli.main", "scan", "url", *urls]
            process = await asyncio.create_subprocess_exec(
                *command, "--json", stdout=asyncio.subprocess.PIPE
            )
            printed, _ = await process.communicate()
            assert process.returncode == 1
            return urls, json.loads(printed)

    urls, report = asyncio.run(run())
    rows = {it["url"]: it["state"] for it in report["servers"]}
    assert rows == dict(zip(urls, [*STATES.values(), "open"], strict=True))
    assert {it["target"] for it in report["not_assessed"]} >= set(urls[:5])
    rules = {it["rule"] for it in report["findings"]}
    assert {"open-server", "redirects-inward", "tls-not-trusted"} <= rules
    assert {it["address"].rpartition(":")[0] for it in report["requests"]} == {"127.0.0.1"}
