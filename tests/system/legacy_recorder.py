"""An upstream of the revisions before 2026-07-28 that records and misbehaves on demand.

Which way it answers a `tools/call` is the tool's name. A session of it is `raw/N`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from system.recorder import FORBIDDEN, Conversation, content

ASKED_ID = "ask of the upstream"
LAST_EVENT = "event/1 of"
PROGRESS_OF_ASK = "progress of the ask"
FLOOD_OF_ASKS = 300
HUGE_EVENT_BYTES = 20 << 20


class LegacyServer:
    """All its sessions, and what its clients have answered."""

    def __init__(self, *, sessions: bool = True) -> None:
        self._sessions = sessions
        self._begun: set[str] = set()
        self._count = 0
        self._answers: dict[tuple[str, Any], asyncio.Future[dict[str, Any]]] = {}
        self._suspended: dict[str, bytes] = {}
        self._listeners: dict[str, Conversation] = {}
        self.poured = 0
        """Bytes that `pours` got rid of."""
        self.blocked = threading.Event()
        """Set when `pours` gets rid of no more."""

    async def __call__(self, it: Conversation) -> None:
        """Answer one HTTP request."""
        verb = it.request.head.partition(b" ")[0]
        session = it.request.headers.get("mcp-session-id", "")
        if verb == b"POST" and it.request.message.get("method") == "initialize":
            await self._initialize(it)
        elif self._sessions and session not in self._begun:
            await it.whole(b'{"error":"no such session"}', status="404 Not Found")
        elif verb == b"DELETE":
            self._begun.discard(session)
            await it.raw(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif verb == b"GET":
            await self._listen(it, session)
        elif "method" not in it.request.message:
            answered = self._answers.pop((session, it.id), None)
            if answered is not None:
                answered.set_result(it.request.message)
            await accepted(it)
        elif it.id is None:
            await accepted(it)
        else:
            await self._request(it, session)

    async def _initialize(self, it: Conversation) -> None:
        params = it.request.params
        if params["clientInfo"]["name"] == "unwanted":
            error = {"code": -32602, "message": "go away"}
            body = {"jsonrpc": "2.0", "id": it.id, "error": error}
            await it.whole(json.dumps(body).encode(), status="400 Bad Request")
            return
        version = params["protocolVersion"]
        if params["clientInfo"]["name"] == "ancient":
            version = "2024-11-05"
        body = it.response(
            {
                "protocolVersion": version,
                "capabilities": {"tools": {"listChanged": True}, "tasks": {"list": {}}},
                "serverInfo": {"name": "old desk", "version": "0.1"},
                "instructions": "knock first",
            }
        )
        header = b""
        if self._sessions:
            self._count += 1
            session = f"raw/{self._count}"
            self._begun.add(session)
            header = b"Mcp-Session-Id: %b\r\n" % session.encode()
        await it.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b"
            b"Content-Length: %d\r\n\r\n%b" % (header, len(body), body)
        )

    async def _request(self, it: Conversation, session: str) -> None:
        params = it.request.params
        match it.request.message["method"]:
            case "tools/call":
                await TOOLS.get(params["name"], echo)(self, it, session)
            case "tools/list" if params.get("_meta", {}).get("late"):
                await self._suspend(it, session, it.response(listed()))
            case "tools/list":
                await it.result(listed())
            case _:
                await it.result({})

    async def _listen(self, it: Conversation, session: str) -> None:
        """Speak unasked; or, after a place in a stream, say what was left to say."""
        await it.stream()
        place = it.request.headers.get("last-event-id")
        if place is not None:
            await it.event(self._suspended.pop(place, b'{"jsonrpc":"2.0"}'))
            await it.end()
            return
        await it.notify("notifications/tools/list_changed")
        await it.notify("notifications/resources/updated", uri="secret:one")
        await it.notify("notifications/resources/updated", uri="note:one")
        await it.event({"jsonrpc": "2.0", "id": "of nobody", "result": {}})
        await it.event({"jsonrpc": "2.0", "id": 0, "method": "ping"})
        self._listeners[session] = it
        await it.gone

    async def ask(
        self, it: Conversation, session: str, ask_id: Any, method: str, **params: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Ask the client; gives what it will answer."""
        answered: asyncio.Future[dict[str, Any]] = asyncio.Future()
        self._answers[session, ask_id] = answered
        body = {"jsonrpc": "2.0", "id": ask_id, "method": method, "params": params}
        await it.event(body)
        return answered

    async def _suspend(self, it: Conversation, session: str, body: bytes) -> None:
        """End the stream before the answer, which is left for who resumes it."""
        place = f"{LAST_EVENT} {session}"
        self._suspended[place] = body
        await it.stream()
        await it.chunk(b"id: %b\nretry: 10\ndata: \n\n" % place.encode())
        await it.end()

    async def pokes(self, it: Conversation, session: str) -> None:
        """Have the server speak on the session's own stream."""
        listener = self._listeners[session]
        await listener.notify("notifications/resources/updated", uri="note:one")
        await self.ask(listener, session, 5, "elicitation/create", message="now?")
        await listener.notify("notifications/prompts/list_changed")
        await it.result(content("poked"))

    async def suspends(self, it: Conversation, session: str) -> None:
        await self._suspend(it, session, it.response(content("late")))


async def accepted(it: Conversation) -> None:
    await it.raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def listed() -> dict[str, Any]:
    return {"tools": [{"name": name, "inputSchema": {}} for name in [*TOOLS, FORBIDDEN]]}


async def echo(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.result(content(json.dumps(it.request.params)))


async def streams(server: LegacyServer, it: Conversation, session: str) -> None:
    """Progress of this call and of a stranger's, a log line, then the result."""
    token = it.request.params["_meta"]["progressToken"]
    await it.stream()
    await it.notify("notifications/progress", progressToken=token, progress=1)
    await it.notify("notifications/progress", progressToken="of another", progress=9)
    await it.notify("notifications/progress", progressToken=f"{token}0", progress=8)
    await it.notify("notifications/message", level="info", data="half way")
    await it.event(it.response(content("done")))
    await it.end()


async def asks(server: LegacyServer, it: Conversation, session: str) -> None:
    """Ask the user, and give the whole answer as the result."""
    await it.stream()
    meta = {"progressToken": PROGRESS_OF_ASK}
    answered = await server.ask(
        it, session, ASKED_ID, "elicitation/create", message="sure?", _meta=meta
    )
    await it.event(it.response(content(json.dumps(await answered))))
    await it.end()


async def asks_model(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    answered = await server.ask(it, session, 1, "sampling/createMessage", maxTokens=1)
    await it.event(it.response(content(json.dumps(await answered))))
    await it.end()


async def asks_anything(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    answered = await server.ask(it, session, 1, "tasks/cancel", taskId="1")
    await it.event(it.response(content(json.dumps(await answered))))
    await it.end()


async def asks_and_withdraws(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    await server.ask(it, session, ASKED_ID, "elicitation/create", message="sure?")
    await it.notify("notifications/cancelled", requestId="never asked")
    await it.notify("notifications/cancelled", requestId=ASKED_ID, reason="too late")
    await it.event(it.response(content("never mind")))
    await it.end()


async def floods_asks(server: LegacyServer, it: Conversation, session: str) -> None:
    """Ask far more than any user could answer; what is refused is answered."""
    await it.stream()
    answered = [
        await server.ask(it, session, number, "elicitation/create", message="?")
        for number in range(FLOOD_OF_ASKS)
    ]
    refused = await asyncio.gather(*answered[64:])
    codes = {reply["error"]["code"] for reply in refused}
    await it.event(it.response(content(f"{len(refused)} {codes}")))
    await it.end()


async def hangs(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.gone


async def opens(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    await it.notify("notifications/message", level="info", data="open")
    await it.gone


async def pours(server: LegacyServer, it: Conversation, session: str) -> None:
    """Send without end until nobody takes more; note how much was taken."""
    await it.stream()
    body = {"method": "notifications/message", "params": {"data": "x" * (64 << 10)}}
    data = b"data: %b\n\n" % json.dumps({"jsonrpc": "2.0", **body}).encode()
    try:
        while True:
            async with asyncio.timeout(0.5):
                await it.chunk(data)
            server.poured += len(data)
    except TimeoutError:
        server.blocked.set()
    await it.gone


async def forgets(server: LegacyServer, it: Conversation, session: str) -> None:
    """Lose the session, as a server does that was started anew."""
    server._begun.discard(session)
    await it.whole(b"{}", status="404 Not Found")


async def foreign_id(server: LegacyServer, it: Conversation, session: str) -> None:
    it.id = f"x{it.id}"
    await it.result(content("for somebody else"))


async def stream_foreign_id(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    it.id = f"x{it.id}"
    await it.event(it.response(content("for somebody else")))
    await it.gone


async def garbage(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    await it.event(b"{not json")
    await it.gone


async def huge_event(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.stream()
    await it.chunk(b"data: ")
    for _ in range(HUGE_EVENT_BYTES >> 16):
        await it.chunk(b"x" * (1 << 16))
    await it.gone


async def refuses(server: LegacyServer, it: Conversation, session: str) -> None:
    await it.whole(b'{"error":"who are you"}', status="401 Unauthorized")


Tool = Callable[[LegacyServer, Conversation, str], Awaitable[None]]
TOOLS: dict[str, Tool] = {
    "suspends": LegacyServer.suspends,
    "pokes": LegacyServer.pokes,
    **{
        tool.__name__: tool
        for tool in (
            echo,
            streams,
            asks,
            asks_model,
            asks_anything,
            asks_and_withdraws,
            floods_asks,
            hangs,
            opens,
            pours,
            forgets,
            foreign_id,
            stream_foreign_id,
            garbage,
            huge_event,
            refuses,
        )
    },
}
