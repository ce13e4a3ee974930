"""A server protected by the `mcp` SDK, whose authorization server is a certified provider.

Bascule finds both by what they say of themselves, and registers itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from foreign import signer
from patience import PATIENCE, until
from ports import free_ports
from system.linking import agree, call, link_of
from system.oauth_browser import sign_in
from system.protected_server import protected
from system.provider import Provider, providing
from system.server import Installation, body_of, headers_of

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[connectors.desk]
mode = "observe"
url = "{upstream}"
credential.kind = "per_user"

[roles.clerk]
members = ["user:alice"]
allow = ["desk/*"]

[agents]
default_ceiling = ["desk/*"]
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway, the server behind it, and the provider of that server's tokens."""

    front: Installation
    provider: Provider
    upstream: str
    seen: Path

    def has(self, token: str) -> bool:
        """Ask the server directly with a token of its own."""
        body = body_of("tools/list")
        answer = requests.post(
            self.upstream, json=body, headers=headers_of(body, token), timeout=PATIENCE
        )
        assert answer.status_code in {200, 401}
        return answer.status_code == 200


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("provider")
    public, admin, port = free_ports(3)
    key, seen = signer("key-1", "RS256"), folder / "seen"
    front = Installation(folder, public, admin)
    with (
        providing(folder, port, key, tokens="opaque") as provider,
        protected(provider.url, seen) as upstream,
    ):
        front.config.write_text(
            CONFIG.format(public=public, admin=admin, upstream=upstream)
        )
        front.ask("user", "add", "alice")
        front.start()
        try:
            yield Scene(front, provider, upstream, seen)
        finally:
            front.kill()


def connect(scene: Scene, link: str) -> None:
    """Do what a person does in a browser, where the provider asks nothing."""
    here, there = sign_in(scene.front, "alice"), requests.Session()
    shown = here.get(link, timeout=PATIENCE)
    assert urlsplit(scene.provider.url).netloc in shown.text, scene.front.log
    left = agree(here, link)
    away = left.headers["Refresh"].partition("url=")[2]
    while away.startswith(scene.provider.url):
        answer = there.get(away, allow_redirects=False, timeout=PATIENCE)
        away = urljoin(away, answer.headers["Location"])
    done = here.get(away, timeout=PATIENCE)
    assert "is connected" in done.text


def test_an_account_is_connected_used_refreshed_and_revoked(scene: Scene) -> None:
    token = scene.front.token("alice")
    connect(scene, link_of(call(scene.front, token)))
    assert said(scene, token) == "alice says hi"
    first = scene.seen.read_text()
    assert scene.has(first)
    assert first != token

    # The server refuses what the provider has ended, and Bascule gets another.
    scene.provider.end(first)
    assert not scene.has(first)
    assert said(scene, token) == "alice says hi"
    second = scene.seen.read_text()
    assert second not in {first, token}

    # What is over here is over there: nobody has to tell the provider.
    scene.front.ask("revoke", "--user", "alice", "--reason", "lost laptop")
    until(lambda: not scene.has(second))
    assert scene.front.call(token, "tools/list").status == 401
    link_of(call(scene.front, scene.front.token("alice")))


def said(scene: Scene, token: str) -> str:
    result = call(scene.front, token).json["result"]
    return str(result["content"][0]["text"])
