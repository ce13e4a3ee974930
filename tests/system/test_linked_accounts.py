"""A user's own account at a second Bascule: connected once, used, refreshed, ended.

The second Bascule is the upstream and its authorization server; the recorder behind it is
the MCP server, and sees what reaches it at last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from patience import PATIENCE, until
from ports import free_ports
from system.linking import agree, call, link_of
from system.oauth_browser import sign_in
from system.recorder import Recorder, recording
from system.server import Installation, serving

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[connectors.desk]
mode = "observe"
url = "{behind}/c/desk/mcp"
credential = {{ kind = "per_user", issuer = "{behind}", client_id = "front", \
client_secret = "file:{secret}" }}

[connectors.safe]
mode = "observe"
url = "{behind}/c/safe/mcp"
credential = {{ kind = "per_user", issuer = "{behind}", client_id = "front", \
client_secret = "file:{secret}", dpop = true }}

[roles.clerk]
members = ["user:alice", "user:bob"]
allow = ["desk/*", "safe/*"]

[agents]
default_ceiling = ["desk/*", "safe/*"]
"""
BEHIND = """
[connectors.safe]
mode = "observe"
url = "http://127.0.0.1:{port}/mcp"
require = "dpop"

[roles.careful]
members = ["user:alice"]
allow = ["safe/*"]

[agents.ceilings]
front = ["desk/*", "safe/*"]
"""


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    more = BEHIND.format(port=recorder.port)
    with serving(tmp_path_factory.mktemp("behind"), recorder, more=more) as made:
        yield made


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, behind: Installation
) -> Iterator[Installation]:
    public, admin = free_ports(2)
    made = Installation(tmp_path_factory.mktemp("front"), public, admin)
    back = f"{made.url}/link/callback"
    added = behind.ask("agent", "add", "front", "--secret", "--redirect-uri", back)
    secret = made.folder / "secret"
    secret.touch(0o600)
    secret.write_text(added["client_secret"])
    made.config.write_text(
        CONFIG.format(public=public, admin=admin, behind=behind.url, secret=secret)
    )
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def connect(front: Installation, behind: Installation, link: str, name: str) -> str:
    """Do what a person does in a browser; gives the last page."""
    here, there = sign_in(front, name), sign_in(behind, name)
    shown = here.get(link, timeout=PATIENCE)
    assert shown.status_code == 200, shown.text
    assert urlsplit(behind.url).netloc in shown.text
    left = agree(here, link)
    assert "Refresh" in left.headers, left.text
    away = left.headers["Refresh"].partition("url=")[2]
    asked = there.get(away, allow_redirects=False, timeout=PATIENCE)
    assert asked.status_code == 303, asked.text
    request = parse_qs(urlsplit(asked.headers["Location"]).query)["request"][0]
    consented = there.post(
        f"{behind.url}/consent",
        {"request": request, "decision": "allow"},
        headers={"Origin": behind.url},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert consented.status_code in {200, 303}, consented.text
    back = (
        consented.headers.get("Location")
        or consented.headers["Refresh"].partition("url=")[2]
    )
    done = here.get(back, timeout=PATIENCE)
    assert done.status_code == 200, done.text
    return done.text


def test_a_user_connects_an_account_and_acts_as_themselves_until_it_ends(
    front: Installation, behind: Installation, recorder: Recorder
) -> None:
    token = front.token("alice")
    recorder.take()
    plain = call(front, token, urls=False)
    assert plain.status == 400
    assert f"{front.url}/link/" in plain.error["message"]
    link = link_of(call(front, token))
    assert recorder.take() == []

    other = sign_in(front, "bob").get(link, timeout=PATIENCE)
    assert other.status_code == 403

    assert "is connected" in connect(front, behind, link, "alice")
    answer = call(front, token)
    assert answer.status == 200
    assert "inputRequests" not in answer.json["result"]
    arrived = recorder.take()
    assert arrived
    assert not any(token.encode() in it.raw for it in arrived)
    seen = behind.wait_for_records("--user", "user:alice", "--connector", "desk")
    assert {"front"} <= {it["agent"] for it in seen}

    # Nobody else has it, and it is over with a revocation, there too.
    link_of(call(front, front.token("bob")))
    went = {"inputResponses": {"bascule/link": {"action": "accept"}}}
    front.abandoned(front.token("bob"), "echo", **went).close()
    link_of(call(front, front.token("bob")))
    of_bob = "--user", "user:bob", "--type"
    ended = front.wait_for_records(*of_bob, "call.end", count=2)
    # Who went away while its user is on the page has left no call open.
    assert len(front.records(*of_bob, "call.start")) == len(ended)
    front.ask("revoke", "--user", "alice", "--reason", "lost laptop")
    until(lambda: bool(behind.records("--type", "revoke")))
    link_of(call(front, front.token("alice")))

    refused = front.wait_for_records("--type", "link.refuse")
    assert refused[0]["user"] == "user:bob"
    for path in front.data.rglob("*"):
        if path.is_file():
            assert not re.search(rb"bsc_rt_[0-9a-f]{8}", path.read_bytes()), path
    assert "bsc_rt_" not in front.log


def test_what_wants_proofs_of_a_key_gets_a_new_one_with_each_call(
    front: Installation, behind: Installation, recorder: Recorder
) -> None:
    token = front.token("alice", "safe")
    connect(front, behind, link_of(call(front, token, connector="safe")), "alice")
    recorder.take()
    for _ in range(3):
        assert "content" in call(front, token, connector="safe").json["result"]
    assert len([it for it in recorder.take() if b"tools/call" in it.body]) == 3
    seen = behind.wait_for_records("--connector", "safe", "--type", "call.end", count=3)
    assert {(it["user"], it["agent"]) for it in seen} == {("user:alice", "front")}
