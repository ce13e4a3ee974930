"""Clients that publish who they are: a host of documents, and a server in this process.

The server is in this process so that it can be told which names lead to that host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from audit_logs import new_log
from bascule.app import place as app_place
from bascule.app.page_records import PageRecords
from bascule.app.pages import PageParts, public_pages
from bascule.audit.log import AuditLog
from bascule.authserver.documents import Documents
from bascule.authserver.pkce import challenge_of
from bascule.clock import UnixTime, monotonic, system_clock, system_entropy
from bascule.config.load import load
from bascule.gateway.failures import AuthFailures
from bascule.net.addresses import is_public
from bascule.net.fetch import FetchPolicy
from bascule.storage import browser_sessions, key_files, users
from bascule.storage.key_store import FolderKeys
from bascule.storage.migrate import migrate
from bascule.storage.store import Store, open_store
from bascule.web.cookies import SESSION_NAMES
from bascule.web.sessions import _digest
from certificates import Authority
from patience import PATIENCE

T = TypeVar("T")
URL = "http://localhost:8420"
CONFIG = """
[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:1/mcp"
"""
HOST = "client.example"
CALLBACK = f"https://{HOST}/cb"
VERIFIER = "v" * 64


@dataclass
class Host:
    """An https host of documents; counts what is asked for."""

    port: int = 0
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    speaks: threading.Event = field(default_factory=threading.Event)
    """Until it is set, nothing is answered; it is, but in tests of slow hosts."""

    def __post_init__(self) -> None:
        self.speaks.set()

    def address(self, path: str = "/id.json") -> str:
        return f"https://{HOST}:{self.port}{path}"

    def publish(
        self,
        path: str = "/id.json",
        *,
        headers: dict[str, str] | None = None,
        **change: Any,
    ) -> str:
        """Publish a document that is good but for `change`; gives its address."""
        document = {
            "client_id": self.address(path),
            "client_name": "Published Client",
            "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
            **change,
        }
        body = json.dumps({k: v for k, v in document.items() if v is not None}).encode()
        self.put(path, body, headers=headers)
        return self.address(path)

    def put(
        self,
        path: str,
        body: bytes,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self.answers[path] = status, {**kind, **(headers or {})}, body


@contextlib.contextmanager
def hosting(authority: Authority, folder: Path) -> Iterator[Host]:
    """Run a host of documents in threads."""
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.path)
            host.speaks.wait(PATIENCE)
            status, headers, body = host.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[ssl.SSLSocket, Any]:
            connection, peer = super().get_request()
            host.connections += 1
            return context.wrap_socket(connection, True), peer

        def handle_error(self, *_: object) -> None:
            """Clients that do not trust us go away."""

    context = authority.server(folder, HOST)
    with Server(("127.0.0.1", 0), Handler) as server:
        host.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Place:
    """A data directory with a user, and how documents are fetched there."""

    data_dir: Path
    store: Store
    fetching: FetchPolicy | None
    """None: as it is outside of tests."""
    config: str = CONFIG
    failures: int = 1000
    """Failed authentications a minute that are answered 401."""
    now: Callable[[], float] = monotonic
    """The clock of what is kept of documents."""

    def run(self, work: Callable[[Browser], Awaitable[T]]) -> T:
        """Serve the pages in this process while `work` is done in alice's browser."""
        return asyncio.run(self._serve(work))

    async def _serve(self, work: Callable[[Browser], Awaitable[T]]) -> T:
        log_folder = new_log(self.data_dir)
        with log_folder.inbox() as inbox:
            log = AuditLog(
                log_folder.with_inbox(inbox),
                log_folder.keys,
                system_entropy,
                copies=(),
                on_problem=print,
            )
            log.start(asyncio.get_running_loop())
            try:
                return await self._with(log, work)
            finally:
                await asyncio.to_thread(log.close)

    async def _with(self, log: AuditLog, work: Callable[[Browser], Awaitable[T]]) -> T:
        config = load(self.config, source="test")
        place = app_place.Place(self.data_dir, config.server)
        names = {"log": log.origin, "writer": "gateway", "boot": log.boot}
        parts = PageParts(
            config=lambda: config,
            place=place,
            keys=lambda: key_files.load_or_create(place.keys, now=system_clock()),
            records=PageRecords(log.writer, AuthFailures(self.failures), **names),
            late=list,
            policy_digest=str,
            heard=_nothing_to_wait_for,
            documents=self._documents(),
        )
        application = httpx2.ASGITransport(app=public_pages(parts))
        async with httpx2.AsyncClient(transport=application, base_url=URL) as client:
            return await work(Browser(client, self._signed_in(), log))

    def _documents(self) -> Documents | None:
        policy = self.fetching
        return None if policy is None else Documents(lambda: policy, now=self.now)

    def _signed_in(self) -> dict[str, str]:
        token, now = system_entropy(32).hex(), system_clock()
        begin = partial(
            browser_sessions.begin,
            token_hash=_digest(token),
            replaces=b"",
            name="alice",
            audience="public",
            method="password",
            source="127.0.0.1",
            now=now,
            expires_at=UnixTime(now + 3600),
        )
        assert self.store.run(begin)
        return {"Cookie": f"{SESSION_NAMES['public']}={token}", "Origin": URL}


async def _nothing_to_wait_for(_: int) -> None:
    """One process, and no copy of the directory in it."""


@contextlib.contextmanager
def placed(folder: Path, authority: Authority) -> Iterator[Place]:
    """Make a place where the documents' host has a public address."""
    for name in ("data", "data/keys", "data/audit"):
        (folder / name).mkdir(mode=0o700)
    with contextlib.closing(open_store(folder / "data" / "state.db")) as store:
        migrate(store)
        now = system_clock()
        key_files.load_or_create(FolderKeys(folder / "data" / "keys"), now=now)
        store.run(
            partial(
                users.add,
                name="alice",
                groups=(),
                is_admin=False,
                setup_hash=b"alice",
                setup_expires_at=now,
                now=now,
            )
        )
        fetching = FetchPolicy(
            resolver=_leads_here,
            allows=_loopback_as_public,
            trust=authority.trust,
            seconds=60,
        )
        yield Place(folder / "data", store, fetching)


async def _leads_here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def _loopback_as_public(address: str) -> bool:
    return address == "127.0.0.1" or is_public(address)


@dataclass
class Browser:
    """alice's browser, and the client beside it."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    log: AuditLog

    async def authorize(
        self, client_id: str, *, signed_in: bool = True, **change: str
    ) -> httpx2.Response:
        """Open the client's link."""
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": str(challenge_of(VERIFIER)),
            "code_challenge_method": "S256",
            "resource": f"{URL}/c/desk/mcp",
            "state": "s",
            **change,
        }
        headers = self.headers if signed_in else {}
        return await self.client.get(
            f"/oauth/authorize?{urlencode(query)}", headers=headers
        )

    async def allow(self, answer: httpx2.Response) -> httpx2.Response:
        """Consent on the page that a link has led to."""
        name = parse_qs(urlsplit(answer.headers["location"]).query)["request"][0]
        form = {"request": name, "decision": "allow"}
        return await self.client.post("/consent", data=form, headers=self.headers)

    async def page(self, answer: httpx2.Response) -> httpx2.Response:
        """Look at that page."""
        return await self.client.get(answer.headers["location"], headers=self.headers)

    async def code(self, client_id: str, **change: str) -> str:
        """Go as far as the code."""
        answer = await self.authorize(client_id, **change)
        if answer.headers["location"].startswith("/consent"):
            answer = await self.allow(answer)
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def post(self, path: str = "token", **form: str) -> httpx2.Response:
        """Call an endpoint as a client does."""
        return await self.client.post(f"/oauth/{path}", data=form)

    async def redeem(self, client_id: str, code: str, **more: str) -> httpx2.Response:
        """Redeem a code."""
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": CALLBACK,
        }
        return await self.post(**{**form, **more})

    async def refresh(self, client_id: str, token: str, **more: str) -> httpx2.Response:
        """Use a refresh token."""
        form = {"grant_type": "refresh_token", "client_id": client_id}
        return await self.post(refresh_token=token, **{**form, **more})


def without_injection(place: Place) -> Place:
    """Give the same place as it is outside of tests: loopback is no public address."""
    return replace(place, fetching=None)
