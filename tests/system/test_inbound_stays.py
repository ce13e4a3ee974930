"""What a client shows Bascule arrives nowhere: each credential, each fault, both eras.

One upstream for all, which misbehaves as it is told and keeps every byte; so does the
authorization server that grants what Bascule shows. The table is whole: a new kind of
credential fails here until it has a row.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args
from urllib.parse import urlsplit

import pytest
import requests

from bascule.config.credentials import CredentialKind
from foreign import signer
from patience import PATIENCE
from ports import free_ports
from proofs import Prover
from system.company import SECRET, company
from system.legacy_client import LegacyClient
from system.legacy_recorder import LegacyServer
from system.linking import link_of
from system.oauth_browser import CALLBACK, Flow
from system.recorder import Conversation, Recorder, recording
from system.recorder import answer as answer_modern
from system.server import VERSION, Answer, Installation, body_of, headers_of
from system.token_double import TOKEN, Granting, granting
from system.visitor import Visitor, path_of

STATIC = "static-credential"
CREDENTIALS = {
    "none": "",
    "static": 'value = "file:{folder}/static"\nshared = true',
    "client_credentials": 'issuer = "{issuer}"\n{client}\nshared = true',
    "workload": 'issuer = "{issuer}"\nassertion = "file:{folder}/client"\nshared = true',
    "token_exchange": 'issuer = "{issuer}"\n{client}',
    "per_user": 'issuer = "{issuer}"\n{client}',
    "id_jag": 'issuer = "{issuer}"\n{client}',
}
CLIENT = 'client_id = "front"\nclient_secret = "file:{folder}/client"'
SHOWN = {"none": None, "static": STATIC}
"""What arrives instead, where it is no token of the authorization server."""
CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[limits]
upstream_seconds = 5

[providers.corp]
issuer = "{corp}"
client_id = "bascule"
client_secret = "file:{folder}/company"
admit.everybody = true

[roles.clerk]
members = ["user:{corp}|alice"]
allow = [{allowed}]

[agents]
default_ceiling = [{allowed}]
"""
CONNECTOR = """
[connectors.{name}]
mode = "observe"
url = "http://127.0.0.1:{port}/{name}"

[connectors.{name}.credential]
kind = "{kind}"
{settings}
"""
FAULTS = {
    "redirect": "307 Temporary Redirect\r\nLocation: {here}/stolen",
    "see other": "303 See Other\r\nLocation: {here}/stolen",
    "401": "401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata={here}/meta",
    "403": "403 Forbidden\r\nWWW-Authenticate: Bearer error=insufficient_scope, scope=all",
    "500": "500 Internal Server Error",
    "503": "503 Service Unavailable\r\nRetry-After: 0",
    "cut": "",
    "cut midway": "200 OK\r\nContent-Type: application/json\r\nContent-Length: 900",
}
COOKIE = "bascule-session=inbound-cookie; inbound-jar=1"


@dataclass
class Upstream:
    """A server of both eras that does to calls what it is told to."""

    fault: str | None = None
    port: int = 0
    legacy: LegacyServer = field(default_factory=LegacyServer)

    async def __call__(self, it: Conversation) -> None:
        is_call = it.id is not None and it.request.message.get("method") == "tools/call"
        if self.fault is not None and is_call:
            await self._spoil(it, FAULTS[self.fault])
        elif it.request.headers.get("mcp-protocol-version") == VERSION:
            await answer_modern(it)
        else:
            await self.legacy(it)

    async def _spoil(self, it: Conversation, head: str) -> None:
        if self.fault is not None and self.fault.startswith("cut"):
            await it.raw(f"HTTP/1.1 {head}\r\n\r\n{{".encode() if head else b"")
            raise ConnectionResetError
        head = head.format(here=f"http://127.0.0.1:{self.port}")
        await it.raw(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())


@dataclass(frozen=True, slots=True)
class Inbound:
    """What one client shows at one connector."""

    kind: str
    token: str
    prover: Prover | None
    shown: list[bytes]
    """All that it has shown anywhere."""

    def headers(self, address: str) -> dict[str, str]:
        """Give what one more request shows."""
        found = {"Authorization": f"Bearer {self.token}", "Cookie": COOKIE}
        if self.prover is not None:
            proof = self.prover.proof(address, now=time.time(), token=self.token).decode()
            self.shown.extend(it.encode() for it in proof.split(".")[1:])
            found |= {"Authorization": f"DPoP {self.token}", "DPoP": proof}
        return found


@dataclass(frozen=True, slots=True)
class Scene:
    """Bascule, all that it talks to, and what clients have shown it."""

    front: Installation
    upstream: Upstream
    recorder: Recorder
    issuer: Granting
    visitor: Visitor
    shown: list[bytes]

    def inbound(self, kind: str, prover: Prover | None) -> Inbound:
        """Let a client in at a connector."""
        browser = requests.Session()
        browser.headers["Cookie"] = "; ".join(
            f"{name}={value}" for name, value in self.visitor.cookies.items()
        )
        flow = Flow(self.front, browser, client_id="app")
        address = f"{self.front.url}/oauth/token"
        resource = f"{self.front.url}/c/{name_of(kind)}/mcp"
        form = {
            "grant_type": "authorization_code",
            "client_id": "app",
            "code": code_of(flow.callback(resource=resource)),
            "code_verifier": flow.verifier,
            "redirect_uri": CALLBACK,
        }
        proof = prover and prover.proof(address, now=time.time())
        headers = {"DPoP": proof.decode()} if proof else {}
        said = requests.post(address, form, headers=headers, timeout=PATIENCE).json()
        token = said["access_token"]
        self.shown.extend(it.encode() for it in token.split(".")[1:])
        return Inbound(kind, token, prover, self.shown)

    def call(self, inbound: Inbound) -> Answer:
        """Call a tool in the era of 2026."""
        path = f"/c/{name_of(inbound.kind)}/mcp"
        meta = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}
        body = body_of("tools/call", {"name": "echo", "arguments": {}, "_meta": meta})
        shown = inbound.headers(self.front.url + path)
        return self.front.send(body, {**headers_of(body, None), **shown}, path=path)

    def call_in_a_session(self, inbound: Inbound) -> None:
        """Call a tool in the era before."""
        client = LegacyClient(self.front, None, name_of(inbound.kind))
        address = self.front.url + client.path
        client.extra = inbound.headers(address)
        client.initialize()
        client.extra = inbound.headers(address)
        client.tool("echo")

    def arrived(self, kind: str) -> list[str | None]:
        """Give what calls at a connector showed the upstream since the last time."""
        found = self.recorder.take()
        for it in found:
            assert not any(part in it.raw for part in self.shown), it.head
            assert b"inbound-" not in it.raw
            assert {"cookie", "dpop"}.isdisjoint(it.headers)
            assert it.head.split()[1] == f"/{name_of(kind)}".encode(), it.head
        return [it.headers.get("authorization") for it in found if b"tools/call" in it.body]


def name_of(kind: str) -> str:
    return kind.replace("_", "-")


def code_of(location: str) -> str:
    return urlsplit(location).query.partition("code=")[2].partition("&")[0]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("inbound")
    public, admin, port = free_ports(3)
    front = Installation(folder, public, admin)
    back = f"{front.url}/login/callback/corp"
    upstream = Upstream()
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(recording(upstream))
        upstream.port = recorder.port
        issuer = stack.enter_context(granting())
        allowed = {
            "audience": issuer.url,
            "resource": f"http://127.0.0.1:{recorder.port}/id-jag",
            "client_id": "front",
        }
        key = signer("key-1", "RS256")
        corp = stack.enter_context(company(folder, port, back, key, vouches=[allowed]))
        _configure(front, corp.issuer, issuer.url, recorder.port)
        front.start()
        stack.callback(front.kill)
        corp.knows("alice")
        corp.signs_in("alice")
        visitor = Visitor(front)
        assert corp.login(visitor).location == "/account"
        made = Scene(front, upstream, recorder, issuer, visitor, [])
        _connect(made)
        yield made
        for heard in issuer.heard:
            assert not any(part in heard for part in made.shown)
            assert b"inbound-" not in heard


def _configure(front: Installation, corp: str, issuer: str, port: int) -> None:
    folder = front.folder
    for name, text in (("static", STATIC), ("client", "s3cret"), ("company", SECRET)):
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
    text = CONFIG.format(
        public=front.public,
        admin=front.admin,
        folder=folder,
        corp=corp,
        allowed=", ".join(f'"{name_of(kind)}/*"' for kind in CREDENTIALS),
    )
    client = CLIENT.format(folder=folder)
    for kind, settings in CREDENTIALS.items():
        settings = settings.format(folder=folder, issuer=issuer, client=client)
        text += CONNECTOR.format(
            name=name_of(kind), kind=kind, port=port, settings=settings
        )
    front.config.write_text(text)
    front.cli("agent", "add", "app", "--redirect-uri", CALLBACK)


def _connect(scene: Scene) -> None:
    """Connect the user's account."""
    link = link_of(scene.call(scene.inbound("per_user", None)))
    fields = scene.visitor.get(path_of(link)).fields
    left = scene.visitor.post(path_of(link), fields)
    away = (left.header("refresh") or "").partition("url=")[2]
    answer = requests.get(away, allow_redirects=False, timeout=PATIENCE)
    back = urlsplit(answer.headers["Location"])
    assert scene.visitor.get(f"{back.path}?{back.query}").status == 200
    scene.recorder.take()


def test_every_kind_of_credential_has_its_row() -> None:
    assert set(CREDENTIALS) == set(get_args(CredentialKind))


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_nothing_that_a_client_shows_goes_on(scene: Scene, kind: str) -> None:
    for prover in (None, Prover()):
        inbound = scene.inbound(kind, prover)
        for call in (scene.call, scene.call_in_a_session):
            for fault in (None, *FAULTS):
                scene.upstream.fault = fault
                call(inbound)
                seen = scene.arrived(kind)
                assert seen, (fault, call)
                for shown in seen:
                    if kind in SHOWN:
                        assert shown == SHOWN[kind]
                    else:
                        assert shown is not None
                        assert shown.startswith(f"Bearer {TOKEN}-")
