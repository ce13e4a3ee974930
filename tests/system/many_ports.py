"""A machine of its own with a thousand listening ports, of which twenty are MCP.

    unshare -Urn --pid --fork --mount-proc --kill-child python -m system.many_ports FOLDER

Prints how long a scan takes and how much memory, and how many servers it found. The others
are silent, or web servers, or close at once, or show a banner.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from bascule.clock import monotonic
from canned import Heard, http, result
from patience import until
from system.host_scene import listens

PORTS, SERVERS = 1000, 20
FIRST = 10_000
KINDS = ("web", "silent", "closing", "banner")
INFO = {"name": "one-of-many", "version": "1"}


def main() -> None:
    if sys.argv[1] == "serve":
        asyncio.run(serve())
        return
    folder = Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    serving = subprocess.Popen([sys.executable, "-m", "system.many_ports", "serve"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["FILES"]), 8192))
    until(lambda: listens(FIRST + PORTS - 1))
    begin = monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bascule.cli.main",
            "scan",
            "host",
            "--json",
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    seconds = monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    serving.kill()
    report = json.loads(done.stdout)
    found = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "mebibytes": usage.ru_maxrss >> 10,
        "servers": len(report["servers"]),
        "requests": len(report["requests"]),
        "not_assessed": [it["why"] for it in report["not_assessed"]],
    }
    print(json.dumps(found))


async def serve() -> None:
    for at in range(PORTS):
        kind = "mcp" if at % (PORTS // SERVERS) == 0 else KINDS[at % len(KINDS)]
        handler = _Handler(kind)
        await asyncio.start_server(handler, "127.0.0.1", FIRST + at, backlog=16)
    await asyncio.Event().wait()


class _Handler:
    """Answers as one kind of server does."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._kind == "silent":
            await reader.read(-1)
        elif self._kind == "banner":
            writer.write(b"220 ready\r\n")
            await reader.read(4096)
        elif self._kind in {"web", "mcp"}:
            await self._http(reader, writer)
        writer.close()

    async def _http(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while head := await _head(reader):
            first, *lines = head.decode().split("\r\n")[:-2]
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split(" ")
            writer.write(self._answer(Heard(method, path, headers, body)))

    def _answer(self, heard: Heard) -> bytes:
        if self._kind == "web" or heard.path != "/mcp" or heard.method != "POST":
            return http("404 Not Found", b"not here")
        answers: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": INFO,
            },
            "tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]},
        }
        if heard.rpc not in answers:
            return http("202 Accepted") if heard.rpc.startswith("notif") else http("400 No")
        return result(heard, answers[heard.rpc])


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return b""


if __name__ == "__main__":
    main()
