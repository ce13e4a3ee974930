"""An MCP server that wants a token with a scope for each tool, of an authorization server.

It stands for any server that people use as themselves, well meant or not: its tool `greedy`
never has enough. The authorization server is a real one (`company.py`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bascule.lock.surface import FORMAT, Context, Document, identity_of

READ, WRITE = "desk.read", "desk.write"
NEEDS = {"echo": [READ], "write": [READ, WRITE], "greedy": [READ]}
SCOPES = " ".join([READ, WRITE, *(f"more.{it}" for it in range(1, 9))])
"""What the authorization server gives for it."""
SERVER = {
    "serverInfo": {"name": "guarded", "version": "1"},
    "capabilities": {"tools": {}},
    "instructions": "Be kind.",
}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in NEEDS]


@dataclass(slots=True)
class Guarded:
    """One that runs; it is several resources, a path each."""

    issuer: str
    port: int = 0
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    """Tools that were asked for, each with the scopes of its token."""
    refuses: set[str] = field(default_factory=set)
    """Tokens that are taken no more, whatever they say."""
    tokens: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def document(self) -> Document:
        """Give the surface of what it serves."""
        tools = {it["name"]: (it,) for it in TOOLS}
        return Document(
            FORMAT,
            Context(),
            server=(identity_of(SERVER),),
            instructions=(SERVER["instructions"],),
            tools=tools,
            prompts={},
            resource_templates={},
        )

    def missing(self, method: str, name: str, token: str) -> list[str] | None:
        """Give the scopes to ask for; None where the token has them."""
        held = _scopes(token)
        if method == "tools/call":
            self.calls.append((name, held))
        wanted = NEEDS.get(name, [READ])
        if name == "greedy":
            wanted = [*wanted, f"more.{sum(it.startswith('more') for it in held) + 1}"]
        return None if set(wanted) <= set(held) else wanted


def _scopes(token: str) -> list[str]:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims.get("scope", "")).split()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    guarded: Guarded

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        prefix = "/.well-known/oauth-protected-resource"
        if not self.path.startswith(f"{prefix}/"):
            self._send(405, {})
            return
        resource = self.guarded.origin + self.path.removeprefix(prefix)
        servers = [self.guarded.issuer]
        self._send(200, {"resource": resource, "authorization_servers": servers})

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, params = message["method"], message.get("params", {})
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        where = f"{self.guarded.origin}/.well-known/oauth-protected-resource{self.path}"
        if not token or token in self.guarded.refuses:
            self._send(401, {}, f'Bearer resource_metadata="{where}", scope="{READ}"')
            return
        self.guarded.tokens.append(token)
        missing = self.guarded.missing(method, params.get("name", ""), token)
        if missing is not None:
            error = f'Bearer error="insufficient_scope", scope="{" ".join(missing)}"'
            self._send(403, {}, f'{error}, resource_metadata="{where}"')
            return
        if "id" not in message:
            self._send(202, {})
            return
        result = _result(method, params)
        self._send(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _send(self, status: int, said: dict[str, Any], challenge: str = "") -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)


def _result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "initialize":
            return {**SERVER, "protocolVersion": params["protocolVersion"]}
        case "tools/list":
            return {"resultType": "complete", "tools": TOOLS}
        case _:
            text = {"type": "text", "text": str(params.get("name"))}
            return {"resultType": "complete", "content": [text]}


@contextlib.contextmanager
def guarded(issuer: str) -> Iterator[Guarded]:
    """Run one on a free port, with tokens of that issuer."""
    made = Guarded(issuer)
    handler = type("Handler", (_Handler,), {"guarded": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
