"""Requests of Bascule's own to its public side, as a client would make them."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bascule.net.fetch import USER_AGENT
from bascule.protocol import modern

SECONDS = 30.0
"""For each piece of an answer; a slow server behind is waited for."""
MAX_ANSWER_BYTES = 16 << 20
CLIENT = {"name": "bascule-doctor", "version": "1"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The JSON object in it, also as the last event of a stream; empty without one."""
        data = self.body
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            lines = [line for line in data.splitlines() if line.startswith(b"data:")]
            data = lines[-1].removeprefix(b"data:") if lines else b""
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(data, type=dict[str, Any])
        return {}

    @property
    def error_code(self) -> object:
        """Code of the JSON-RPC error; None without one."""
        error = self.message.get("error")
        return error.get("code") if isinstance(error, dict) else None


class Probe:
    """Talks to one gateway under the address that clients use."""

    def __init__(self, public_url: str) -> None:
        self._url = urlsplit(public_url)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Get a path. Raises OSError."""
        return self._send("GET", path, headers or {}, None)

    def call(
        self,
        connector: str,
        token: str | None,
        method: str,
        *,
        origin: str | None = None,
        **params: object,
    ) -> Reply:
        """Send a request of MCP 2026-07-28. Raises OSError."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": modern.VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": CLIENT,
        }
        headers = {"MCP-Protocol-Version": modern.VERSION, "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = str(params["name"])
        if origin is not None:
            headers["Origin"] = origin
        body = {"id": 1, "method": method, "params": {**params, "_meta": meta}}
        return self.post(connector, token, headers, body)

    def list_tools(self, connector: str, token: str) -> Reply:
        """List tools in a revision that the server behind speaks. Raises OSError."""
        reply = self.call(connector, token, "tools/list")
        error = reply.message.get("error")
        data = error.get("data") if isinstance(error, dict) else None
        spoken = data.get("supported") if isinstance(data, dict) else None
        if not isinstance(spoken, list) or modern.VERSION in spoken:
            return reply
        with self._session(connector, token, max(map(str, spoken))) as (begun, headers):
            if begun.status != 200 or "result" not in begun.message:
                return begun
            body = {"id": 2, "method": "tools/list", "params": {}}
            return self.post(connector, token, headers, body)

    @contextlib.contextmanager
    def _session(
        self, connector: str, token: str, version: str
    ) -> Iterator[tuple[Reply, dict[str, str]]]:
        """Begin a session of an older revision, and end it."""
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}
        body: dict[str, object] = {"id": 1, "method": "initialize", "params": params}
        begun = self.post(connector, token, {}, body)
        headers = {"MCP-Protocol-Version": version}
        session = begun.headers.get("mcp-session-id")
        if session is not None:
            headers["Mcp-Session-Id"] = session
        if begun.status == 200:
            self.post(connector, token, headers, {"method": "notifications/initialized"})
        yield begun, headers
        if session is not None:
            authorized = {**headers, "Authorization": f"Bearer {token}"}
            self._send("DELETE", f"/c/{connector}/mcp", authorized, None)

    def post(
        self,
        connector: str,
        token: str | None,
        headers: Mapping[str, str],
        body: Mapping[str, object],
    ) -> Reply:
        """Send a message of one's own making. Raises OSError."""
        full = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
            **headers,
        }
        data = msgspec.json.encode({"jsonrpc": "2.0", **body})
        return self._send("POST", f"/c/{connector}/mcp", full, data)

    def _send(
        self, verb: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=SECONDS)
        with contextlib.closing(connection):
            try:
                connection.request(verb, path, body, {"User-Agent": USER_AGENT, **headers})
                response = connection.getresponse()
                found = {name.lower(): value for name, value in response.getheaders()}
                return Reply(response.status, found, response.read(MAX_ANSWER_BYTES))
            except http.client.HTTPException as exc:
                raise OSError("what answers speaks no HTTP") from exc
