"""A client of the revisions before 2026-07-28 that speaks raw HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from system.server import Answer, Installation

VERSION = "2025-11-25"
CAPABILITIES = {"elicitation": {}, "sampling": {}, "roots": {"listChanged": True}}


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event of a stream."""

    data: str
    id: str | None = None
    retry: str | None = None

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found


class EventStream:
    """An answer that comes in events."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status

    def next(self) -> SentEvent | None:
        """Wait for the next event; None at the end, however that came."""
        fields: dict[str, str] = {}
        try:
            for line in self._response:
                name, _, value = line.decode().rstrip("\n").partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif not line.strip() and "data" in fields:
                    found = (fields["data"], fields.get("id"), fields.get("retry"))
                    return SentEvent(*found)
        except (OSError, http.client.HTTPException):
            return None
        return None

    def expect(self) -> SentEvent:
        """Wait for the next event, which must come."""
        found = self.next()
        assert found is not None, "the stream has ended"
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()
        self._connection.close()


@dataclass(slots=True)
class LegacyClient:
    """One session, once it is begun."""

    bascule: Installation
    token: str | None
    connector: str = "lodge"
    session: str | None = None
    version: str | None = VERSION
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/c/{self.connector}/mcp"

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            **({"Mcp-Session-Id": self.session} if self.session is not None else {}),
            **({"MCP-Protocol-Version": self.version} if self.version else {}),
            **self.extra,
        }

    def post(self, message: Mapping[str, Any] | bytes) -> Answer:
        return self.bascule.send(message, self.headers(), path=self.path)

    def verb(self, verb: str) -> Answer:
        return self.bascule.send(b"", self.headers(), path=self.path, verb=verb)

    def initialize(self, version: str = VERSION, name: str = "raw", **more: Any) -> Answer:
        """Begin a session."""
        params = {
            "protocolVersion": version,
            "capabilities": CAPABILITIES,
            "clientInfo": {"name": name, "version": "1"},
            **more,
        }
        headers = self.headers()
        headers.pop("MCP-Protocol-Version", None)
        answer = self.bascule.send(
            request("initialize", params, 0), headers, path=self.path
        )
        self.session = answer.headers.get("mcp-session-id")
        return answer

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        message_id: int | str = 7,
    ) -> Answer:
        return self.post(request(method, params, message_id))

    def tool(self, name: str, message_id: int | str = 7, **arguments: Any) -> Answer:
        return self.call("tools/call", {"name": name, "arguments": arguments}, message_id)

    def notify(self, method: str, **params: Any) -> Answer:
        return self.post({"jsonrpc": "2.0", "method": method, "params": params})

    def reply(self, message_id: object, result: object) -> Answer:
        return self.post({"jsonrpc": "2.0", "id": message_id, "result": result})

    def stream(
        self, name: str, meta: Mapping[str, Any] | None = None, message_id: int | str = 7
    ) -> EventStream:
        """Call a tool that answers in events."""
        params = {"name": name, "arguments": {}, **({"_meta": meta} if meta else {})}
        return self.open("POST", request("tools/call", params, message_id))

    def listen(self, place: str | None = None) -> EventStream:
        """Open the session's own stream, or resume one that broke."""
        self.extra = {"Last-Event-ID": place} if place is not None else {}
        try:
            return self.open("GET", None)
        finally:
            self.extra = {}

    def open(self, verb: str, message: Mapping[str, Any] | None) -> EventStream:
        connection = self.bascule.connect()
        body = None if message is None else json.dumps(message)
        connection.request(verb, self.path, body, self.headers())
        return EventStream(connection)


def request(
    method: str, params: Mapping[str, Any] | None = None, message_id: int | str = 7
) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": message_id,
        "method": method,
        "params": dict(params or {}),
    }
