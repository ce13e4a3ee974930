"""What the official suite runs as a client: Bascule's OAuth client, with a browser for it.

`python outbound_client.py URL`, with the scenario in the environment as the suite sets it.
It lists the tools of the server and calls the first, and gets on the way whatever tokens
that takes. Exit 1 when it could not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from joserfc.jwk import import_key

from bascule.clock import system_clock, system_entropy
from bascule.errors import BasculeError
from bascule.net.fetch import FetchPolicy
from bascule.net.post import Reply, send
from bascule.oauthclient.authorization import (
    begin_authorization,
    read_response,
    redeem_code,
)
from bascule.oauthclient.challenge import Challenge, token_challenge
from bascule.oauthclient.client import AssertionKey, Client
from bascule.oauthclient.client_credentials import client_credentials
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover, new_prover
from bascule.oauthclient.exchange import ID_TOKEN, Shown
from bascule.oauthclient.id_jag import redeem_id_jag, request_id_jag
from bascule.oauthclient.preparation import Prepared, find_server, prepare
from bascule.oauthclient.registration import client_metadata, document_client
from bascule.oauthclient.scopes import MAX_STEP_UPS, missing_scopes
from bascule.oauthclient.tokens import Tokens
from bascule.oauthclient.wif import redeem_workload_token

REDIRECT = "http://localhost:3000/callback"
DOCUMENT = document_client("https://conformance-test.local/client-metadata.json")
METADATA = client_metadata(
    name="Bascule", redirect_uris=[REDIRECT], application_type="native"
)
NEAR = FetchPolicy(loopback=True, seconds=20)
USUAL: dict[str, Any] = {"entropy": system_entropy}
Answered = tuple[Mapping[str, str], bytes]
"""Header fields, by names in lower case, and body."""


class GaveUpError(BasculeError):
    """The server does not let us in."""


@dataclass
class Clients:
    """Who we are: the one that the suite registered, else what we registered."""

    context: Mapping[str, str]
    by_issuer: dict[str, Client] = field(default_factory=dict)

    async def get(self, issuer: str) -> Client | None:
        return self.by_issuer.get(issuer) or configured(self.context, issuer)

    async def keep(self, client: Client) -> None:
        assert client.issuer is not None
        self.by_issuer[client.issuer] = client


def configured(context: Mapping[str, str], issuer: str) -> Client | None:
    """Give the client that was registered before, as an operator configures it."""
    if "private_key_pem" in context:
        kind = "EC" if context["signing_algorithm"].startswith("ES") else "RSA"
        key = import_key(context["private_key_pem"], kind)
        signer = AssertionKey(key, context["signing_algorithm"])  # type: ignore[arg-type]
        return Client(client_id=context["client_id"], issuer=issuer, key=signer)
    if "client_secret" in context:
        return Client(
            client_id=context["client_id"], issuer=issuer, secret=context["client_secret"]
        )
    return None


@dataclass
class Outbound:
    """Requests to one MCP server, with the token that it wants."""

    url: str
    scenario: str
    context: Mapping[str, str]
    clients: Clients
    legacy: bool
    prover: Prover | None = None
    tokens: Tokens | None = None
    asked: tuple[str, ...] = ()
    step_ups: int = 0

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send one message, after a login or two if it must be."""
        refused_tokens = 0
        while True:
            reply, answer = await self._send(headers, body)
            challenge = token_challenge([reply.headers.get("www-authenticate", "")])
            if self._has_new_nonce(reply, challenge):
                continue
            if reply.status == 401 and refused_tokens < 2:
                refused_tokens += 1
                self.tokens = await self.authorize(challenge)
            elif reply.status == 403 and missing_scopes(challenge, ()) is not None:
                self.step_ups += 1
                if self.step_ups >= MAX_STEP_UPS:
                    raise GaveUpError("the server never has enough scopes")
                self.tokens = await self.authorize(challenge)
            elif reply.status >= 400:
                raise GaveUpError(f"status {reply.status}")
            else:
                return reply.headers, answer

    def _has_new_nonce(self, reply: Reply, challenge: Challenge | None) -> bool:
        if self.prover is None:
            return False
        is_new = self.prover.learn(self.url, reply.headers.get("dpop-nonce"))
        return is_new and challenge is not None and challenge.error == "use_dpop_nonce"

    async def _send(self, headers: Mapping[str, str], body: bytes) -> tuple[Reply, bytes]:
        more: dict[str, str] = {}
        if self.tokens is not None:
            more["Authorization"] = self.tokens.authorization()
            if self.prover is not None:
                more["DPoP"] = self.prover.proof(
                    "POST", self.url, access_token=self.tokens.access_token,
                    now=system_clock(), **USUAL,
                )  # fmt: skip
        async with send("POST", self.url, {**headers, **more}, body, NEAR) as reply:
            return reply, await reply.body()

    async def authorize(self, challenge: Challenge | None) -> Tokens:
        """Get a token in the way of the scenario."""
        if self.scenario == "auth/wif-jwt-bearer":
            return await self._as_workload(challenge)
        if self.scenario == "auth/enterprise-managed-authorization":
            return await self._vouched_for(challenge)
        prepared = await prepare(
            self.url, challenge, NEAR, clients=self.clients, document=DOCUMENT,
            metadata=METADATA, before=self.asked, legacy=self.legacy,
        )  # fmt: skip
        self.asked = prepared.scopes
        if prepared.server.dpop_signing_alg_values_supported and self.prover is None:
            self.prover = new_prover()
        if self.scenario.startswith("auth/client-credentials"):
            return await client_credentials(
                prepared.server, prepared.client, NEAR, resource=prepared.resource,
                scopes=prepared.scopes, now=system_clock(), **USUAL,
            )  # fmt: skip
        return await self._by_browser(prepared)

    async def _by_browser(self, prepared: Prepared) -> Tokens:
        url, pending = begin_authorization(
            prepared.server, prepared.client, redirect_uri=REDIRECT,
            scopes=prepared.scopes, resource=prepared.resource, entropy=system_entropy,
        )  # fmt: skip
        async with send("GET", url, {}, b"", NEAR) as reply:
            location = reply.headers["location"]
        assert location.startswith(REDIRECT)
        code = read_response(urlsplit(location).query, pending)
        return await redeem_code(
            prepared.server, prepared.client, code, pending, NEAR,
            prover=self.prover, now=system_clock(), **USUAL,
        )  # fmt: skip

    async def _as_workload(self, challenge: Challenge | None) -> Tokens:
        resource, server = await find_server(self.url, challenge, NEAR)
        assert resource is not None
        return await redeem_workload_token(
            server, self.context["valid_jwt"], NEAR, resource=resource.resource,
            now=system_clock(), **USUAL,
        )  # fmt: skip

    async def _vouched_for(self, challenge: Challenge | None) -> Tokens:
        resource, server = await find_server(self.url, challenge, NEAR)
        assert resource is not None
        issuer = self.context["idp_issuer"]
        provider = AuthorizationServer(
            issuer=issuer,
            token_endpoint=self.context["idp_token_endpoint"],
        )
        us = Client(client_id=self.context["idp_client_id"], issuer=issuer, method="none")
        vouched = await request_id_jag(
            provider, us, Shown(self.context["idp_id_token"], ID_TOKEN), NEAR,
            issuer=server.issuer, resource=resource.resource, scopes=(),
            now=system_clock(), **USUAL,
        )  # fmt: skip
        there = configured(self.context, server.issuer)
        assert there is not None
        return await redeem_id_jag(
            server, there, vouched, NEAR, now=system_clock(), **USUAL
        )


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


async def main(url: str) -> None:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    outbound = Outbound(
        url, scenario, context, Clients(context), legacy="/2025-03-26" in scenario
    )
    session = Session(outbound, revision)
    await session.begin()
    tools = (await session.ask("tools/list", {}))["tools"]
    if tools:
        await session.ask("tools/call", {"name": tools[0]["name"], "arguments": {}})


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except BasculeError as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        sys.exit(1)
