"""A client's side of MCP in either era, over whatever sends its messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from bascule.errors import BasculeError

Answered = tuple[Mapping[str, str], bytes]
"""Header fields, by names in lower case, and body."""


class GaveUpError(BasculeError):
    """The server does not let us in."""


class Sender(Protocol):
    """What a session sends its messages with."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send one. Raises `GaveUpError` where there is no good answer."""
        ...


class Session:
    """JSON-RPC in the era that the suite asks for."""

    def __init__(self, outbound: Sender, revision: str) -> None:
        self._outbound = outbound
        self._revision = revision
        self._session: str | None = None
        self._count = 0

    @property
    def _is_modern(self) -> bool:
        return self._revision >= "2026-07-28"

    async def begin(self) -> None:
        """Greet the server as the revision wants it."""
        who = {"name": "bascule", "version": "1"}
        if self._is_modern:
            await self.ask("server/discover", {})
            return
        greeting = {
            "protocolVersion": self._revision,
            "capabilities": {},
            "clientInfo": who,
        }
        await self.ask("initialize", greeting)
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"}, {})

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask one thing, and give the result."""
        self._count += 1
        headers = {}
        if self._is_modern:
            headers["Mcp-Method"] = method
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
            params = {**params, "_meta": _meta(self._revision)}
        message = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        found = await self._send(message, headers)
        assert found is not None
        if "error" in found:
            raise GaveUpError(f"{method}: {found['error']}")
        return dict(found["result"])

    async def _send(
        self, message: dict[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any] | None:
        fixed = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if self._is_modern or message["method"] != "initialize":
            fixed["MCP-Protocol-Version"] = self._revision
        if self._session is not None:
            fixed["Mcp-Session-Id"] = self._session
        found, body = await self._outbound.post(
            {**fixed, **headers}, json.dumps(message).encode()
        )
        self._session = found.get("mcp-session-id", self._session)
        if found.get("content-type", "").startswith("text/event-stream"):
            return _answer_of(body.decode(), message.get("id"))
        return dict(json.loads(body)) if body else None


def _meta(revision: str) -> dict[str, Any]:
    prefix = "io.modelcontextprotocol"
    return {
        f"{prefix}/protocolVersion": revision,
        f"{prefix}/clientInfo": {"name": "bascule", "version": "1"},
        f"{prefix}/clientCapabilities": {},
    }


def _answer_of(events: str, id_: object) -> dict[str, Any] | None:
    for line in events.splitlines():
        if line.startswith("data:") and (text := line[5:].strip()):
            message = json.loads(text)
            if message.get("id") == id_ and "method" not in message:
                return dict(message)
    return None
