"""An upstream that changes what it serves: for all, for some, with or without saying so."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bascule.lock.surface import FORMAT, Context, Document, identity_of

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PROBE = "bascule-probe/"


def tool(name: str, **more: Any) -> dict[str, Any]:
    """Make a tool's definition."""
    return {
        "name": name,
        "description": f"Does {name}.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        **more,
    }


SERVER = {
    "serverInfo": {"name": "turncoat", "version": "1"},
    "capabilities": {
        "tools": {"listChanged": True},
        "prompts": {},
        "resources": {},
        "completions": {},
    },
    "instructions": "Be kind.",
}
LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/templates/list": "resourceTemplates",
    "resources/list": "resources",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One message that came."""

    method: str
    params: dict[str, Any]
    session: str | None
    agent: str
    headers: dict[str, str] = field(default_factory=dict, compare=False)
    """By name in lower case."""

    @property
    def by_probe(self) -> bool:
        return self.agent.startswith(PROBE)


@dataclass(slots=True)
class Turncoat:
    """What it serves, and what it was asked."""

    port: int = 0
    served: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SERVER))
    asked: list[Asked] = field(default_factory=list)
    shows: Callable[[Asked, list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    """Changes a list for who asks."""
    page: int = 100
    fails: bool = False
    """Lists are answered with an error."""
    _streams: list[Any] = field(default_factory=list)
    _sessions: int = 0
    _tick: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Serve what was approved."""
        self.served = {
            "tools": [tool("echo"), tool("other")],
            "prompts": [{"name": "hello", "description": "Greets."}],
            "resourceTemplates": [{"uriTemplate": "note:{id}", "name": "notes"}],
            "resources": [{"uri": "note:1", "name": "first"}],
        }
        self.server = copy.deepcopy(SERVER)
        self.shows, self.page, self.fails = None, 100, False
        self.asked = []

    def document(self) -> Document:
        """Give the surface of what it serves now."""

        def named(kind: str, key: str = "name") -> dict[str, tuple[dict[str, Any], ...]]:
            return {it[key]: (it,) for it in self.served[kind]}

        return Document(
            FORMAT,
            Context(),
            server=(identity_of(self.server),),
            instructions=(self.server["instructions"],),
            tools=named("tools"),
            prompts=named("prompts"),
            resource_templates=named("resourceTemplates", "uriTemplate"),
        )

    def methods(self, *, by_probe: bool) -> list[str]:
        """Give what was asked by Bascule itself, or for clients."""
        return [it.method for it in self.asked if it.by_probe is by_probe]

    def change(self, name: str = "echo", **changes: Any) -> None:
        """Serve another definition of a tool."""
        self.served["tools"] = [
            {**it, **changes} if it["name"] == name else it for it in self.served["tools"]
        ]

    def notify(self, method: str) -> None:
        """Say something on all streams."""
        with self._tick:
            for stream in self._streams:
                stream.append({"jsonrpc": "2.0", "method": method, "params": {}})
            self._tick.notify_all()

    # Called by the handlers

    def result(self, asked: Asked) -> dict[str, Any] | None:
        """Answer a request; None for an error."""
        self.asked.append(asked)
        if asked.method == "initialize":
            version = asked.params["protocolVersion"]
            return {**self.server, "protocolVersion": version}
        if asked.method == "server/discover":
            info = self.server["serverInfo"]
            rest = {k: v for k, v in self.server.items() if k != "serverInfo"}
            said = {"supportedVersions": [MODERN, "2025-11-25"]}
            return {**rest, **said, "_meta": {f"{META}serverInfo": info}}
        if asked.method in LISTS:
            return None if self.fails else self._list(asked)
        if asked.method == "tools/call":
            return {"content": [{"type": "text", "text": "done"}]}
        if asked.method == "prompts/get":
            return {"messages": []}
        if asked.method == "resources/read":
            return {"contents": [{"uri": asked.params["uri"], "text": "note"}]}
        if asked.method == "completion/complete":
            return {"completion": {"values": []}}
        return {}

    def _list(self, asked: Asked) -> dict[str, Any]:
        key = LISTS[asked.method]
        items = self.served[key]
        if self.shows is not None:
            items = self.shows(asked, copy.deepcopy(items))
        start = int(asked.params.get("cursor", "0"))
        end = start + self.page
        rest = {"nextCursor": str(end)} if end < len(items) else {}
        return {key: items[start:end], **rest}

    def session(self) -> str:
        self._sessions += 1
        return f"session-{self._sessions}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    turncoat: Turncoat

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = json.loads(body)
        if "id" not in message or "method" not in message:
            self._send(202, b"")
            return
        asked = Asked(
            message["method"],
            message.get("params", {}),
            self.headers.get("Mcp-Session-Id"),
            self.headers.get("User-Agent", ""),
            {name.lower(): value for name, value in self.headers.items()},
        )
        if asked.method == "subscriptions/listen":
            self._stream(message["id"])
            return
        found = self.turncoat.result(asked)
        outcome: dict[str, Any] = {"error": {"code": -32603, "message": "no"}}
        if found is not None:
            outcome = {"result": {"resultType": "complete", **found}}
        answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}).encode()
        begins = asked.method == "initialize"
        self._send(200, answer, self.turncoat.session() if begins else None)

    def do_GET(self) -> None:
        self._stream(None)

    def do_DELETE(self) -> None:
        self._send(204, b"")

    def _send(self, status: int, body: bytes, session: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if session is not None:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, message_id: object) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        waiting: list[dict[str, Any]] = []
        meta = {"_meta": {f"{META}subscriptionId": message_id}} if message_id else {}
        opened = {"jsonrpc": "2.0", "method": "notifications/message"}
        waiting.append({**opened, "params": {"level": "info", "data": "open"}})
        with self.turncoat._tick:
            self.turncoat._streams.append(waiting)
        with contextlib.suppress(OSError):
            while True:
                with self.turncoat._tick:
                    self.turncoat._tick.wait_for(lambda: waiting, timeout=0.5)
                    said, waiting[:] = list(waiting), []
                for it in said:
                    it["params"] = {**it["params"], **meta}
                    self.wfile.write(b"data: " + json.dumps(it).encode() + b"\n\n")
                if not said:
                    self.wfile.write(b": quiet\n\n")
                self.wfile.flush()


@contextlib.contextmanager
def turncoat() -> Iterator[Turncoat]:
    """Run one on a free port."""
    made = Turncoat()
    handler = type("Handler", (_Handler,), {"turncoat": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
