"""Tokens of Bascule's own toward servers: a second Bascule behind, and an exchange.

The authorization server that exchanges is made here, since no real one that could be had
does it: it checks what Bascule states with Bascule's published keys.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from patience import PATIENCE, until
from ports import free_ports
from system.recorder import Recorder, recording
from system.server import Installation, serving

MACHINES = """
[roles.machines]
members = ["agent:front"]
allow = ["desk/echo"]
"""

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
credential = {{ kind = "client_credentials", issuer = "{behind}", client_id = "front", \
client_key = "file:{key}", shared = true }}

[connectors.swap]
mode = "observe"
url = "http://127.0.0.1:{upstream}/mcp"
credential = {{ kind = "token_exchange", issuer = "{issuer}", client_id = "front", \
client_secret = "file:{secret}", scopes = ["notes"] }}

[roles.clerk]
members = ["user:alice", "user:bob"]
allow = ["desk/*", "swap/*"]

[agents]
default_ceiling = ["desk/*", "swap/*"]
"""
SECRET = "exchange-client-canary"


@dataclass
class Exchanger:
    """An authorization server that exchanges what an issuer states."""

    url: str = ""
    keys_at: str = ""
    down: bool = False
    shown: list[dict[str, str]] = field(default_factory=list)
    stated: list[dict[str, Any]] = field(default_factory=list)

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        answer = requests.get(self.keys_at, timeout=PATIENCE)
        keys = KeySet.import_key_set(answer.json())
        stated = jwt.decode(form["subject_token"], keys, algorithms=["Ed25519"]).claims
        self.shown.append(form)
        self.stated.append(stated)
        return {
            "access_token": f"exchanged-for-{stated['sub']}-{len(self.stated)}",
            "token_type": "Bearer",
            "expires_in": 300,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }


@pytest.fixture(scope="module")
def exchanger() -> Iterator[Exchanger]:
    made = Exchanger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {"issuer": made.url, "token_endpoint": f"{made.url}/token"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if made.down:
                self.answer(503, {})
            else:
                self.answer(200, made.exchange(dict(parse_qsl(body))))

        def answer(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, exchanger: Exchanger
) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("behind"), recorder, more=MACHINES) as behind:
        folder = tmp_path_factory.mktemp("front")
        public, admin = free_ports(2)
        made = Installation(folder, public, admin)
        _write_key(folder, behind)
        (folder / "secret").touch(0o600)
        (folder / "secret").write_text(SECRET)
        made.config.write_text(
            CONFIG.format(
                public=public, admin=admin, behind=behind.url, upstream=recorder.port,
                issuer=exchanger.url, key=folder / "key", secret=folder / "secret",
            )
        )  # fmt: skip
        exchanger.keys_at = f"{made.url}/oauth/jwks"
        for name in ("alice", "bob"):
            made.ask("user", "add", name)
        made.ask("agent", "add", "robot", "--secret")
        made.start()
        try:
            yield made
        finally:
            made.kill()


def _write_key(folder: Path, behind: Installation) -> None:
    key = ECKey.generate_key("P-256", private=True)
    named = {"kid": "k1", "alg": "ES256"}
    (folder / "key").touch(0o600)
    (folder / "key").write_text(json.dumps({**key.as_dict(private=True), **named}))
    public = {**key.as_dict(private=False), **named}
    (folder / "jwks").write_text(json.dumps({"keys": [public]}))
    behind.ask("agent", "add", "front", "--jwks", str(folder / "jwks"))


def tool(front: Installation, token: str, connector: str, name: str = "echo") -> int:
    asked = {"name": name, "arguments": {"text": "hi"}}
    return front.call(token, "tools/call", asked, connector=connector).status


def test_a_second_bascule_knows_the_first_by_its_key(
    front: Installation, recorder: Recorder
) -> None:
    recorder.take()
    token = front.token("alice")
    for _ in range(3):
        assert tool(front, token, "desk") == 200
    arrived = recorder.take()
    assert len(arrived) >= 3
    assert not any(token.encode() in it.raw for it in arrived)


def test_each_user_and_agent_is_told_and_no_token_of_theirs_arrives(
    front: Installation, recorder: Recorder, exchanger: Exchanger
) -> None:
    recorder.take()
    before = len(exchanger.stated)
    tokens = {
        "alice": front.token("alice", "swap", "--agent", "robot"),
        "bob": front.token("bob", "swap"),
    }
    for token in tokens.values():
        for _ in range(2):
            assert tool(front, token, "swap") == 200
    arrived = recorder.take()
    seen = {it.headers["authorization"].rpartition("-")[0] for it in arrived}
    assert seen == {"Bearer exchanged-for-alice", "Bearer exchanged-for-bob"}
    told = [(it["sub"], it["act"], it["aud"]) for it in exchanger.stated[before:]]
    assert ("alice", {"sub": "robot"}, exchanger.url) in told
    assert len(told) <= 2
    for token in tokens.values():
        assert not any(token.encode() in it.raw for it in arrived)
        assert not any(token in json.dumps(it) for it in exchanger.shown)
    # What was stated there opens nothing here.
    assert front.call(exchanger.shown[0]["subject_token"], "ping").status == 401


def test_an_agent_by_itself_is_no_user(front: Installation, recorder: Recorder) -> None:
    recorder.take()
    token = front.token(None, "swap", "--agent", "robot")
    assert tool(front, token, "swap") != 200
    assert recorder.take() == []


def test_without_a_token_nothing_is_sent_and_revoking_forgets_the_old_one(
    front: Installation, recorder: Recorder, exchanger: Exchanger
) -> None:
    token = front.token("bob", "swap")
    assert tool(front, token, "swap") == 200
    front.ask("revoke", "--user", "alice", "--reason", "test")
    recorder.take()
    exchanger.down = True
    try:
        until(lambda: tool(front, token, "swap") == 503)
    finally:
        exchanger.down = False
    recorder.take()
    assert tool(front, token, "swap") == 200
    (arrived,) = recorder.take()
    assert arrived.headers["authorization"].startswith("Bearer exchanged-for-bob-")
    until(lambda: any("credential_failed" in str(it) for it in front.whole_records()))


def test_no_secret_lies_about(front: Installation) -> None:
    assert tool(front, front.token("alice", "swap"), "swap") == 200
    secrets = (SECRET.encode(), b"exchanged-for-")
    for path in front.data.rglob("*"):
        if path.is_file():
            assert not any(it in path.read_bytes() for it in secrets), path
    assert not any(it.decode() in front.log for it in secrets)
