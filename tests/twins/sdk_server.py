"""A server on the `mcp` SDK 1.x, as its examples begin: `sdk_server.py`, see `sdks.py`.

Both transports, each on a port of its own; it says where, and ends with its input.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import uvicorn


async def serve() -> None:
    from mcp.server.fastmcp import FastMCP  # type: ignore[import-not-found]

    made: Any = FastMCP("twin", log_level="CRITICAL")

    @made.tool()  # type: ignore[untyped-decorator]
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    tasks = []
    for app in (made.streamable_http_app(), made.sse_app()):
        # Named TCP, so that asyncio sends each piece at once (TCP_NODELAY).
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        print(sock.getsockname()[1], flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        tasks.append(asyncio.ensure_future(server.serve([sock])))
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(serve())
