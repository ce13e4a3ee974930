"""Secrets of every kind are planted, used and made to fail; then they are looked for.

The other sides are the worst that there can be: whatever they are told they repeat in their
errors. Each secret must have reached whom it is for, or nothing would be shown here.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
import requests
from click.testing import CliRunner
from joserfc.jwk import ECKey

from bascule.app.place import Place
from bascule.cli.main import main
from bascule.config.load import load
from bascule.oauthclient.dpop import Prover
from bascule.storage import vault as stored
from patience import PATIENCE, until
from ports import free_ports
from system.echoing_party import Mood, Party, echoing
from system.oauth_browser import CALLBACK, Flow
from system.secret_search import files, processes, search, spellings
from system.server import COMMAND, Answer, Installation
from system.stdio_host import child
from system.visitor import Page, Visitor, path_of

VARIABLE = "BASCULE_TEST_PLANTED"
CONFIG = """
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
[boundary]
every_minutes = 0
[vault]
key = "file:{folder}/vault key"

[providers.evil]
issuer = "{url}"
client_id = "login"
client_secret = "file:{folder}/provider"
admit.everybody = true
signals.authorization = "file:{folder}/signals"
scim.token = "file:{folder}/scim"
[issuers.opaque]
issuer = "{url}/opaque"
audiences = {{ fixed = "api://fixed" }}
[issuers.opaque.introspection]
endpoint = "{url}/introspection"
client_id = "asks"
client_secret = "env:{variable}"

[connectors.fixed]
mode = "observe"
url = "{url}/mcp/fixed"
credential = {{ kind = "static", header = "X-Key", value = "vault:fixed", shared = true }}
[connectors.machine]
mode = "observe"
url = "{url}/mcp/machine"
credential = {{ kind = "client_credentials", issuer = "{url}", client_id = "machine", \
client_secret = "file:{folder}/machine", shared = true }}
[connectors.broken]
mode = "observe"
url = "{url}/mcp/machine"
credential = {{ kind = "client_credentials", issuer = "{url}", client_id = "machine", \
client_secret = "file:{folder}/machine", shared = true }}
[connectors.linked]
mode = "observe"
url = "{url}/mcp/linked"
credential = {{ kind = "per_user", issuer = "{url}", client_id = "linker", \
client_secret = "vault:linker", dpop = true }}
[connectors.local]
mode = "observe"
command = {command}
env = {{ LOCAL = "vault:local" }}

[roles.all]
members = ["user:alice"]
allow = [{tools}]
[agents]
default_ceiling = [{tools}]
"""
CONNECTORS = ("fixed", "machine", "broken", "linked", "local")
COMMANDS = (
    "user list", "agent list", "secret list", "grant list", "audit query", "policy who-can",
    "config check", "doctor idp evil", "posture", "approvals list",
)  # fmt: skip
"""Those that print what there is."""


def made_up(name: str) -> str:
    """Make a secret that is written otherwise in a URL, a form and HTML."""
    return f"{name.replace(' ', '-')}+/{secrets.token_hex(16)}~"


@dataclass
class Scene:
    """A gateway, the party on its other sides, and all that was planted and answered."""

    bascule: Installation
    party: Party
    secrets: dict[str, str]
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    visitor: Visitor = field(init=False)

    def plant(self, name: str, secret: str) -> str:
        """Take up a secret that was made elsewhere."""
        self.secrets[name] = secret
        return secret

    def saw(self, what: str, reply: Page | Answer | requests.Response) -> None:
        """Keep what somebody was answered, head and body."""
        if isinstance(reply, Page):
            text = f"{reply.headers}{reply.text}".encode()
        elif isinstance(reply, Answer):
            text = str(reply.headers).encode() + reply.body
        else:
            text = str(reply.headers).encode() + reply.content
        self.replies.append((f"the answer to {what}", text))

    def post(self, path: str, **how: Any) -> requests.Response:
        return requests.post(self.bascule.url + path, timeout=PATIENCE, **how)

    def call(self, token: str, connector: str, name: str) -> Answer:
        asked = {"name": name, "arguments": {}}
        answer = self.bascule.call(token, "tools/call", asked, connector=connector)
        self.saw(f"{name} at {connector}", answer)
        return answer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folder = tmp_path
    names = (
        "provider", "signals", "scim", "fixed", "machine", "linker", "local",
        "introspection",
        "access of the login", "refresh of the login", "machine token", "linked access",
        "linked refresh", "password", "wrong password", "password as a name", "bearer",
        "opaque bearer", "client secret", "code",
    )  # fmt: skip
    planted = {name: made_up(name) for name in names}
    planted["vault key"] = base64.b64encode(secrets.token_bytes(32)).decode()
    for name in ("provider", "signals", "scim", "machine", "vault key"):
        (folder / name).touch(0o600)
        (folder / name).write_text(planted[name])
    tokens = {
        "login": _tokens(planted, "access of the login", "refresh of the login"),
        "machine": {"access_token": planted["machine token"]},
        "linker": _tokens(planted, "linked access", "linked refresh"),
    }
    public, admin = free_ports(2)
    bascule = Installation(folder / "bascule", public, admin)
    bascule.folder.mkdir()
    out = f'exec "$@" > "{folder}/stdout"'
    bascule.command = ["sh", "-c", out, "sh", *COMMAND]
    with pytest.MonkeyPatch.context() as patch, echoing(tokens) as party:
        patch.setenv(VARIABLE, planted["introspection"])
        text = CONFIG.format(
            public=public, admin=admin, folder=folder, url=party.url, variable=VARIABLE,
            command=json.dumps(child(folder)),
            tools=", ".join(f'"{name}/*"' for name in CONNECTORS),
        )  # fmt: skip
        bascule.config.write_text(text)
        made = Scene(bascule, party, planted)
        for name in ("fixed", "linker", "local"):
            _keep(bascule, name, planted[name])
        bascule.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
        made.plant(
            "agent", bascule.ask("agent", "add", "robot", "--secret")["client_secret"]
        )
        bascule.start()
        try:
            yield made
        finally:
            bascule.kill()


def _tokens(planted: dict[str, str], access: str, refresh: str) -> dict[str, str]:
    return {"access_token": planted[access], "refresh_token": planted[refresh]}


def _keep(bascule: Installation, name: str, secret: str) -> None:
    words = [*bascule.options, "secret", "set", name]
    assert CliRunner().invoke(main, words, input=secret).exit_code == 0


def signs_in_here(scene: Scene) -> None:
    """A local user: a link, a password, wrong ones, a password typed as a name."""
    link = scene.bascule.ask("user", "add", "alice")["setup_link"]
    scene.plant("set-up link", path_of(link).rpartition("/")[2])
    visitor, here = Visitor(scene.bascule), scene.secrets
    visitor.post(path_of(link), {"password": here["password"]})
    assert visitor.signed_in
    scene.visitor = visitor
    for name, value in visitor.cookies.items():
        scene.plant(f"cookie {name}", value)
    stranger = Visitor(scene.bascule)
    for name, password in (
        ("alice", here["wrong password"]),
        (here["password as a name"], "x"),
    ):
        page = stranger.sign_in(name, password)
        assert page.status in {400, 401, 403, 429}, page.text
        if name != here["password as a name"]:  # that form shows the name again
            scene.saw("a wrong password", page)


def signs_in_by_the_provider(scene: Scene) -> Visitor:
    """Login, where the provider refuses, breaks down, and lets in."""
    visitor = Visitor(scene.bascule)
    moods: tuple[Mood, ...] = ("refuses", "breaks", "good")
    for mood in moods:
        begun = visitor.get("/login/with/evil")
        asked = parse_qs(urlsplit(begun.location or "").query)
        scene.plant(f"state {mood}", asked["state"][0])
        scene.party.mood, scene.party.nonce = mood, asked["nonce"][0]
        back = f"/login/callback/evil?state={asked['state'][0]}&code="
        page = visitor.get(back + quote(scene.secrets["code"], safe=""))
        assert (page.location == "/account") == (mood == "good"), page.text
        if mood != "good":  # then there is the cookie, for that browser
            scene.saw(f"a login where the provider {mood}", page)
    for name, value in visitor.cookies.items():
        scene.plant(f"cookie {name} of the login", value)
    refused = visitor.get(f"/login/callback/evil?error={scene.secrets['code']}&state=x")
    scene.saw("a login that is none", refused)
    return visitor


def gets_tokens(scene: Scene, visitor: Visitor, whose: str) -> dict[str, Any]:
    """Let an app in, for a connector, and refresh its tokens; those who fail too."""
    browser = requests.Session()
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    flow = Flow(scene.bascule, browser)
    tokens = flow.tokens(resource=f"{scene.bascule.url}/c/fixed/mcp")
    scene.plant(f"verifier of {whose}", flow.verifier)
    scene.plant(f"refresh of {whose}", tokens["refresh_token"])
    plant_jwt(scene, f"access of {whose}", tokens["access_token"])
    form = {"grant_type": "refresh_token", "client_id": "app"}
    again = scene.post(
        "/oauth/token", data=form | {"refresh_token": tokens["refresh_token"]}
    )
    assert again.status_code == 200, again.text
    fresh: dict[str, Any] = again.json()
    scene.plant(f"second refresh of {whose}", fresh["refresh_token"])
    plant_jwt(scene, f"second access of {whose}", fresh["access_token"])
    return fresh


def plant_jwt(scene: Scene, name: str, token: str) -> None:
    """Plant the signature alone: who has no signature has no token."""
    scene.plant(name, token.rpartition(".")[2])


def is_asked_about_again(scene: Scene, tokens: dict[str, Any]) -> None:
    """Refresh tokens of a user of the provider, which does not answer as it should."""
    form = {"grant_type": "refresh_token", "client_id": "app"}
    with closing(sqlite3.connect(scene.bascule.data / "state.db")) as database:
        database.execute("UPDATE federated_users SET checked_at = 0")
        database.commit()
    for mood in ("refuses", "breaks"):
        scene.party.mood = mood
        sent = form | {"refresh_token": tokens["refresh_token"]}
        answer = scene.post("/oauth/token", data=sent)
        assert answer.status_code == 503, answer.text
        scene.saw("a refresh that the provider does not confirm", answer)
    scene.party.mood = "good"


def shows_wrong_things(scene: Scene, tokens: dict[str, Any]) -> None:
    """What clients get wrong: secrets that are none, or in places where none belongs."""
    here = scene.secrets
    basic = {"client_id": "robot", "client_secret": here["client secret"]}
    bearer = {"Authorization": f"Bearer {here['bearer']}"}
    form = {"grant_type": "client_credentials", **basic}
    code = {"grant_type": "authorization_code", "client_id": "app", "code": here["code"]}
    scene.saw("a wrong client secret", scene.post("/oauth/token", data=form))
    scene.saw("a wrong code", scene.post("/oauth/token", data=code))
    good = {"client_id": "robot", "client_secret": here["agent"]}
    told = scene.post("/oauth/introspect", data=good | {"token": here["bearer"]})
    assert told.json() == {"active": False}
    for path in ("/oauth/revoke", "/oauth/introspect", "/oauth/token"):
        for data in (basic | {"token": here["bearer"]}, {here["bearer"]: here["bearer"]}):
            scene.saw(path, scene.post(path, data=data, headers=bearer))
    token = tokens["access_token"]
    for path in (
        f"/c/fixed/mcp?access_token={token}",
        f"/{token}",
        f"/c/{token}/mcp",
        f"/account?token={here['bearer']}",
    ):
        answer = requests.get(scene.bascule.url + path, timeout=PATIENCE)
        assert answer.status_code >= 400 or answer.history
        if answer.status_code >= 400:
            scene.saw("a token in an address", answer)
    prover = Prover(ECKey.generate_key("P-256"))
    address = f"{scene.bascule.url}/c/fixed/mcp"
    proof = prover.proof(
        "GET", address, now=int(time.time()), entropy=os.urandom, access_token=token
    )
    plant_jwt(scene, "DPoP proof", proof)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    scene.saw("a wrong proof", scene.post("/c/fixed/mcp", json={}, headers=headers))
    scene.saw(
        "a made-up token",
        scene.bascule.call(here["bearer"], "tools/list", connector="fixed"),
    )
    for sent, status in ((here["scim"], 200), (here["bearer"], 401)):
        headers = {"Authorization": f"Bearer {sent}"}
        answer = requests.get(
            f"{scene.bascule.url}/scim/evil/v2/Users", headers=headers, timeout=PATIENCE
        )
        assert answer.status_code == status
        scene.saw("provisioning", answer)
    for sent in (here["signals"], here["bearer"]):
        headers = {"Authorization": sent, "Content-Type": "application/secevent+jwt"}
        scene.saw("an event", scene.post("/signals/evil", data=b"x.y.z", headers=headers))


def links_an_account(scene: Scene, token: str) -> None:
    """Connect an account: once the server refuses, once it breaks, then it is well."""
    moods: tuple[Mood, ...] = ("refuses", "breaks", "good")
    for mood in moods:
        scene.party.mood = "good"
        url = scene.bascule.ask("link", "linked", "--user", "alice", "--no-wait")["url"]
        scene.plant(f"link {mood}", path_of(url).rpartition("/")[2])
        shown = scene.visitor.get(path_of(url))
        away = scene.visitor.post(path_of(url), shown.fields)
        assert away.status == 200, away.text
        place = (away.header("refresh") or "").partition("url=")[2] or away.location or ""
        asked = parse_qs(urlsplit(place).query)
        scene.plant(f"state of link {mood}", asked["state"][0])
        back = (
            f"{path_of(asked['redirect_uri'][0])}?state={quote(asked['state'][0], safe='')}"
        )
        scene.party.mood = mood
        done = scene.visitor.get(f"{back}&code={quote(scene.secrets['code'], safe='')}")
        assert ("is connected" in done.text) == (mood == "good"), done.text
        scene.saw(f"a link where the server {mood}", done)
    assert scene.call(token, "linked", "good").status == 200
    for number, key in enumerate(keys_of_accounts(scene)):
        scene.plant(f"DPoP key {number}", key)
    for mood in ("breaks", "refuses"):
        scene.party.mood = mood
        scene.call(token, "linked", "unauthorized")
    scene.party.mood = "good"


def keys_of_accounts(scene: Scene) -> list[str]:
    """Open the vault, as Bascule does, and give the private keys of accounts."""
    config = load(scene.bascule.config.read_text(), source="test")
    found = []
    with closing(Place(scene.bascule.data, config.server)) as place:
        vault, store = place.vault(config.vault), place.open_state()
        for name in store.read(partial(stored.names, owner="user:alice")):
            kept = store.read(partial(vault.get, owner="user:alice", name=name))
            found.append(json.loads(json.loads(kept or b"")["dpop_key"])["d"])
    assert found
    return found


def drive(scene: Scene) -> None:
    """Do all of it."""
    signs_in_here(scene)
    by_provider = signs_in_by_the_provider(scene)
    mine = gets_tokens(scene, scene.visitor, "alice")
    theirs = gets_tokens(scene, by_provider, "a user of the provider")
    is_asked_about_again(scene, theirs)
    shows_wrong_things(scene, mine)
    tokens = {}
    for connector in CONNECTORS:
        tokens[connector] = scene.bascule.token("alice", connector)
        plant_jwt(scene, f"token for {connector}", tokens[connector])
    for connector in ("fixed", "machine"):
        assert scene.call(tokens[connector], connector, "good").status == 200
        for name in ("unauthorized", "breaks"):
            assert scene.call(tokens[connector], connector, name).status >= 400
    moods: tuple[Mood, ...] = ("refuses", "breaks")
    for mood in moods:
        scene.party.mood = mood
        assert scene.call(tokens["broken"], "broken", "good").status >= 400
        scene.call(tokens["machine"], "machine", "unauthorized")
        opaque = scene.bascule.call(
            scene.secrets["opaque bearer"], "tools/list", connector="fixed"
        )
        scene.saw("an opaque token", opaque)
    links_an_account(scene, tokens["linked"])
    assert scene.call(tokens["local"], "local", "echo").status == 200
    scene.party.mood = "breaks"
    scene.bascule.ask("revoke", "--all", "--reason", "all of it was stolen")
    until(lambda: scene.bascule.log.count("tokens that ended were not revoked") >= 2)


def places(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Give all that is kept, said or answered."""
    yield from files(scene.bascule.folder)
    yield "what it printed", (scene.bascule.folder.parent / "stdout").read_bytes()
    yield "what it logged", scene.bascule.log.encode()
    yield from scene.replies


def test_no_secret_is_found_where_none_belongs(scene: Scene) -> None:
    """One test, since nobody can make all this happen twice in a short time."""
    drive(scene)
    came_to_whom_they_are_for(scene)
    assert search(places(scene), scene.secrets) == []
    assert search(printed(scene), scene.secrets) == []
    assert search(running(scene), scene.secrets) == []
    finds_what_is_there(scene)


def came_to_whom_they_are_for(scene: Scene) -> None:
    """Were one not used, it would be no wonder that it is nowhere."""
    heard = [("the other side", b"\n".join(scene.party.heard))]
    found = {name for _, name, _ in search(heard, scene.secrets)}
    assert {
        "provider", "fixed", "machine", "linker", "introspection", "refresh of the login",
        "machine token", "linked access", "linked refresh", "opaque bearer", "code",
    } <= found  # fmt: skip
    assert not found & {"vault key", "local", "signals", "scim", "password", "agent"}
    assert not [it for it in found if it.startswith(("token for", "access of", "cookie"))]


def printed(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Give what commands print, while the other side refuses everything."""
    scene.party.mood = "refuses"
    for words in COMMANDS:
        result = scene.bascule.cli(*words.split(), "--json")
        assert "Usage:" not in result.output, result.output
        yield f"bascule {words}", result.output.encode()


def running(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Give the arguments of all processes, and the variables of those of servers."""
    process = scene.bascule.process
    assert process is not None
    found = dict(processes(process.pid))
    servers = [it for it in found if "stdio_child" in it]
    assert servers
    for command, pid in found.items():
        yield f"arguments of {command}", command.encode()
        if command in servers:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            own = scene.secrets["local"].encode()
            yield f"variables of {command}", environment.replace(own, b"its own")


def finds_what_is_there(scene: Scene) -> None:
    """Leave secrets where they must not be, each elsewhere, and see that they are found."""
    (scene.bascule.data / "audit" / "note").write_text(
        base64.b64encode(f"x:{scene.secrets['machine']}".encode()).decode()
    )
    with closing(sqlite3.connect(scene.bascule.data / "state.db")) as database:
        row = (scene.secrets["linked refresh"], scene.secrets["bearer"].encode(), "user:a")
        database.execute(
            "INSERT INTO vault_entries (owner, name, version, sealed) VALUES (?, ?, 1, ?)",
            (row[2], row[0], row[1]),
        )
        database.commit()
    scene.replies.append(("a reply", quote_plus(scene.secrets["agent"] + "&x").encode()))
    there = {
        ("data/audit/note", "machine"),
        ("data/state.db-wal", "linked refresh"),
        ("rows of state.db", "linked refresh"),
        ("rows of state.db", "bearer"),
        ("a reply", "agent"),
    }
    where = {place for place, _ in there}
    found = search((it for it in places(scene) if it[0] in where), scene.secrets)
    assert {(place, name) for place, name, _ in found} >= there


def test_the_search_finds_each_spelling_whatever_is_around_it() -> None:
    secret = made_up("a secret")
    assert "+/" in secret
    for spelling, text in spellings(secret).items():
        assert search([("", b"before " + text + b" after")], {"it": secret}), spelling
    for before in ("", "a", "ab", "abc"):
        for written in (secret, quote_plus(secret)):
            pair = base64.b64encode(f"{before}:{written}:and more".encode())
            assert search([("", pair)], {"it": secret})
    assert search([("", secret[:-1].encode())], {"it": secret}) == []
