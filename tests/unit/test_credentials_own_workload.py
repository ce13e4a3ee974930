"""Tokens by the identity of the platform: what is sent, and where it is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from bascule.app.secrets import resolve_secret
from bascule.clock import UnixTime
from bascule.credentials.own_workload import OwnWorkload
from bascule.credentials.server_metadata import ServerMetadata
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.errors import (
    GrantRefusedError,
    ServerUnavailableError,
    UnusableServerError,
)
from canned import Canned, Heard, json, serving

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
RESOURCE = "https://tickets.example/mcp"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("platform-jwt-1\n")
    return path


class Server:
    """An authorization server that takes workloads, or not."""

    def __init__(self, *grants: str, refuses: bool = False) -> None:
        self.grants = grants
        self.refuses = refuses
        self.forms: list[dict[str, list[str]]] = []
        self.reads = 0
        self.site: Canned

    def __call__(self, heard: Heard) -> bytes:
        here = self.site.url
        if heard.path.startswith("/.well-known/"):
            self.reads += 1
            place = f"{here}/token"
            said = {"issuer": here, "token_endpoint": place, "jwks_uri": f"{here}/keys"}
            return json("200 OK", {**said, "grant_types_supported": self.grants})
        self.forms.append(parse_qs(heard.body.decode()))
        if self.refuses:
            return json("400 Bad Request", {"error": "invalid_grant"})
        token = f"token-{len(self.forms)}"
        return json("200 OK", {"access_token": token, "token_type": "Bearer"})

    def asks(self, file: Path) -> OwnWorkload:
        return OwnWorkload(
            ServerMetadata(self.site.url, FetchPolicy(loopback=True, seconds=2)),
            lambda: resolve_secret(f"file:{file}"),
            resource=RESOURCE,
            scopes=("read",),
            clock=lambda: UnixTime(1_000),
            entropy=bytes,
        )


def test_the_file_is_read_for_each_token_and_the_metadata_once(file: Path) -> None:
    server = Server(GRANT)

    async def run() -> None:
        async with serving(server) as server.site:
            asking = server.asks(file)
            assert (await asking.for_itself()).access_token == "token-1"
            file.write_text("platform-jwt-2")  # noqa: ASYNC240 - a small file
            assert (await asking.for_itself()).access_token == "token-2"

    asyncio.run(run())
    expected = {"grant_type": [GRANT], "resource": [RESOURCE], "scope": ["read"]}
    assert server.forms == [
        {**expected, "assertion": ["platform-jwt-1"]},
        {**expected, "assertion": ["platform-jwt-2"]},
    ]
    assert server.reads == 1


def test_what_is_refused_is_not_tried_again(file: Path) -> None:
    server = Server(GRANT, refuses=True)

    async def run() -> None:
        async with serving(server) as server.site:
            with pytest.raises(GrantRefusedError) as caught:
                await server.asks(file).for_itself()
        assert "platform-jwt" not in str(caught.value)

    asyncio.run(run())
    assert len(server.forms) == 1


def test_nothing_is_sent_to_a_server_that_takes_no_workloads(file: Path) -> None:
    server = Server("client_credentials")

    async def run() -> None:
        async with serving(server) as server.site:
            with pytest.raises(UnusableServerError):
                await server.asks(file).for_itself()

    asyncio.run(run())
    assert server.forms == []


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_file_that_is_missing_or_open_to_others_is_not_used(
    file: Path, mode: int | None
) -> None:
    server = Server(GRANT)
    file.unlink() if mode is None else file.chmod(mode)

    async def run() -> None:
        async with serving(server) as server.site:
            with pytest.raises(ServerUnavailableError, match="token"):
                await server.asks(file).for_itself()

    asyncio.run(run())
    assert server.forms == []
