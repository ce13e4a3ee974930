"""A client on the `mcp` SDK for Python: mcp_sdk.py URL TOOL ANOTHER_TOOL.

TOKEN and MODE (`legacy`, `auto` or a revision to insist on) are in the environment. It
lists the tools, calls both, and prints what came of it as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


async def attempt(found: dict[str, Any], name: str, action: Awaitable[Any]) -> None:
    """Note what an action gave, or the error that the server answered."""
    try:
        found[name] = await action
    except* MCPError as group:
        (exc,) = leaves(group)
        error = {"code": exc.code, "message": exc.message, "data": exc.data}
        found[f"{name}_error"] = error


def leaves(group: BaseExceptionGroup[MCPError]) -> list[MCPError]:
    """Give the errors of a group, however deep they lie."""
    found: list[MCPError] = []
    for exc in group.exceptions:
        found += leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found


async def talk(found: dict[str, Any], client: Client, tool: str, another: str) -> bool:
    """List, call what may be called and what may not."""
    async with client:
        found["version"] = client.protocol_version
        found["tools"] = [it.name for it in (await client.list_tools()).tools]
        called = await client.call_tool(tool, {})
        found["called"] = called.model_dump(by_alias=True, mode="json", exclude_none=True)
        await attempt(found, "refused", client.call_tool(another, {}))
    return True


async def main() -> None:
    """Talk to one server."""
    url, tool, another = sys.argv[1:]
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    found: dict[str, Any] = {}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http_client:
        transport = streamable_http_client(url, http_client=http_client)
        client = Client(transport, mode=os.environ.get("MODE", "auto"))
        await attempt(found, "connected", talk(found, client, tool, another))
    print(json.dumps(found))


asyncio.run(main())
