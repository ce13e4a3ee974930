"""What a client does in the suite's scenarios that are not about authorization.

The client is that of the `mcp` SDK, so that what the suite scores is what the gateway made
of a good client's messages, and of a server's answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    TextContent,
)

from conformance.session import GaveUpError
from patience import PATIENCE

Step = Callable[[Client, Mapping[str, Any]], Awaitable[None]]


async def _elicited(_: object, params: Any) -> ElicitResult:
    """Accept, with what the schema gives by default."""
    schema = params.requested_schema
    found = {
        name: it["default"] for name, it in schema["properties"].items() if "default" in it
    }
    if "confirmed" in schema["properties"]:
        found["confirmed"] = True
    return ElicitResult(action="accept", content=found)


async def _sampled(*_: object) -> CreateMessageResult:
    text = TextContent(type="text", text="4")
    return CreateMessageResult(role="assistant", content=text, model="none")


async def _roots(*_: object) -> ListRootsResult:
    return ListRootsResult(roots=[])


async def lists(client: Client, _: Mapping[str, Any]) -> None:
    await client.list_tools()


async def adds(client: Client, context: Mapping[str, Any]) -> None:
    await lists(client, context)
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


def calls(*names: str) -> Step:
    async def step(client: Client, context: Mapping[str, Any]) -> None:
        await lists(client, context)
        for name in names:
            await client.call_tool(name, {})

    return step


async def replays(client: Client, context: Mapping[str, Any]) -> None:
    listed = {it.name for it in (await client.list_tools()).tools}
    for call in context["toolCalls"]:
        if call["name"] in listed:
            with contextlib.suppress(MCPError):
                await client.call_tool(call["name"], call.get("arguments", {}))


async def calls_all(client: Client, _: Mapping[str, Any]) -> None:
    stubs = {"string": "x", "integer": 1, "number": 1, "boolean": True}
    for tool in (await client.list_tools()).tools:
        schema = tool.input_schema
        arguments = {
            name: stubs.get(schema["properties"][name].get("type"), "x")
            for name in schema.get("required", [])
        }
        with contextlib.suppress(MCPError):
            await client.call_tool(tool.name, arguments)


async def echoes_schema(client: Client, _: Mapping[str, Any]) -> None:
    tools = (await client.list_tools()).tools
    (schema,) = (it.input_schema for it in tools if it.name == "json_schema_2020_12_tool")
    await client.call_tool("json_schema_echo", {"schema": schema})


STEPS: Mapping[str, Step] = {
    "initialize": lists,
    "tools_call": adds,
    "http-standard-headers": adds,
    "request-metadata": adds,
    "sse-retry": calls("test_reconnection"),
    "elicitation-sep1034-client-defaults": calls("test_client_elicitation_defaults"),
    "sep-2322-client-request-state": calls(
        "test_mrtr_echo_state",
        "test_mrtr_unrelated",
        "test_mrtr_no_state",
        "test_mrtr_no_result_type",
    ),
    "http-custom-headers": replays,
    "http-invalid-tool-headers": calls_all,
    "json-schema-ref-no-deref": lists,
    "json-schema-2020-12-preservation": echoes_schema,
}
LEGACY = {"json-schema-ref-no-deref"}
"""Whose server speaks the older revisions alone, whatever the suite says."""


@contextlib.asynccontextmanager
async def _client(url: str, token: str, *, legacy: bool) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http_client,
        Client(
            streamable_http_client(url, http_client=http_client),
            mode="legacy" if legacy else "auto",
            elicitation_callback=_elicited,
            sampling_callback=_sampled,
            list_roots_callback=_roots,
        ) as client,
    ):
        yield client


async def take_steps(
    scenario: str, revision: str, context: Mapping[str, Any], url: str, token: str
) -> None:
    """Do what a client does in a scenario. Raises `GaveUpError`."""
    step = STEPS.get(scenario)
    if step is None:
        raise GaveUpError("nobody wrote down what a client does here")
    legacy = scenario in LEGACY or revision < "2026-07-28"
    try:
        async with _client(url, token, legacy=legacy) as client:
            await step(client, context)
    except* (MCPError, httpx2.HTTPError) as group:
        raise GaveUpError("; ".join(map(str, _leaves(group)))) from group


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for it in group.exceptions:
        if isinstance(it, BaseExceptionGroup):
            yield from _leaves(it)
        else:
            yield it
