"""Real MCP servers on the `mcp` SDK, of one era or both, each on a free port of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import SamplingMessage, TextContent
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

MODERN = b"2026-07-28"
READY = b"ready\n"


class Name(BaseModel):
    """What is asked of the user."""

    name: str


def make_server() -> MCPServer:
    """Make a server that does a bit of everything."""
    server = MCPServer("hall", version="1.0", instructions="Mind the step.")

    @server.tool()
    def echo(text: str) -> str:
        """Say it back."""
        return text

    @server.tool()
    def forbidden() -> str:
        """What nobody may call."""
        return "you should not see this"

    @server.tool()
    async def counts(ctx: Context[Any, Any]) -> str:
        """Report progress three times, and log."""
        for done in range(3):
            await ctx.report_progress(done + 1, 3)
            await ctx.info(f"counted {done + 1}")
        return "counted"

    @server.tool()
    async def asks_name(ctx: Context[Any, Any]) -> str:
        """Ask the user for a name."""
        answer = await ctx.elicit("Who are you?", Name)
        return f"hello {answer.data.name}" if answer.action == "accept" else answer.action

    @server.tool()
    async def samples(ctx: Context[Any, Any]) -> str:
        """Ask the client's model."""
        message = SamplingMessage(role="user", content=TextContent(text="2+2?"))
        answer = await ctx.session.create_message(
            [message], max_tokens=10, related_request_id=ctx.request_id
        )
        return str(answer.content)

    @server.tool()
    async def waits() -> str:
        """Never end by itself."""
        await anyio.sleep_forever()
        return "never"

    @server.resource("note:one")
    def note() -> str:
        """One note."""
        return "remember the milk"

    @server.resource("secret:one")
    def secret() -> str:
        """What nobody may read."""
        return "the combination is 1-2-3"

    @server.prompt()
    def greeting() -> str:
        """Greet."""
        return "Good day."

    return server


class OneEra:
    """A server that speaks one era only, made from one that speaks both.

    What it refuses it refuses as servers of that era do.
    """

    def __init__(self, app: ASGIApp, *, modern: bool) -> None:
        self._app = app
        self._modern = modern

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        version = dict(scope["headers"]).get(b"mcp-protocol-version")
        if (version == MODERN) == self._modern:
            await self._app(scope, receive, send)
            return
        error: dict[str, Any] = {"code": -32000, "message": "Unsupported protocol version"}
        if self._modern:
            data = {"supported": ["2026-07-28"], "requested": "unknown"}
            error = {"code": -32022, "message": "unsupported", "data": data}
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 400,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def running(era: str = "both", *, port: int = 0, **options: Any) -> Iterator[int]:
    """Run a server in a process of its own; give its port.

    `era`: `both`, `legacy` or `modern`, or `sse` for that of 2024-11-05.
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen()
        process = subprocess.Popen(
            [sys.executable, __file__, era, json.dumps(options), str(sock.fileno())],
            pass_fds=[sock.fileno()],
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == READY
            yield sock.getsockname()[1]
        finally:
            process.kill()
            process.communicate(timeout=10)


class Announcing(uvicorn.Server):
    """Says when it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        print(READY.decode(), end="", flush=True)


def main(era: str, options: str, fd: str) -> None:
    """Serve on an inherited socket until killed."""
    made, settings = make_server(), json.loads(options)
    make = made.sse_app if era == "sse" else made.streamable_http_app
    app: ASGIApp = make(**settings)
    if era in {"legacy", "modern"}:
        app = OneEra(app, modern=era == "modern")
    server = Announcing(uvicorn.Config(app, log_level="error"))
    server.run([socket.socket(fileno=int(fd))])


if __name__ == "__main__":
    main(*sys.argv[1:])
