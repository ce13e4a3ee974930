"""A server that wants more rights than it was given: its user is asked, and knows for what.

The authorization server is a real one, which registers Bascule by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bascule.oauthclient.scopes import MAX_STEP_UPS
from foreign import signer
from patience import PATIENCE, until
from ports import free_ports
from system.company import Company, company
from system.gated import approve, lock
from system.guarded import READ, SCOPES, WRITE, Guarded, guarded
from system.legacy_client import LegacyClient
from system.linking import agree, link_of
from system.oauth_browser import sign_in
from system.server import Answer, Installation

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[connectors.desk]
mode = "observe"
url = "{server}/desk"
credential = {{ kind = "per_user" }}

[connectors.locked]
url = "{server}/locked"
credential = {{ kind = "per_user" }}

[roles.clerk]
members = ["user:alice", "user:bob", "user:carol", "user:dave", "user:eve"]
allow = ["desk/*", "locked/*"]

[agents]
default_ceiling = ["desk/*", "locked/*"]
"""
OFFLINE = "offline_access"
URLS = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}


@dataclass
class Scene:
    front: Installation
    corp: Company
    server: Guarded

    def call(self, user: str, tool: str, connector: str = "desk") -> Answer:
        """Call a tool as a client of 2026-07-28 that can lead its user to a page."""
        params = {"name": tool, "arguments": {}, "_meta": URLS}
        token = self.front.token(user, connector)
        return self.front.call(token, "tools/call", params, connector=connector)

    def page(self, user: str, link: str) -> str:
        """Open a link as a user; gives what they see."""
        shown = sign_in(self.front, user).get(link, timeout=PATIENCE)
        assert shown.status_code == 200, shown.text
        return shown.text

    def connect(self, user: str, link: str) -> None:
        """Follow a link to its end, as a user who agrees."""
        browser = sign_in(self.front, user)
        left = agree(browser, link)
        assert left.status_code == 200, left.text
        away = left.headers["Refresh"].partition("url=")[2]
        self.corp.signs_in(user)
        done = browser.get(self.corp.visit(away), timeout=PATIENCE)
        assert "is connected" in done.text, done.text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("front")
    public, admin, port = free_ports(3)
    front = Installation(folder, public, admin)
    back = f"{front.url}/link/callback"
    with (
        company(
            folder, port, back, signer("key-1", "RS256"), guards=SCOPES, refreshUnasked=True
        ) as corp,
        guarded(corp.issuer) as server,
    ):
        text = CONFIG.format(public=public, admin=admin, server=server.origin)
        front.config.write_text(text)
        for name in ("alice", "bob", "carol", "dave", "eve"):
            corp.knows(name)
            front.ask("user", "add", name)
        lock(front, "locked", server.document())
        approve(front, "locked")
        front.start()
        try:
            yield Scene(front, corp, server)
        finally:
            front.kill()


def listed(page: str) -> list[list[str]]:
    """Give the lists of scopes on a page."""
    lists = re.findall(r"<ul>(.*?)</ul>", page, re.DOTALL)
    return [re.findall(r"<li>(.*?)</li>", it) for it in lists]


def test_a_user_gives_more_when_a_tool_needs_it_and_sees_what(scene: Scene) -> None:
    link = link_of(scene.call("alice", "echo"))
    assert listed(scene.page("alice", link)) == [[READ, OFFLINE]]
    scene.connect("alice", link)
    assert scene.call("alice", "echo").json["result"]["content"]

    scene.server.calls.clear()
    more = scene.call("alice", "write")
    asked = more.json["result"]["inputRequests"]["bascule/link"]["params"]
    assert "more rights" in asked["message"]
    assert [it[0] for it in scene.server.calls] == ["write"]
    page = scene.page("alice", link_of(more))
    assert "Give desk more rights?" in page
    new, held = listed(page)
    assert new == [WRITE]
    assert held == [READ, OFFLINE]
    scene.connect("alice", link_of(more))
    assert scene.call("alice", "write").json["result"]["content"]
    assert set(scene.server.calls[-1][1]) >= {READ, WRITE}
    assert scene.call("alice", "echo").json["result"]["content"]
    scene.front.wait_for_records("--user", "alice", "--type", "call.end", count=5)
    ended = [it for it in scene.front.whole_records() if "result" in it]
    outcomes = [
        it["result"].get("outcome") for it in ended if it["user"] == {"sub": "alice"}
    ]
    assert outcomes[:3] == ["link_needed", None, "step_up_needed"]


def begin(scene: Scene, user: str, connector: str, **capabilities: Any) -> LegacyClient:
    """Begin a session of 2025-11-25, as a client that can be asked these things."""
    client = LegacyClient(scene.front, scene.front.token(user, connector), connector)
    assert client.initialize(capabilities=capabilities).status == 200
    return client


def elicited(answer: Answer) -> str:
    """Give the address that a client of 2025-11-25 is asked to show its user."""
    assert answer.error["code"] == -32042
    (asked,) = answer.error["data"]["elicitations"]
    assert asked["mode"] == "url"
    assert asked["elicitationId"] not in asked["url"]
    return str(asked["url"])


def test_clients_of_the_older_revision_are_led_there_too(scene: Scene) -> None:
    token = scene.front.token("bob")
    first = LegacyClient(scene.front, token, "desk").initialize().error
    assert first["data"]["url"] in first["message"]
    scene.connect("bob", first["data"]["url"])
    client = begin(scene, "bob", "desk", elicitation={"form": {}, "url": {}})
    plain = begin(scene, "bob", "desk")

    answer = client.tool("write")
    assert "more rights" in answer.error["message"]
    said = plain.tool("write").error
    assert said["code"] != -32042
    assert "more rights" in said["message"]
    assert said["data"]["url"] in said["message"]
    scene.connect("bob", elicited(answer))
    assert "content" in client.tool("write").json["result"]

    scene.front.ask("link", "desk", "--user", "bob", "--remove")
    until(lambda: "error" in client.tool("echo").json)
    scene.connect("bob", elicited(client.tool("echo")))
    assert "content" in plain.tool("echo").json["result"]


def test_a_server_that_always_wants_more_gets_no_more(scene: Scene) -> None:
    scene.connect("carol", link_of(scene.call("carol", "greedy")))
    scene.server.calls.clear()
    for step in range(1, MAX_STEP_UPS + 1):
        answer = scene.call("carol", "greedy")
        new, held = listed(scene.page("carol", link_of(answer)))
        assert new == [f"more.{step}"]
        assert f"more.{step - 1}" in [*held, "more.0"]
        scene.connect("carol", link_of(answer))
    given_up = scene.call("carol", "greedy")
    assert given_up.status == 502
    assert "goes on asking" in given_up.error["message"]
    assert len(scene.server.calls) <= 2 * (MAX_STEP_UPS + 1)  # once more where it is new
    assert scene.call("carol", "echo").json["result"]["content"]


def test_a_server_that_its_user_has_not_read_yet_leads_to_the_page(scene: Scene) -> None:
    """What it serves can be compared only with an account: that is no fault of it."""
    answer = scene.call("dave", "echo", "locked")
    refused = scene.front.wait_for_records("--user", "user:dave", "--decision", "deny")
    assert [it["reason"] for it in refused] == ["account_needed"]
    scene.connect("dave", link_of(answer))
    assert scene.call("dave", "echo", "locked").json["result"]["content"]


def test_so_it_does_at_the_older_revision(scene: Scene) -> None:
    token = scene.front.token("eve", "locked")
    first = LegacyClient(scene.front, token, "locked").initialize().error
    scene.connect("eve", first["data"]["url"])
    client = begin(scene, "eve", "locked", elicitation={"url": {}})
    scene.front.ask("link", "locked", "--user", "eve", "--remove")
    until(lambda: "content" not in scene.call("eve", "echo", "locked").json["result"])
    scene.connect("eve", elicited(client.tool("echo")))
    assert "content" in client.tool("echo").json["result"]
    refused = scene.front.wait_for_records("--user", "user:eve", "--decision", "deny")
    assert {it["reason"] for it in refused} == {"account_needed"}
