"""Users' own accounts at a server whose authorization server is a real one.

Bascule registers itself there; for one connector it proves itself by a key. The server
wants more rights than it was given; the other side forgets, or dies at the worst moment.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from bascule.oauthclient.scopes import MAX_STEP_UPS
from bascule.storage import linked_accounts
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import open_store
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

[connectors.keyed]
mode = "observe"
url = "{server}/keyed"
credential = {{ kind = "per_user", issuer = "{issuer}", client_id = "bascule", \
client_key = "file:{key}" }}

[call_approvals.careful]
tools = ["desk/careful"]
self_approval = true

[roles.clerk]
members = ["group:staff"]
allow = ["desk/*", "locked/*", "keyed/*"]

[agents]
default_ceiling = ["desk/*", "locked/*", "keyed/*"]
"""
NAMES = (
    "alice",
    "bob",
    "carol",
    "dave",
    "eve",
    "fay",
    "gina",
    "hugo",
    "ivan",
    "judy",
    "kim",
    "lena",
    "mallory",
)
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

    def account(self, user: str, connector: str = "desk") -> LinkedAccount | None:
        """Give the account that a user has for a connector."""
        live = partial(linked_accounts.live, user=f"user:{user}", connector=connector)
        with contextlib.closing(open_store(self.front.data / "state.db")) as store:
            return store.read(live)

    def leave(self, browser: requests.Session, link: str) -> str:
        """Agree to what a link's page says; gives where it leads."""
        left = agree(browser, link)
        assert left.status_code == 200, left.text
        return left.headers["Refresh"].partition("url=")[2]

    def works(self, user: str, connector: str = "desk") -> bool:
        """Call a tool; tell whether it was called."""
        return "content" in self.call(user, "echo", connector).json["result"]

    def page(self, user: str, link: str) -> str:
        """Open a link as a user; gives what they see."""
        shown = sign_in(self.front, user).get(link, timeout=PATIENCE)
        assert shown.status_code == 200, shown.text
        return shown.text

    def connect(self, user: str, link: str) -> None:
        """Follow a link to its end, as a user who agrees."""
        browser = sign_in(self.front, user)
        away = self.leave(browser, link)
        self.corp.signs_in(user)
        done = browser.get(self.corp.visit(away), timeout=PATIENCE)
        assert "is connected" in done.text, done.text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("front")
    public, admin, port = free_ports(3)
    front = Installation(folder, public, admin)
    back = f"{front.url}/link/callback"
    client = signer("client-1", "ES256")
    key = folder / "client.jwk"
    key.touch(0o600)
    private = client.key.as_dict(private=True)
    key.write_text(json.dumps({**private, "kid": "client-1", "alg": "ES256"}))
    registered = {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [client.jwk()]},
    }
    given: dict[str, Any] = {"guards": SCOPES, "refreshUnasked": True, "client": registered}
    with (
        company(folder, port, back, signer("key-1", "RS256"), **given) as corp,
        guarded(corp.issuer) as server,
    ):
        front.config.write_text(
            CONFIG.format(
                public=public,
                admin=admin,
                server=server.origin,
                issuer=corp.issuer,
                key=key,
            )
        )
        for name in NAMES:
            corp.knows(name)
            front.ask("user", "add", name, "--group", "staff")
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
        it["result"].get("outcome") for it in ended if it.get("user") == {"sub": "alice"}
    ]
    assert outcomes[:3] == ["link_needed", None, "step_up_needed"]


def test_a_call_waits_for_its_user_and_goes_on_by_itself(scene: Scene) -> None:
    link = link_of(scene.call("kim", "echo"))
    token = scene.front.token("kim")

    def waits() -> Answer:
        params: dict[str, Any] = {"name": "echo", "arguments": {}, "_meta": URLS}
        shown: dict[str, Any] = {"inputResponses": {"bascule/link": {"action": "accept"}}}
        while shown:
            answer = scene.front.call(token, "tools/call", params | shown)
            assert "inputRequests" not in answer.json["result"]
            state = answer.json["result"].get("requestState")
            shown = {"requestState": state} if state else {}
        return answer

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waits)
        scene.connect("kim", link)
        assert waiting.result(PATIENCE).json["result"]["content"]


def test_nobody_approves_a_call_that_cannot_be_made_yet(scene: Scene) -> None:
    """An approval is good for one call: the account comes first."""
    scene.connect("lena", link_of(scene.call("lena", "careful")))
    asked = scene.call("lena", "careful").json["result"]["inputRequests"]
    assert list(asked) == ["bascule/approval"]
    client = begin(scene, "lena", "desk")
    assert "/approve/" in client.tool("careful").error["message"]
    scene.front.ask("link", "desk", "--user", "lena", "--remove")
    until(lambda: "/link/" in client.tool("careful").error["message"])


@pytest.mark.parametrize("method", ["tools/list", "completion/complete"])
def test_what_may_not_ask_for_input_says_it_as_an_error(scene: Scene, method: str) -> None:
    params: dict[str, Any] = {"_meta": URLS}
    if method == "completion/complete":
        params["ref"] = {"type": "ref/prompt", "name": "hello"}
        params["argument"] = {"name": "to", "value": ""}
    answer = scene.front.call(scene.front.token("judy"), method, params)
    assert (answer.status, answer.error["code"]) == (400, 428)
    assert answer.error["data"]["url"] in answer.error["message"]
    assert scene.page("judy", answer.error["data"]["url"])


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


def test_bascule_proves_itself_by_a_key(scene: Scene) -> None:
    """At the redemption, at a refresh and at the end: `private_key_jwt`, RFC 7523."""
    scene.connect("fay", link_of(scene.call("fay", "echo", "keyed")))
    assert scene.works("fay", "keyed")
    first = scene.server.tokens[-1]
    scene.server.refuses.add(first)
    assert scene.works("fay", "keyed")
    assert scene.server.tokens[-1] != first
    account = scene.account("fay", "keyed")
    assert account is not None
    assert account.version == 2
    scene.corp.asked()
    scene.front.ask("link", "keyed", "--user", "fay", "--remove")
    find = partial(linked_accounts.find, account_id=account.id)
    with contextlib.closing(open_store(scene.front.data / "state.db")) as store:
        until(lambda: store.read(find) is None)
    assert "/token/revocation" in [it["path"] for it in scene.corp.asked()]
    assert "`keyed`: tokens that ended were not revoked" not in scene.front.log


def test_a_client_that_its_server_has_forgotten_is_registered_anew(scene: Scene) -> None:
    scene.connect("gina", link_of(scene.call("gina", "echo")))
    assert scene.works("gina")
    scene.corp.forgets_clients()
    scene.server.refuses.add(scene.server.tokens[-1])
    link = link_of(scene.call("gina", "echo"))  # it cannot be refreshed any more
    browser = sign_in(scene.front, "gina")
    lost = scene.leave(browser, link)
    assert requests.get(lost, timeout=PATIENCE).status_code == 400
    again = scene.leave(browser, link)
    assert client_in(again) != client_in(lost)
    scene.connect("gina", link)
    assert scene.works("gina")


def test_a_code_that_somebody_else_got_connects_nothing(scene: Scene) -> None:
    """The other account would answer the victim's calls, and see what they are about."""
    back = {}
    for user in ("mallory", "ivan"):
        browser = sign_in(scene.front, user)
        away = scene.leave(browser, link_of(scene.call(user, "echo")))
        scene.corp.signs_in(user)
        back[user] = urlsplit(scene.corp.visit(away))
    stolen = parse_qs(back["mallory"].query)["code"][0]
    own = parse_qs(back["ivan"].query)
    query = urlencode({**{name: it[0] for name, it in own.items()}, "code": stolen})
    done = browser.get(back["ivan"]._replace(query=query).geturl(), timeout=PATIENCE)
    assert done.status_code == 502
    assert scene.account("ivan") is None
    assert not scene.works("ivan")


def client_in(url: str) -> str:
    """Give the client of an authorization request."""
    return parse_qs(urlsplit(url).query)["client_id"][0]


@pytest.mark.soak
def test_a_process_killed_between_rotation_and_commit_costs_one_user_one_link(
    scene: Scene,
) -> None:
    """The new token is lost, the old one spent; who is asked again loses nothing else."""
    for connector in ("keyed", "desk"):
        scene.connect("hugo", link_of(scene.call("hugo", "echo", connector)))
        assert scene.works("hugo", connector)
    before = scene.account("hugo")
    assert before is not None
    scene.server.refuses.add(scene.server.tokens[-1])
    process = scene.front.process
    assert process is not None
    scene.corp.kills(process.pid)
    with pytest.raises((OSError, http.client.HTTPException)):
        scene.call("hugo", "echo")
    assert process.wait(PATIENCE) == -signal.SIGKILL
    scene.front.kill()
    with contextlib.closing(open_store(scene.front.data / "state.db")) as store:
        # As if half a minute had passed: the dead process has the turn to refresh.
        release = partial(linked_accounts.release, account_id=before.id)
        store.run(partial(release, version=before.version))
    assert scene.account("hugo") == before
    scene.front.start()
    link = link_of(scene.call("hugo", "echo"))
    assert scene.works("hugo", "keyed")
    scene.connect("hugo", link)
    assert scene.works("hugo")
