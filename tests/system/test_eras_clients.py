"""Clients of the `mcp` SDK against servers of the same SDK, each era and both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import (
    CreateMessageResult,
    ElicitRequestURLParams,
    ElicitResult,
    TextContent,
)

from patience import PATIENCE
from system.mcp_server import running
from system.recorder import Recorder
from system.server import Installation, serving

CONNECTORS = """
[connectors.hall]
mode = "observe"
url = "http://127.0.0.1:{both}/mcp"
may_ask = ["elicitation", "sampling"]

[connectors.old]
mode = "observe"
url = "http://127.0.0.1:{legacy}/mcp"
may_ask = ["elicitation"]

[connectors.new]
mode = "observe"
url = "http://127.0.0.1:{modern}/mcp"
may_ask = ["elicitation"]

[connectors.stateless]
mode = "observe"
url = "http://127.0.0.1:{stateless}/mcp"

[connectors.whole]
mode = "observe"
url = "http://127.0.0.1:{whole}/mcp"

[connectors.strict]
mode = "observe"
url = "http://127.0.0.1:{both}/mcp"
may_ask = ["elicitation"]

[call_approvals.strict]
tools = ["strict/*"]

[roles.visitor]
members = ["user:alice", "user:bob"]
allow = [{allowed}]
"""
NAMES = ("hall", "old", "new", "stateless", "whole", "strict")
TOOLS = ("echo", "counts", "asks_name", "samples", "waits")


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    allowed = [f'"{name}/{tool}"' for name in NAMES for tool in TOOLS]
    allowed += [f'"{name}/resource:note:*"' for name in NAMES]
    with (
        running() as both,
        running("legacy") as legacy,
        running("modern") as modern,
        running("legacy", stateless_http=True) as stateless,
        running("legacy", json_response=True) as whole,
    ):
        more = CONNECTORS.format(
            both=both,
            legacy=legacy,
            modern=modern,
            stateless=stateless,
            whole=whole,
            allowed=", ".join(allowed),
        )
        folder = tmp_path_factory.mktemp("house")
        with serving(folder, recorder, more=more) as made:
            yield made


@contextlib.asynccontextmanager
async def connected(
    house: Installation, connector: str, token: str, mode: str = "auto", **more: Any
) -> AsyncIterator[Client]:
    """Connect as a user does: a URL, and a token in a header."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        url = f"{house.url}/c/{connector}/mcp"
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, **more) as made:
            yield made


async def accept(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Alice"})


async def sample(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", model="m", content=TextContent(text="4"))


def text_of(result: Any) -> str:
    return str(result.content[0].text)


REVISIONS = {
    ("hall", "auto"): "2026-07-28",
    ("hall", "legacy"): "2025-11-25",
    ("old", "auto"): "2025-11-25",
    ("old", "legacy"): "2025-11-25",
    ("new", "auto"): "2026-07-28",
    ("stateless", "auto"): "2025-11-25",
    ("whole", "auto"): "2025-11-25",
}


@pytest.mark.parametrize(("connector", "mode"), REVISIONS)
def test_a_client_finds_an_era_that_the_server_speaks(
    connector: str, mode: str, house: Installation
) -> None:
    async def use() -> None:
        token = house.token("alice", connector)
        async with connected(house, connector, token, mode) as it:
            assert it.protocol_version == REVISIONS[connector, mode]
            listed = await it.list_tools()
            assert [tool.name for tool in listed.tools] == list(TOOLS)
            resources = await it.list_resources()
            assert [str(found.uri) for found in resources.resources] == ["note:one"]
            assert text_of(await it.call_tool("echo", {"text": "grüß"})) == "grüß"
            read = await it.read_resource("note:one")
            assert "milk" in str(read.contents)
            with pytest.raises(MCPError) as caught:
                await it.call_tool("forbidden")
            assert caught.value.error.code == -32602
            with pytest.raises(MCPError):
                await it.read_resource("secret:one")

    anyio.run(use)


@pytest.mark.parametrize(
    ("connector", "mode", "theirs", "ours"),
    [
        ("old", "2026-07-28", "2025-11-25", "2026-07-28"),
        ("new", "legacy", "2026-07-28", "2025-11-25"),
    ],
)
def test_without_a_common_era_the_error_names_the_revisions_of_both(
    connector: str, mode: str, theirs: str, ours: str, house: Installation
) -> None:
    async def use() -> None:
        token = house.token("alice", connector)
        async with connected(house, connector, token, mode) as it:
            await it.list_tools()

    with pytest.raises(ExceptionGroup) as caught:
        anyio.run(use)
    problem = caught.value
    while isinstance(problem, ExceptionGroup):
        (problem,) = problem.exceptions
    assert isinstance(problem, MCPError)
    assert problem.error.data == {"supported": [theirs], "requested": ours}
    assert theirs in problem.error.message
    assert ours in problem.error.message


@pytest.mark.parametrize(
    ("connector", "mode"),
    [("hall", "legacy"), ("old", "auto")],
)
def test_what_a_server_asks_reaches_its_client_and_the_answer_the_server(
    connector: str, mode: str, house: Installation
) -> None:
    async def use() -> None:
        token = house.token("alice", connector)
        made = connected(house, connector, token, mode, elicitation_callback=accept)
        async with made as it:
            assert text_of(await it.call_tool("asks_name")) == "hello Alice"

    anyio.run(use)


def test_what_a_connector_may_not_ask_is_answered_by_the_gateway(
    house: Installation,
) -> None:
    """The client would answer, but its capability never reached the server."""

    async def use() -> None:
        token = house.token("alice", "hall")
        made = connected(house, "hall", token, "legacy", sampling_callback=sample)
        async with made as it:
            assert "4" in text_of(await it.call_tool("samples"))
        token = house.token("alice", "old")
        made = connected(house, "old", token, "legacy", sampling_callback=sample)
        async with made as it:
            with pytest.raises(MCPError, match="does not take this request"):
                await it.call_tool("samples")

    anyio.run(use)


def test_progress_and_log_arrive_before_the_result(house: Installation) -> None:
    async def use() -> None:
        seen: list[object] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            seen.append(done)

        async def logged(params: Any) -> None:
            seen.append(params.data)

        token = house.token("alice", "old")
        async with connected(house, "old", token, logging_callback=logged) as it:
            result = await it.call_tool("counts", progress_callback=progress)
            assert text_of(result) == "counted"
        assert [it for it in seen if isinstance(it, float)] == [1.0, 2.0, 3.0]
        assert "counted 3" in seen

    anyio.run(use)


def test_many_clients_with_the_same_ids_each_get_their_own_answers(
    house: Installation,
) -> None:
    """Ids, sessions and asks of clients that talk at once never meet."""

    async def one(token: str, number: int) -> None:
        async def name(context: Any, params: Any) -> ElicitResult:
            return ElicitResult(action="accept", content={"name": f"number {number}"})

        async with connected(house, "old", token, elicitation_callback=name) as it:
            for turn in range(5):
                said = f"{number} {turn}"
                assert text_of(await it.call_tool("echo", {"text": said})) == said
                result = await it.call_tool("asks_name")
                assert text_of(result) == f"hello number {number}"

    async def use() -> None:
        tokens = [house.token(user, "old") for user in ("alice", "bob")]
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(one, tokens[number % 2], number)

    anyio.run(use)


async def approve(house: Installation, url: str) -> None:
    """Do what a person does who opens the page and says yes."""
    number = url.removeprefix(f"{house.url}/approve/")
    decided = await anyio.to_thread.run_sync(house.ask, "approvals", "approve", number)
    assert decided["state"] == "approved"


def test_a_client_sends_its_user_to_approve_and_goes_on_by_itself(
    house: Installation,
) -> None:
    asked: list[str] = []

    async def open_page(context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        asked.append(params.message)
        await approve(house, params.url)
        return ElicitResult(action="accept")

    async def use() -> None:
        token = house.token("alice", "strict")
        made = connected(house, "strict", token, elicitation_callback=open_page)
        async with made as it:
            assert it.protocol_version == "2026-07-28"
            assert "echo" in [tool.name for tool in (await it.list_tools()).tools]
            for _ in range(2):
                assert text_of(await it.call_tool("echo", {"text": "bye"})) == "bye"

    anyio.run(use)
    assert len(asked) == 2
    assert all("`echo`" in message for message in asked)


def test_an_older_client_is_told_the_page_by_its_own_error(house: Installation) -> None:
    async def use() -> None:
        token = house.token("alice", "strict")
        made = connected(house, "strict", token, "legacy", elicitation_callback=accept)
        async with made as it:
            with pytest.raises(MCPError) as caught:
                await it.call_tool("asks_name")
            required = UrlElicitationRequiredError.from_error(caught.value.error)
            (wanted,) = required.elicitations
            await approve(house, wanted.url)
            assert text_of(await it.call_tool("asks_name")) == "hello Alice"

    anyio.run(use)
