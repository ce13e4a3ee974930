"""A client that signs its user in: oauth_client.py URL PORT CALL REFUSED [CLIENT_ID].

It is the `mcp` SDK with the SDK's own OAuth provider. It prints the address that its user
is to open, waits for the answer on loopback, and prints as JSON what came of it. Without a
CLIENT_ID it registers itself. CALL is a tool with its arguments, as JSON; REFUSED the name
of one that its user may not call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.shared.exceptions import MCPError
from pydantic import AnyUrl

DONE = b"""<!doctype html><title>Done</title><link rel="icon" href="data:,">
<h1>Back in the app</h1>"""


class Memory:
    """Keeps tokens and the client's registration as long as the process runs."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self.client = client
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Callback:
    """Waits on loopback for the browser to come back."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[dict[str, str]] = asyncio.Future()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
        )
        writer.write(DONE)
        await writer.drain()
        writer.close()
        parts = urlsplit(target)
        if parts.path == "/callback" and not self._answer.done():
            query = parse_qs(parts.query)
            self._answer.set_result({name: values[0] for name, values in query.items()})

    async def answer(self) -> AuthorizationCodeResult:
        found = await self._answer
        if "error" in found:
            say({"error": found["error"], "iss": found.get("iss")})
            sys.exit(0)
        return AuthorizationCodeResult(
            code=found["code"], state=found["state"], iss=found["iss"]
        )


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


async def open_browser(url: str) -> None:
    say({"open": url})


async def talk(
    client: Client, tool: str, arguments: dict[str, Any], forbidden: str
) -> dict[str, Any]:
    """List, call what may be called and what may not."""
    async with client:
        tools = [it.name for it in (await client.list_tools()).tools]
        called = await client.call_tool(tool, arguments)
        try:
            await client.call_tool(forbidden, {})
            refused = None
        except MCPError as exc:
            refused = exc.code
    said = called.content[0].text  # type: ignore[union-attr]
    return {"tools": tools, "said": said, "refused": refused}


async def main() -> None:
    url, port, call, forbidden, *named = sys.argv[1:]
    redirect = AnyUrl(f"http://127.0.0.1:{port}/callback")
    metadata = OAuthClientMetadata(
        client_name="Desk app",
        redirect_uris=[redirect],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
    )
    registered = [
        OAuthClientInformationFull(
            client_id=name, redirect_uris=[redirect], token_endpoint_auth_method="none"
        )
        for name in named
    ]
    callback = Callback()
    server = await asyncio.start_server(callback.serve, "127.0.0.1", int(port))
    memory = Memory(registered[0] if registered else None)
    provider = OAuthClientProvider(url, metadata, memory, open_browser, callback.answer)
    async with (
        server,
        httpx2.AsyncClient(auth=provider, timeout=30) as http,
    ):
        found = await talk(
            Client(streamable_http_client(url, http_client=http)),
            *json.loads(call),
            forbidden,
        )
    assert memory.tokens is not None
    say(
        {
            **found,
            "scope": memory.tokens.scope,
            "refreshes": memory.tokens.refresh_token is not None,
        }
    )


asyncio.run(main())
