"""A machine of its own with a thousand listening ports, of which twenty are MCP.

    unshare -Urn --pid --fork --mount-proc --kill-child python -m system.many_ports FOLDER

Prints how long a scan takes and how much memory, and how many servers it found. The others
are silent, or web servers, or close at once, or show a banner.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bascule.clock import monotonic
from canned import Heard, http, result
from patience import until
from system.host_scene import listens

PORTS, SERVERS = 1000, 20
FIRST = 10_000
KINDS = ("web", "silent", "closing", "banner")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
INFO = {"name": "one-of-many", "version": "1"}


def main() -> None:
    if sys.argv[1] == "serve":
        uvloop.run(serve())
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
    (folder / "report.json").write_text(done.stdout)
    print(json.dumps(found))


async def serve() -> None:
    loop = asyncio.get_running_loop()
    for at in range(PORTS):
        kind = "mcp" if at % (PORTS // SERVERS) == 0 else KINDS[at % len(KINDS)]
        await loop.create_server(partial(_Server, kind), "127.0.0.1", FIRST + at)
    await asyncio.Event().wait()


class _Server(asyncio.Protocol):
    """Answers as one kind of server does, also several requests that come at once."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        if self._kind == "banner":
            self._transport.write(b"220 ready\r\n")

    def data_received(self, data: bytes) -> None:
        if self._kind == "closing":
            self._transport.close()
        elif self._kind in {"web", "mcp"}:
            self._received += data
            while b"\r\n\r\n" in self._received:
                head, _, rest = self._received.partition(b"\r\n\r\n")
                length = LENGTH.search(head)
                size = 0 if length is None else int(length[1])
                if len(rest) < size:
                    return
                self._received = rest[size:]
                method, path, _version = head.decode().split("\r\n")[0].split(" ")
                heard = Heard(method, path, {}, rest[:size])
                self._transport.write(self._answer(heard))

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


if __name__ == "__main__":
    main()
