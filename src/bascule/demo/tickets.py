"""A small ticket desk on the `mcp` SDK, in memory: the guarded server of `up --demo`."""

from __future__ import annotations

import argparse
import hmac
import itertools
import os
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass
class Ticket:
    """One request of a customer."""

    number: int
    title: str
    state: str = "open"


class Desk:
    """All tickets."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        for title in ("Printer is on fire", "Cannot log in", "Invoice 7 is wrong"):
            self.create(title)

    def create(self, title: str) -> Ticket:
        """Open a ticket."""
        ticket = Ticket(next(self._numbers), title)
        self._tickets[ticket.number] = ticket
        return ticket

    def find(self, words: str) -> list[Ticket]:
        """Give the tickets whose title has all the words."""
        wanted = words.lower().split()
        return [
            ticket
            for ticket in self._tickets.values()
            if all(word in ticket.title.lower() for word in wanted)
        ]

    def get(self, number: int) -> Ticket:
        """Give one ticket. Raises ValueError when there is none."""
        if number not in self._tickets:
            raise ValueError(f"there is no ticket {number}")
        return self._tickets[number]

    def delete(self, number: int) -> Ticket:
        """Remove one ticket for good. Raises ValueError when there is none."""
        ticket = self.get(number)
        del self._tickets[number]
        return ticket


def make_server(desk: Desk) -> MCPServer:
    """Make the MCP server of a desk."""
    server = MCPServer("tickets", version="1.0")
    reads = ToolAnnotations(read_only_hint=True)

    @server.tool(annotations=reads)
    def search(words: str = "") -> list[dict[str, object]]:
        """Find tickets by words of their title; no words finds all."""
        return [asdict(ticket) for ticket in desk.find(words)]

    @server.tool(annotations=reads)
    def get_ticket(number: int) -> dict[str, object]:
        """Read one ticket."""
        return asdict(desk.get(number))

    @server.tool()
    def create_ticket(title: str) -> dict[str, object]:
        """Open a ticket."""
        return asdict(desk.create(title))

    @server.tool(annotations=ToolAnnotations(destructive_hint=True))
    def delete_ticket(number: int) -> dict[str, object]:
        """Delete a ticket for good."""
        return asdict(desk.delete(number))

    return server


class Guarded:
    """Answers only who shows a key: the whole value of `Authorization`."""

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        shown = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(shown, self._key):
            refusal = PlainTextResponse("a key is wanted", 401)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve on loopback until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--key-file",
        type=Path,
        help="File of what `Authorization` must say; without one everybody is answered.",
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="End with whoever holds the other end of standard input.",
    )
    arguments = parser.parse_args()
    if arguments.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    app: ASGIApp = make_server(Desk()).streamable_http_app(host="127.0.0.1")
    if arguments.key_file is not None:
        app = Guarded(app, arguments.key_file.read_bytes().strip())
    uvicorn.run(app, host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
