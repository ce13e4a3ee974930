"""A user of the company at two Bascules: the provider vouches at the second for its user.

All parties are real but for the provider's part in it: `oidc-provider` issues no identity
assertions, so `node/id_jag.mjs` adds the grant, with the keys, clients and refresh tokens
that are oidc-provider's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foreign import signer
from patience import until
from ports import free_ports
from system.company import SECRET, Company, company
from system.recorder import Recorder
from system.server import Answer, Installation, configure
from system.visitor import Visitor

FRONT = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
every_minutes = 0

[providers.corp]
issuer = "{issuer}"
client_id = "bascule"
client_secret = "file:{folder}/at-provider"

[connectors.desk]
mode = "observe"
url = "{behind}/c/desk/mcp"
credential = {{ kind = "id_jag", issuer = "{behind}", client_id = "front", \
client_secret = "file:{folder}/at-behind" }}

[connectors.annex]
mode = "observe"
url = "{behind}/c/annex/mcp"
credential = {{ kind = "id_jag", issuer = "{behind}", client_id = "front", \
client_secret = "file:{folder}/at-behind" }}

[roles.clerk]
members = ["group:{issuer}|staff", "user:alice"]
allow = ["desk/*", "annex/*"]

[agents]
default_ceiling = ["desk/*", "annex/*"]
"""
BEHIND = """
[providers.corp]
issuer = "{issuer}"
client_id = "bascule-behind"
client_secret = "file:{folder}/at-provider"
id_jag = true

[roles.of-the-company]
members = ["group:{issuer}|staff"]
allow = ["desk/echo"]
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Bascule behind Bascule, and the provider of both."""

    front: Installation
    behind: Installation
    corp: Company
    recorder: Recorder
    client_secret: str

    def signs_in(self, account: str) -> str:
        """Sign somebody in at the front; gives the user's name."""
        self.corp.knows(account, groups=["staff"])
        self.corp.signs_in(account)
        visitor = Visitor(self.front)
        assert self.corp.login(visitor).location == "/account"
        user = f"{self.corp.issuer}|{account}"
        token = self.token(user, "annex")
        until(lambda: self.call(token, "annex").status != 401)  # the worker knows by now
        self.forget()
        return user

    def token(self, user: str, connector: str = "desk") -> str:
        return self.front.token(f"user:{user}", connector)

    def call(self, token: str, connector: str = "desk") -> Answer:
        asked = {"name": "echo", "arguments": {"text": "hi"}}
        return self.front.call(token, "tools/call", asked, connector=connector)

    def forget(self) -> None:
        self.corp.asked()
        self.recorder.take()

    def exchanges(self) -> list[dict[str, Any]]:
        """Give what the provider was asked to vouch for, since the last time."""
        return [it["exchange"] for it in self.corp.asked() if "exchange" in it]

    def forget_tokens(self) -> None:
        """Have the front ask anew: whatever is revoked, it forgets what it was given."""
        self.front.ask("revoke", "--user", "alice", "--reason", "test")


def secret_file(folder: Path, name: str, text: str) -> None:
    (folder / name).touch(0o600)
    (folder / name).write_text(text)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("vouched")
    public, admin, corp = free_ports(3)
    issuer = f"http://127.0.0.1:{corp}"
    secret_file(folder, "at-provider", SECRET)
    more = BEHIND.format(issuer=issuer, folder=folder)
    behind = configure(folder / "behind", recorder, more=more)
    secret = str(behind.ask("agent", "add", "front", "--secret")["client_secret"])
    secret_file(folder, "at-behind", secret)
    (folder / "front").mkdir()
    front = Installation(folder / "front", public, admin)
    front.config.write_text(
        FRONT.format(
            public=public, admin=admin, issuer=issuer, behind=behind.url, folder=folder
        )
    )
    front.ask("user", "add", "alice")
    allowed = {
        "audience": behind.url,
        "resource": f"{behind.url}/c/desk/mcp",
        "client_id": "front",
    }
    back = f"{front.url}/login/callback/corp"
    with contextlib.ExitStack() as stack:
        provider = company(folder, corp, back, signer("key-1", "RS256"), vouches=[allowed])
        made = Pair(front, behind, stack.enter_context(provider), recorder, secret)
        for it in (behind, front):
            it.start()
            stack.callback(it.kill)
        yield made


def problem(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    return str(answer.error["message"])


def test_the_second_knows_the_user_by_the_word_of_their_provider(pair: Pair) -> None:
    user = pair.signs_in("ada")
    token = pair.token(user)
    for _ in range(3):
        assert pair.call(token).status == 200
    (exchange,) = pair.exchanges()
    assert exchange["subject_token_type"].endswith(":id_token")
    assert exchange["audience"] == pair.behind.url
    assert exchange["resource"] == f"{pair.behind.url}/c/desk/mcp"
    seen = pair.behind.wait_for_records(
        "--type", "call.start", "--user", f"user:{user}", count=3
    )
    assert {(it["agent"], it["name"]) for it in seen} == {("front", "echo")}
    # What the front was shown, and what it showed the provider, went no further.
    arrived = pair.recorder.take()
    assert len(arrived) >= 3
    secrets = (token.encode(), exchange["subject_token"].encode())
    assert not any(secret in it.raw for it in arrived for secret in secrets)
    assert token not in str(exchange)


def test_all_who_wait_are_served_by_one_assertion(pair: Pair) -> None:
    token = pair.token(pair.signs_in("bea"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(pair.call, [token] * 8))
    assert {it.status for it in answers} == {200}
    assert len(pair.exchanges()) == 1


def test_the_refresh_token_takes_the_place_of_an_id_token_that_ended(pair: Pair) -> None:
    """The provider rotates it, and ends the login where one comes twice."""
    pair.corp.gives_id_tokens_for(20)
    try:
        token = pair.token(pair.signs_in("cyd"))
    finally:
        pair.corp.gives_id_tokens_for(3600)
    shown: list[dict[str, Any]] = []

    def asked_again() -> bool:
        assert pair.call(token).status == 200
        fresh = pair.exchanges()
        shown.extend(fresh)
        return bool(fresh)

    for _ in range(3):
        until(asked_again)
        pair.forget_tokens()
    assert {it["subject_token_type"].rpartition(":")[2] for it in shown} == {
        "refresh_token"
    }
    assert len({it["subject_token"] for it in shown}) == len(shown)


def test_who_is_not_vouched_for_gets_nothing_there(pair: Pair) -> None:
    user = pair.signs_in("dan")
    said = problem(pair.call(pair.token(user, "annex"), "annex"), 502)
    assert "does not vouch" in said  # for that server
    token = pair.token(user)
    pair.corp.vouches(False)
    try:
        assert "does not vouch" in problem(pair.call(token), 502)
    finally:
        pair.corp.vouches(True)
    assert pair.recorder.take() == []
    assert pair.call(token).status == 200


def test_the_doctor_says_where_a_provider_vouches(pair: Pair) -> None:
    answer = pair.front.cli("doctor", "idp", "corp", "--json")
    assert answer.exit_code == 1
    checks = json.loads(answer.stdout)["checks"]
    told = {it["connector"]: it for it in checks if it["check"] == "vouching"}
    assert told["desk"]["ok"], told
    assert not told["annex"]["ok"]
    assert "`invalid_target`" in told["annex"]["found"]
    assert "vouch" in told["annex"]["fix"]


def test_while_the_provider_is_away_nothing_else_is_shown(pair: Pair) -> None:
    token = pair.token(pair.signs_in("eve"))
    pair.corp.is_down(True)
    try:
        assert "at the moment" in problem(pair.call(token), 503)
    finally:
        pair.corp.is_down(False)
    assert pair.recorder.take() == []
    assert pair.call(token).status == 200


def test_who_did_not_sign_in_by_the_provider_is_told_to(pair: Pair) -> None:
    pair.forget()
    assert "sign in" in problem(pair.call(pair.token("alice")), 502)
    assert (pair.recorder.take(), pair.exchanges()) == ([], [])


def test_a_revocation_ends_it_and_a_new_login_begins_it(pair: Pair) -> None:
    user = pair.signs_in("fay")
    token = pair.token(user)
    assert pair.call(token).status == 200
    pair.front.ask("revoke", "--user", f"user:{user}", "--reason", "left")
    until(lambda: pair.call(token).status == 401)
    pair.forget()
    token = pair.token(user)
    assert "sign in" in problem(pair.call(token), 502)
    assert (pair.recorder.take(), pair.exchanges()) == ([], [])
    pair.signs_in("fay")
    assert pair.call(token).status == 200


def test_an_account_that_is_gone_is_vouched_for_no_more(pair: Pair) -> None:
    token = pair.token(pair.signs_in("gus"))
    assert pair.call(token).status == 200
    pair.corp.forgets("gus")
    pair.forget_tokens()
    until(lambda: pair.call(token).status == 502)
    assert "sign in" in problem(pair.call(token), 502)


def test_no_secret_lies_about(pair: Pair) -> None:
    assert pair.call(pair.token(pair.signs_in("hal"))).status == 200
    (exchange,) = pair.exchanges()
    secrets = (SECRET, pair.client_secret, exchange["subject_token"])
    for made in (pair.front, pair.behind):
        for path in made.data.rglob("*"):
            if path.is_file():
                held = path.read_bytes()
                assert not any(it.encode() in held for it in secrets), path
        assert not any(it in made.log for it in secrets)
