"""One small real MCP server with switches: hardened as it comes, and each harms it.

with twin(token=False, checks_host=False) as server:
    probe(server.url)
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import queue
import secrets
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from bascule.protocol import modern

TOKEN = "twin-token-canary"
TOOL = {"name": "add", "inputSchema": {"type": "object"}}
RESOURCE = "/.well-known/oauth-protected-resource/mcp"
ISSUER = "/.well-known/oauth-authorization-server"
REGISTER = "/register"
PATHS = {"modern": "/mcp", "legacy": "/mcp", "sse": "/sse"}


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What the server does; nothing that is wrong, unless somebody says so."""

    era: Literal["modern", "legacy", "sse"] = "modern"
    address: str = "127.0.0.1"
    """Where it listens."""
    port: int = 0
    """0: one that the system chooses."""
    token: bool = True
    """Ask for a token, and take `TOKEN`."""
    tells: bool = False
    """Say what it is without one."""
    takes: Literal["own", "any", "any_jwt", "unsigned_jwt"] = "own"
    """Which bearer tokens are good."""
    checks_origin: bool = True
    checks_host: bool = True
    compares: Literal["all", "beginning"] = "all"
    """How it holds Origin and Host against its own."""
    refuses_with: int = 403
    """What a foreign Origin or Host gets."""
    bans: bool = False
    """Refuse everything once something was refused because of Origin or Host."""
    cors: Literal["none", "any", "narrow", "blind", "reflected", "credentials"] = "none"
    """`narrow`: any origin, and no header that a session needs; `blind`: any origin may
    ask, and none may read."""
    checks_type: bool = True
    """Take nothing but application/json."""
    runs_get: bool = False
    """Do what the query of a GET says."""
    sessions: Literal["random", "counter", "fixed", "short", "none"] = "random"
    checks_session: bool = True
    checks_mirrors: bool = True
    says: str = "Add two numbers."
    """Of its tool."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each answer."""
    info: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "twin", "version": "1.0.0"}
    )
    refusal: Mapping[str, Any] = field(default_factory=lambda: {"error": "invalid_token"})
    """What it says to whom it does not know."""
    status: int = 401
    """What it says it with."""
    breaks_on_tokens: bool = False
    """Answer 500 to tokens that it does not know."""
    challenge: str | None = None
    """`WWW-Authenticate`, with `{origin}` in it; empty for none, None for the right one."""
    resource: Mapping[str, Any] | None = field(default_factory=dict)
    """Members of the resource's metadata that are other than they should be; None as a
    value leaves one out. None: no such document."""
    issuer: Mapping[str, Any] | None = field(default_factory=dict)
    """The same of the authorization server's."""
    registers: int = 401
    """What a stranger gets who registers a client."""
    tls: ssl.SSLContext | None = None
    documents: Mapping[str, tuple[int, Mapping[str, str], bytes]] = field(
        default_factory=dict
    )
    """Other answers to GET, by path."""
    hangs_at: str = ""
    """A path that has no answer before the client goes."""


@dataclass(slots=True)
class Running:
    """A twin that runs, and what it was asked."""

    port: int
    path: str
    secure: bool = False
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, target, headers with names in lower case, body."""

    @property
    def origin(self) -> str:
        return f"http{'s' if self.secure else ''}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.origin + self.path


@contextlib.contextmanager
def twin(kind: Twin | None = None, **switches: Any) -> Iterator[Running]:
    """Run one on loopback, on a port that the system chooses."""
    kind = kind or Twin(**switches)
    handler = type("Handler", (_Handler,), {"twin": kind})
    server = ThreadingHTTPServer((kind.address, kind.port), handler)
    server.daemon_threads = True
    if kind.tls is not None:
        server.socket = kind.tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    secure = kind.tls is not None
    running = Running(server.server_address[1], PATHS[kind.era], secure)
    handler.running = running  # type: ignore[attr-defined]
    handler.live = _Live()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Live:
    """Sessions that are open."""

    def __init__(self) -> None:
        self._next = itertools.count(1000)
        self.open: dict[str, queue.Queue[bytes]] = {}
        self.banned = False

    def begin(self, kind: str) -> str:
        session = {
            "random": secrets.token_hex(16),
            "counter": str(next(self._next)),
            "fixed": "the-one-session",
            "short": secrets.token_hex(2),
            "none": "",
        }[kind]
        self.open[session] = queue.Queue()
        return session


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1
    """Head and body go together: else each answer waits for an acknowledgement."""
    twin: Twin
    running: Running
    live: _Live

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = self._begin()
        if parts.path == self.twin.hangs_at:
            self.connection.recv(1)
            self.close_connection = True
        elif parts.path in self.twin.documents:
            status, headers, body = self.twin.documents[parts.path]
            self._send(status, body, **headers)
        elif (document := self._document(parts.path)) is not None:
            self._json(200, document)
        elif parts.path != self.running.path:
            self._json(404, {"error": "not found"})
        elif self._admitted():
            if self.twin.era == "sse":
                self._stream()
            elif self.twin.runs_get and "method" in (query := parse_qs(parts.query)):
                message = {"jsonrpc": "2.0", "id": 1, "method": query["method"][0]}
                self._json(200, self._answer({**message, "params": {}}))
            else:
                self._json(405, {"error": "POST only"})

    def do_OPTIONS(self) -> None:
        self._begin()
        self._send(204 if self.twin.cors != "none" else 405, b"")

    def do_DELETE(self) -> None:
        self._begin()
        gone = self.live.open.pop(self.headers.get("Mcp-Session-Id", ""), None)
        self._send(404 if gone is None else 200, b"")

    def do_POST(self) -> None:
        parts = self._begin()
        body = self.running.seen[-1][3]
        if parts.path == REGISTER:
            self._json(self.twin.registers, {"error": "invalid_client_metadata"})
            return
        posts_to = "/messages" if self.twin.era == "sse" else self.running.path
        if parts.path != posts_to:
            self._json(404, {"error": "not found"})
            return
        try:
            message = json.loads(body)
        except ValueError:
            self._json(400, _error(None, -32700, "not JSON"))
            return
        if self._admitted(str(message.get("method"))):
            self._take(message, parts.query)

    def _begin(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.running.seen.append(
            (self.command, self.path, headers, self.rfile.read(length))
        )
        return urlsplit(self.path)

    def _admitted(self, method: str = "") -> bool:
        """Answer who may not go on, and tell who may."""
        running = self.running
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if self.live.banned:
            self._json(403, {"error": "banned"})
        elif self.twin.checks_host and self._is_foreign(
            host, running.origin.partition("://")[2]
        ):
            self._refuse("host")
        elif (
            self.twin.checks_origin
            and origin is not None
            and self._is_foreign(origin, running.origin)
        ):
            self._refuse("origin")
        elif not self._known() and not (
            self.twin.tells and method in {"initialize", "server/discover"}
        ):
            breaks = self.twin.breaks_on_tokens and "Authorization" in self.headers
            status = 500 if breaks else self.twin.status
            self._json(status, self.twin.refusal, **self._challenge())
        elif (
            method
            and self.twin.checks_type
            and self.headers.get_content_type() != "application/json"
        ):
            self._json(415, {"error": "content type"})
        else:
            return True
        return False

    def _is_foreign(self, said: str, own: str) -> bool:
        if self.twin.compares == "beginning":
            return not said.startswith(own.rpartition(":")[0])
        return said != own

    def _refuse(self, why: str) -> None:
        self.live.banned = self.twin.bans
        self._json(self.twin.refuses_with, {"error": why})

    def _known(self) -> bool:
        if not self.twin.token:
            return True
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._good(token)

    def _good(self, token: str) -> bool:
        if token == TOKEN or (token and self.twin.takes == "any"):
            return True
        header, _, rest = token.partition(".")
        try:
            algorithm = json.loads(base64.urlsafe_b64decode(header + "=="))["alg"]
        except (ValueError, KeyError, TypeError):
            return False
        unsigned = algorithm == "none" and rest.endswith(".")
        return self.twin.takes == "any_jwt" or (
            self.twin.takes == "unsigned_jwt" and unsigned
        )

    def _challenge(self) -> dict[str, str]:
        text = self.twin.challenge
        if text is None:
            text = f'Bearer resource_metadata="{{origin}}{RESOURCE}", scope="tickets.read"'
        given = text.replace("{origin}", self.running.origin)
        return {"WWW-Authenticate": given} if given else {}

    def _document(self, path: str) -> dict[str, Any] | None:
        origin = self.running.origin
        if path == RESOURCE and self.twin.resource is not None:
            right: dict[str, Any] = {
                "resource": self.running.url,
                "authorization_servers": [origin],
                "scopes_supported": ["tickets.read"],
                "bearer_methods_supported": ["header"],
            }
            return _changed(right, self.twin.resource, origin)
        if path == ISSUER and self.twin.issuer is not None:
            right = {
                "issuer": origin,
                "authorization_endpoint": f"{origin}/authorize",
                "token_endpoint": f"{origin}/token",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
            return _changed(right, self.twin.issuer, origin)
        return None

    def _take(self, message: dict[str, Any], query: str) -> None:
        if self.twin.era == "sse":
            session = parse_qs(query).get("session_id", [""])[0]
            if "id" in message and session in self.live.open:
                self.live.open[session].put(json.dumps(self._answer(message)).encode())
            self._send(202 if session in self.live.open else 404, b"")
        elif self.twin.era == "modern":
            self._take_modern(message)
        else:
            self._take_legacy(message)

    def _take_modern(self, message: dict[str, Any]) -> None:
        meta = message.get("params", {}).get("_meta", {})
        version, method = meta.get(modern.PROTOCOL_VERSION), message["method"]
        said = self.headers.get("MCP-Protocol-Version"), self.headers.get("Mcp-Method")
        if method == "initialize" or version is None:
            error = _error(message.get("id"), -32022, "version")
            error["error"]["data"] = {"supported": [modern.VERSION], "requested": ""}
            self._json(400, error)
        elif self.twin.checks_mirrors and said != (version, method):
            self._json(400, _error(message["id"], -32020, "header mismatch"))
        else:
            self._json(200, self._answer(message))

    def _take_legacy(self, message: dict[str, Any]) -> None:
        method, session = message["method"], self.headers.get("Mcp-Session-Id", "")
        if method == "initialize":
            begun = self.live.begin(self.twin.sessions)
            extra = {"Mcp-Session-Id": begun} if begun else {}
            self._json(200, self._answer(message), **extra)
        elif method == "server/discover":
            self._json(400, _error(message.get("id"), -32601, "method not found"))
        elif self.twin.checks_session and session not in self.live.open:
            self._json(
                404 if session else 400, _error(message.get("id"), -32600, "session")
            )
        elif "id" in message:
            self._json(200, self._answer(message))
        else:
            self._send(202, b"")

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        modern_only = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        capabilities: dict[str, Any] = {"tools": {}}
        results: dict[str, dict[str, Any]] = {
            "initialize": {
                "protocolVersion": "2024-11-05" if self.twin.era == "sse" else "2025-11-25",
                "capabilities": capabilities,
                "serverInfo": self.twin.info,
            },
            "server/discover": {
                "supportedVersions": [modern.VERSION],
                "capabilities": capabilities,
                "_meta": {"io.modelcontextprotocol/serverInfo": self.twin.info},
            },
            "tools/list": {"tools": [{**TOOL, "description": self.twin.says}]},
        }
        result = results.get(message["method"])
        if result is None:
            return _error(message.get("id"), -32601, "method not found")
        more = modern_only if self.twin.era == "modern" else {}
        return {"jsonrpc": "2.0", "id": message.get("id"), "result": {**result, **more}}

    def _stream(self) -> None:
        session = self.live.begin(self.twin.sessions)
        self.send_response_only(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self._event("endpoint", f"/messages?session_id={session}".encode())
        waiting = self.live.open[session]
        with contextlib.suppress(OSError, queue.Empty):
            while True:
                self._event("message", waiting.get(timeout=self.timeout))

    def _event(self, name: str, data: bytes) -> None:
        self.wfile.write(b"event: %s\ndata: %s\n\n" % (name.encode(), data))
        self.wfile.flush()

    def _json(self, status: int, value: Any, **headers: str) -> None:
        self._send(
            status,
            json.dumps(value).encode(),
            **{"Content-Type": "application/json"},
            **headers,
        )

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {**self._cors(), **self.twin.headers, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cors(self) -> dict[str, str]:
        origin = self.headers.get("Origin")
        blind = self.twin.cors == "blind" and self.command != "OPTIONS"
        if self.twin.cors == "none" or origin is None or blind:
            return {}
        allowed = "*" if self.twin.cors in {"any", "narrow", "blind"} else origin
        more = {"Access-Control-Allow-Credentials": "true"}
        asked = self.headers.get("Access-Control-Request-Headers", "")
        narrow = {"Access-Control-Allow-Headers": "content-type"}
        wide = {
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Expose-Headers": "mcp-session-id",
        }
        return {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Allow-Methods": "POST",
            **(narrow if self.twin.cors == "narrow" else wide),
            **(more if self.twin.cors == "credentials" else {}),
        }


def _changed(
    right: dict[str, Any], other: Mapping[str, Any], origin: str
) -> dict[str, Any]:
    merged = {**right, **other}
    kept = {name: value for name, value in merged.items() if value is not None}
    found: dict[str, Any] = json.loads(json.dumps(kept).replace("{origin}", origin))
    return found


def _error(message_id: Any, code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": text}}
