"""The Unix socket of hosted servers, spoken to directly: by clients, and by intruders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from bascule.app.stdio import socket_path
from bascule.gateway.hosted_sessions import MAX_SESSIONS_OF_USER
from patience import PATIENCE
from system.server import Installation, body_of, headers_of
from system.stdio_gateway import MORE_SERVERS, serving

ALICE = {"Bascule-User": "user:alice", "Bascule-Agent": "bascule-cli"}
BOB = {**ALICE, "Bascule-User": "user:bob"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}


@pytest.fixture(scope="module")
def bascule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("face")
    with serving(folder, "--era", "both", more=MORE_SERVERS) as made:
        yield made


def http(bascule: Installation, headers: Mapping[str, str]) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(uds=str(socket_path(bascule.data)))
    return httpx2.AsyncClient(transport=transport, headers=dict(headers), timeout=PATIENCE)


def send(
    bascule: Installation,
    verb: str,
    path: str,
    headers: Mapping[str, str],
    message: Mapping[str, Any] | None = None,
) -> httpx2.Response:
    """Send one request to the socket."""

    async def main() -> httpx2.Response:
        async with http(bascule, headers) as client:
            url = f"http://stdio{path}"
            body = None if message is None else json.dumps(message)
            return await client.request(verb, url, content=body)

    return asyncio.run(main())


def begun(bascule: Installation, who: Mapping[str, str], name: str = "desk") -> str:
    """Begin a session."""
    answer = send(bascule, "POST", f"/{name}", who, INITIALIZE)
    assert answer.status_code == 200
    assert answer.json()["result"]["protocolVersion"] == "2025-06-18"
    return str(answer.headers["mcp-session-id"])


@pytest.mark.parametrize(
    ("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")]
)
def test_a_client_of_others_speaks_to_it(
    mode: str, version: str, bascule: Installation
) -> None:
    async def main() -> None:
        async with (
            http(bascule, ALICE) as client,
            Client(
                streamable_http_client("http://stdio/desk", http_client=client), mode=mode
            ) as session,
        ):
            assert session.protocol_version == version
            tools = (await session.list_tools()).tools
            assert [it.name for it in tools] == ["echo", "env", "forbidden"]
            called = await session.call_tool("echo", {"a": 1})
            assert called.structured_content is not None
            assert called.structured_content["arguments"] == {"a": 1}

    asyncio.run(main())


def test_a_session_is_its_users_alone(bascule: Installation) -> None:
    session = {"Mcp-Session-Id": begun(bascule, ALICE)}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert send(bascule, "POST", "/desk", {**ALICE, **session}, ping).status_code == 200
    for verb in ("POST", "GET", "DELETE"):
        message = ping if verb == "POST" else None
        assert send(bascule, verb, "/desk", {**BOB, **session}, message).status_code == 404
        assert (
            send(bascule, verb, "/time", {**ALICE, **session}, message).status_code == 404
        )
    assert send(bascule, "DELETE", "/desk", {**ALICE, **session}).status_code == 204
    assert send(bascule, "POST", "/desk", {**ALICE, **session}, ping).status_code == 404


def test_without_a_session_an_older_request_is_refused(bascule: Installation) -> None:
    listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    assert send(bascule, "POST", "/desk", ALICE, listed).status_code == 400
    assert send(bascule, "GET", "/desk", ALICE).status_code == 400


def test_the_same_id_twice_in_a_session_is_refused(bascule: Installation) -> None:
    headers = {**ALICE, "Mcp-Session-Id": begun(bascule, ALICE)}
    hangs = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "hangs"}}

    async def main() -> None:
        async with http(bascule, headers) as client:
            url, body = "http://stdio/desk", json.dumps(hangs)
            first = asyncio.create_task(client.post(url, content=body))
            second = asyncio.create_task(client.post(url, content=body))
            done, _ = await asyncio.wait(
                {first, second}, return_when=asyncio.FIRST_COMPLETED
            )
            (refused,) = done
            assert refused.result().status_code == 400
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
            cancel = json.dumps({**note, "params": {"requestId": 9}})
            assert (await client.post(url, content=cancel)).status_code == 202
            ended = [await it for it in (first, second) if it not in done]
            assert ended[0].json()["error"]["code"] == 499

    asyncio.run(main())


@pytest.mark.parametrize("headers", [{}, {"Bascule-User": "user:alice"}])
def test_a_users_own_process_is_for_named_callers_alone(
    headers: dict[str, str], bascule: Installation
) -> None:
    body = body_of("tools/list")
    sent = {**headers_of(body, None), **headers}
    assert send(bascule, "POST", "/own", sent, body).status_code == 400
    assert send(bascule, "POST", "/own", {**sent, **ALICE}, body).status_code == 200


def test_headers_that_contradict_the_body_are_refused(bascule: Installation) -> None:
    body = body_of("tools/call", {"name": "echo", "arguments": {}})
    headers = {**headers_of(body, None), **ALICE, "Mcp-Name": "env"}
    answer = send(bascule, "POST", "/desk", headers, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


def test_what_is_not_hosted_is_not_there(bascule: Installation) -> None:
    for path in ("/", "/nothing", "/desk/more", "/DESK"):
        assert send(bascule, "POST", path, ALICE, INITIALIZE).status_code == 404


def test_an_intruder_in_the_sockets_folder_stops_the_start(tmp_path: Path) -> None:
    with serving(tmp_path) as own:
        own.stop()
        folder = socket_path(own.data).parent
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        folder.symlink_to(elsewhere)
        result = own.run_up()
    assert result.returncode == 3
    assert "belongs to another user" in result.stderr
    assert list(elsewhere.iterdir()) == []


def test_a_user_with_too_many_sessions_loses_the_oldest_of_their_own(
    bascule: Installation,
) -> None:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}

    async def main() -> None:
        async with http(bascule, {}) as client:
            url, body = "http://stdio/desk", json.dumps(INITIALIZE)

            async def begin(who: Mapping[str, str]) -> str:
                answer = await client.post(url, content=body, headers=dict(who))
                return str(answer.headers["mcp-session-id"])

            async def status(who: Mapping[str, str], session: str) -> int:
                headers = {**who, "Mcp-Session-Id": session}
                answer = await client.post(url, content=json.dumps(ping), headers=headers)
                return answer.status_code

            carol = {**ALICE, "Bascule-User": "user:carol"}
            bobs, first = await begin(BOB), await begin(carol)
            others = [await begin(carol) for _ in range(MAX_SESSIONS_OF_USER)]
            assert await status(carol, first) == 404
            assert await status(carol, others[0]) == await status(BOB, bobs) == 200

    asyncio.run(main())


def test_a_request_for_other_definitions_is_not_taken(bascule: Installation) -> None:
    """Each process has an edition of its own, and each change that it tells of."""
    listed = body_of("tools/list")
    headers = {**headers_of(listed, None), **ALICE}

    def edition() -> str:
        answer = send(bascule, "POST", "/desk", headers, listed)
        return str(answer.headers["etag"])

    def call(condition: str, name: str = "echo") -> int:
        body = body_of("tools/call", {"name": name, "arguments": {}})
        more = {**headers_of(body, None), **ALICE, "If-Match": condition}
        return send(bascule, "POST", "/desk", more, body).status_code

    first = edition()
    assert edition() == first
    assert call(first) == 200
    assert call('"0.0"') == 412
    assert call(first, "changes") == 200
    assert edition() != first
    assert call(first) == 412
    assert call(edition()) == 200
    begun = edition()
    assert call(begun, "dies") == 502
    assert call(begun) == 412
