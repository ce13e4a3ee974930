"""The MCP server behind every target: answers each request from memory, echoing its id.

`python -m bascule.bench.upstream PORT`.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import cast

import httptools
import msgspec

from bascule.bench.request import FRESH, LISTED_TOOLS

TEXT = "a tool's answer of the usual size: " + "abcdefghijklmnopqrstuvwxyz" * 6
"""What every call answers; with its envelope about 300 bytes."""


class _Request(msgspec.Struct):
    id: msgspec.Raw
    method: str = ""


_request = msgspec.json.Decoder(_Request)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_RESULT = msgspec.json.encode(
    {
        "resultType": "complete",
        "content": [{"type": "text", "text": TEXT}],
        "isError": False,
    }
)


_TOOLS = msgspec.json.encode(
    {
        "resultType": "complete",
        "tools": [
            {
                # The caller may use every other one.
                "name": f"{FRESH if number % 2 else 'other-'}{number}",
                "description": "what a tool does, " * 6,
                "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
            }
            for number in range(LISTED_TOOLS)
        ],
        "ttlMs": 0,
        "cacheScope": "private",
    }
)


class UpstreamProtocol(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the methods below."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        body, self._body = self._body, b""
        request = _request.decode(body)
        answer = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (
            bytes(request.id),
            _TOOLS if request.method == "tools/list" else _RESULT,
        )
        assert self._transport is not None  # noqa: S101 - a message needs a connection
        self._transport.write(_HEAD % len(answer) + answer)


async def serve(port: int) -> None:
    """Serve on loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(UpstreamProtocol, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Serve, on uvloop where there is one."""
    port = int(sys.argv[1])
    run = asyncio.run if sys.platform == "win32" else importlib.import_module("uvloop").run
    run(serve(port))


if __name__ == "__main__":
    main()
