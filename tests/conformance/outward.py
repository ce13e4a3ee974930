"""A whole Bascule before the suite's servers, a client before it, and the client's user.

Each server of the suite becomes a connector. A client of the user lists its tools and calls
the first, and the user connects an account when they are asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import requests

from bascule.clock import monotonic
from bascule.errors import BasculeError
from conformance.outward_config import Order, credential_of, provider_of, sign_in_by
from conformance.outward_steps import take_steps
from conformance.session import Answered, GaveUpError, Session
from patience import PATIENCE, PAUSE
from ports import free_ports
from system.linking import agree
from system.oauth_browser import sign_in
from system.server import Installation

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[limits]
failed_auth_per_minute = 100000
"""
CONNECTOR = """
[connectors.{name}]
mode = "observe"
url = "{url}"
may_ask = ["elicitation", "sampling", "roots"]

[connectors.{name}.credential]
{credential}

[roles.{name}]
members = ["{user}"]
allow = ["{name}/*"]
"""
LINK = re.compile(r"http://[^/ ]+/link/[0-9a-f]+")
UNKNOWN = "unknown connector"
"""What is said until the gateway has read its configuration anew."""
LINKS = 4
"""So often a user connects an account anew before they give up."""


@dataclass(slots=True)
class Gateway:
    """One for all scenarios, which run at once."""

    made: Installation
    turn: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, name: str, order: Order) -> str:
        """Add a connector, as an operator does; gives a token of the user."""
        credential, user = credential_of(order, self.made.folder), "user:alice"
        text = CONNECTOR.format(
            name=name, url=order.url, credential=credential, user="{user}"
        )
        with self.turn:
            if "idp_issuer" in order.context:
                text += provider_of(name, order, self.made.folder)
                user = sign_in_by(name, order, self.made)
            with self.made.config.open("a") as config:
                config.write(text.replace("{user}", user))
            self.made.signal(signal.SIGHUP)
            return self.made.token(user, name)

    def play(self, order: Order) -> str:
        """Run a scenario to its end; gives what went wrong, if anything."""
        try:
            asyncio.run(self._play(order))
        except (BasculeError, requests.RequestException) as exc:
            return f"{type(exc).__name__}: {exc}"
        return ""

    async def _play(self, order: Order) -> None:
        digest = hashlib.sha256(f"{order.scenario} {order.url}".encode()).hexdigest()
        name = f"s{digest[:20]}"
        token = self.connect(name, order)
        if not order.scenario.startswith("auth/"):
            await self._known(name)
            url = f"{self.made.url}/c/{name}/mcp"
            await take_steps(order.scenario, order.revision, order.context, url, token)
            return
        session = Session(Inbound(self.made, name, token), order.revision)
        await session.begin()
        tools = (await session.ask("tools/list", {}))["tools"]
        if tools:
            await session.ask("tools/call", {"name": tools[0]["name"], "arguments": {}})

    async def _known(self, name: str) -> None:
        """Wait until the gateway knows a connector, without asking its server anything."""
        with self.turn:
            token = self.made.token("bob", name)
        end = monotonic() + PATIENCE
        asked = {"name": "nothing", "arguments": {}}
        while True:
            answer = self.made.call(token, "tools/call", asked, connector=name)
            if answer.status == 400 and UNKNOWN.encode() not in answer.body:
                return  # the token of who may nothing is known, so that the other's is
            assert monotonic() < end
            await asyncio.sleep(PAUSE)


@dataclass
class Inbound:
    """A client of the gateway, and its user, who has a browser."""

    gateway: Installation
    connector: str
    token: str
    links: int = 0

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send one message; connect an account and send it again if it must be."""
        while True:
            answer = self._send(headers, body)
            link = link_in(answer.text)
            if link is None:
                break
            self.links += 1
            if self.links > LINKS:
                raise GaveUpError("the user is asked to connect an account again and again")
            self._follow(link)
        if answer.status_code >= 400:
            raise GaveUpError(f"status {answer.status_code}: {answer.text}")
        found = {name.lower(): value for name, value in answer.headers.items()}
        return found, answer.content

    def _send(self, headers: Mapping[str, str], body: bytes) -> requests.Response:
        """Send it once the gateway knows the connector."""
        end = monotonic() + PATIENCE
        while True:
            answer = requests.post(
                f"{self.gateway.url}/c/{self.connector}/mcp",
                body,
                headers={**headers, "Authorization": f"Bearer {self.token}"},
                timeout=PATIENCE,
            )
            is_new = answer.status_code in {401, 404, 503} or UNKNOWN in answer.text
            if not is_new or monotonic() > end:
                return answer
            time.sleep(PAUSE)

    def _follow(self, link: str) -> None:
        """Do what the user does in a browser."""
        here = sign_in(self.gateway, "alice")
        left = agree(here, link)
        if "Refresh" not in left.headers:
            raise GaveUpError(f"the page leads nowhere: {left.text}")
        away = left.headers["Refresh"].partition("url=")[2]
        answer = requests.get(away, allow_redirects=False, timeout=PATIENCE)
        back = urljoin(away, answer.headers["Location"])
        if not back.startswith(self.gateway.url):
            raise GaveUpError("the authorization server leads elsewhere")
        done = here.get(back, timeout=PATIENCE)
        if done.status_code != 200:
            raise GaveUpError(f"the account was not connected: {done.text}")


def link_in(text: str) -> str | None:
    """Give the link that an answer of either era asks the user to open."""
    found = LINK.search(text)
    return None if found is None else found[0]


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[str]:
    """Run a gateway, and what plays scenarios with it; gives the address of the latter."""
    public, admin = free_ports(2)
    made = Installation(folder, public, admin)
    made.config.write_text(CONFIG.format(public=public, admin=admin))
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    made.start()
    gateway = Gateway(made)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = gateway.play(Order(**order)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    try:
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/"
            server.shutdown()
    finally:
        made.kill()
