"""Client ID metadata documents, end to end: from a host's document to a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select

from bascule.authserver import consent
from bascule.authserver.codes import give_code
from bascule.authserver.documents import RENEW_SECONDS
from bascule.clock import system_clock, system_entropy
from bascule.storage import agents, browser_sessions, directory, grants, revocations
from bascule.storage.schema import authorization_codes as codes
from bascule.storage.store import Transaction
from certificates import Authority, new_authority
from system.oauth_documents import (
    CALLBACK,
    CONFIG,
    HOST,
    URL,
    Browser,
    Host,
    Place,
    hosting,
    placed,
    without_injection,
)

KEY = ECKey.generate_key("P-256")
JWKS = {"keys": [KEY.as_dict(private=False)]}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority()


@pytest.fixture(scope="module")
def shared_host(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    with hosting(authority, tmp_path_factory.mktemp("host")) as made:
        yield made


@pytest.fixture
def host(shared_host: Host) -> Host:
    shared_host.answers.clear()
    shared_host.asked.clear()
    shared_host.connections = 0
    return shared_host


@pytest.fixture
def place(tmp_path: Path, authority: Authority) -> Iterator[Place]:
    with placed(tmp_path, authority) as made:
        yield made


def signed(client_id: str, key: ECKey = KEY) -> dict[str, str]:
    """Authenticate with a key."""
    now = system_clock()
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": URL,
        "iat": now,
        "exp": now + 60,
        "jti": system_entropy(16).hex(),
    }
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "ES256"}, claims, key),
    }


def test_a_client_is_let_in_by_its_document(place: Place, host: Host) -> None:
    client_id = host.publish()

    async def work(browser: Browser) -> dict[str, Any]:
        page = await browser.page(await browser.authorize(client_id))
        assert f"<strong>{HOST}</strong> publishes it as" in page.text
        assert "Published Client" in page.text
        assert f"<h1>Let {HOST} use desk?</h1>" in page.text
        code = await browser.code(client_id)
        tokens: dict[str, Any] = (await browser.redeem(client_id, code)).json()
        fresh = await browser.refresh(client_id, tokens["refresh_token"])
        assert fresh.status_code == 200
        return tokens

    tokens = place.run(work)
    assert tokens["scope"] == "mcp:desk"
    assert host.asked == ["/id.json"]
    found = place.store.read(partial(agents.get, client_id=client_id))
    assert found is not None
    assert (found.origin, found.name, found.verified) == (
        "document",
        "Published Client",
        False,
    )
    assert place.store.read(directory.load).verified_agents[client_id] is False


@pytest.mark.parametrize("how", ["signed out", "revoked"])
def test_a_session_that_ends_while_its_user_decides_gives_no_code(
    place: Place, host: Host, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """After it was looked up, and before the code is kept."""
    client_id = host.publish()

    def end(conn: Transaction) -> None:
        if how == "signed out":
            browser_sessions.end_all(conn, name="alice")
        else:
            now = system_clock()
            revocations.revoke(conn, kind="user", key="user:alice", reason="r", now=now)

    async def meanwhile(*args: Any, **more: Any) -> str:
        place.store.run(end)
        return await give_code(*args, **more)

    async def work(browser: Browser) -> None:
        asked = await browser.authorize(client_id)
        monkeypatch.setattr(consent, "give_code", meanwhile)
        answer = await browser.allow(asked)
        assert answer.status_code == 403
        assert "You are signed out" in answer.text

    place.run(work)
    find = partial(grants.of_user, user="user:alice", now=system_clock())
    assert place.store.read(find) == []
    assert place.store.read(lambda conn: conn.execute(select(codes)).all()) == []


def test_a_client_that_was_disabled_or_revoked_gets_no_more(
    place: Place, host: Host
) -> None:
    client_id = host.publish()

    async def work(browser: Browser) -> None:
        code = await browser.code(client_id)
        tokens = (await browser.redeem(client_id, code)).json()
        revoke = partial(revocations.revoke, kind="agent", key=client_id, reason="r")
        place.store.run(partial(revoke, now=system_clock()))
        refused = await browser.refresh(client_id, tokens["refresh_token"])
        assert refused.json()["error"] == "invalid_grant"
        code = await browser.code(client_id)
        place.store.run(partial(agents.disable, client_id=client_id, now=system_clock()))
        assert (await browser.redeem(client_id, code)).json()["error"] == "invalid_client"
        assert (await browser.authorize(client_id)).status_code == 400

    place.run(work)


# Who authenticates (GW-125)


def test_a_client_that_says_it_proves_gets_nothing_without(
    place: Place, host: Host
) -> None:
    client_id = host.publish(dpop_bound_access_tokens=True)

    async def work(browser: Browser) -> str:
        answer = await browser.redeem(client_id, await browser.code(client_id))
        return str(answer.json()["error"])

    assert place.run(work) == "invalid_dpop_proof"


@pytest.mark.parametrize("where", ["jwks", "jwks_uri"])
def test_a_client_with_keys_must_use_them_and_is_verified(
    place: Place, host: Host, where: str
) -> None:
    keys: dict[str, Any] = {"jwks": JWKS}
    if where == "jwks_uri":
        host.put("/keys", json.dumps(JWKS).encode())
        keys = {"jwks_uri": host.address("/keys")}
    client_id = host.publish(
        token_endpoint_auth_method="private_key_jwt", redirect_uris=[CALLBACK], **keys
    )

    async def work(browser: Browser) -> None:
        code = await browser.code(client_id)
        without = await browser.redeem(client_id, code)
        assert (without.status_code, without.json()["error"]) == (401, "invalid_client")
        stranger = signed(client_id, ECKey.generate_key("P-256"))
        assert (await browser.redeem(client_id, code, **stranger)).status_code == 401
        tokens = await browser.redeem(client_id, code, **signed(client_id))
        assert tokens.status_code == 200
        token = tokens.json()["refresh_token"]
        assert (await browser.refresh(client_id, token)).status_code == 401
        fresh = await browser.refresh(client_id, token, **signed(client_id))
        assert fresh.status_code == 200
        again = await browser.authorize(client_id)
        assert again.headers["location"].startswith(f"{CALLBACK}?code=")
        alone = await browser.post(
            grant_type="client_credentials",
            resource=f"{URL}/c/desk/mcp",
            **signed(client_id),
        )
        assert alone.json()["error"] == "unauthorized_client"

    place.run(work)
    assert place.store.read(directory.load).verified_agents[client_id] is True


def test_a_client_that_has_new_keys_is_asked_for_them_anew(
    place: Place, host: Host
) -> None:
    with_keys = {
        "token_endpoint_auth_method": "private_key_jwt",
        "redirect_uris": [CALLBACK],
    }
    client_id = host.publish(jwks=JWKS, **with_keys)
    fresh = ECKey.generate_key("P-256")
    time = [1000.0]

    async def work(browser: Browser) -> None:
        first, second = await browser.code(client_id), await browser.code(client_id)
        answer = await browser.redeem(client_id, first, **signed(client_id))
        assert answer.status_code == 200
        host.publish(jwks={"keys": [fresh.as_dict(private=False)]}, **with_keys)
        for age, status in ((RENEW_SECONDS - 1, 401), (RENEW_SECONDS, 200)):
            time[0] = 1000.0 + age
            more = signed(client_id, fresh)
            answer = await browser.redeem(client_id, second, **more)
            assert answer.status_code == status
        asked = len(host.asked)
        stranger = signed(client_id, ECKey.generate_key("P-256"))
        for _ in range(5):
            assert (await browser.redeem(client_id, first, **stranger)).status_code == 401
        assert len(host.asked) == asked == 2
        time[0] += RENEW_SECONDS  # now the keys are fetched anew, and it is none of them
        assert (await browser.redeem(client_id, first, **stranger)).status_code == 401
        assert len(host.asked) == 3

    replace(place, now=lambda: time[0]).run(work)


def test_a_client_with_keys_and_a_local_redirect_is_not_verified(
    place: Place, host: Host
) -> None:
    client_id = host.publish(token_endpoint_auth_method="private_key_jwt", jwks=JWKS)
    local = "http://127.0.0.1:50000/cb"

    async def work(browser: Browser) -> None:
        answer = await browser.authorize(client_id, redirect_uri=local)
        assert "a program on your own computer" in (await browser.page(answer)).text
        code = await browser.code(client_id, redirect_uri=local)
        more = {"redirect_uri": local, **signed(client_id)}
        assert (await browser.redeem(client_id, code, **more)).status_code == 200
        again = await browser.authorize(client_id, redirect_uri=local)
        assert again.headers["location"].startswith("/consent")

    place.run(work)
    assert place.store.read(directory.load).verified_agents[client_id] is False


# What is refused (GW-118 to GW-122)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "https://client.example/id.json"},
        {"client_name": None},
        {"redirect_uris": ["http://client.example/cb"]},
        {"redirect_uris": ["https://client.example/other"]},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_secret": "s"},
        {"client_uri": "x" * 6000},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_document_with_a_fault_gets_a_page_and_no_redirect(
    place: Place, host: Host, change: dict[str, Any]
) -> None:
    client_id = host.publish(**change)

    async def work(browser: Browser) -> None:
        answer = await browser.authorize(client_id)
        assert answer.status_code == 400
        assert "location" not in answer.headers

    place.run(work)
    assert place.store.read(agents.every) == []


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, {}, b"{}"),
        (500, {}, b"{}"),
        (302, {"Location": "/real.json"}, b""),
        (200, {"Content-Type": "text/html"}, b"{}"),
        (200, {}, b"secret of an internal host"),
    ],
)
def test_what_is_no_document_gets_a_page_that_repeats_nothing_of_it(
    place: Place,
    host: Host,
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    host.publish("/real.json")
    host.put("/id.json", body, status=status, headers=headers)

    async def work(browser: Browser) -> None:
        answer = await browser.authorize(host.address())
        assert answer.status_code == 400
        assert "secret of an internal host" not in answer.text
        assert "document of the client" in caplog.text
        assert "secret of an internal host" not in caplog.text

    place.run(work)
    assert host.asked == ["/id.json"]


def test_a_redirect_that_is_not_in_the_document_gets_a_page(
    place: Place, host: Host
) -> None:
    client_id = host.publish()

    async def work(browser: Browser) -> None:
        wrong = await browser.authorize(client_id, redirect_uri="https://evil.example/cb")
        assert wrong.status_code == 400
        assert "location" not in wrong.headers

    place.run(work)


def test_a_private_address_is_not_called(place: Place, host: Host) -> None:
    """As it is outside of tests: loopback is no public host."""
    host.publish()

    async def work(browser: Browser) -> None:
        for name in ("localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"):
            client_id = f"https://{name}:{host.port}/id.json"
            assert (await browser.authorize(client_id)).status_code == 400

    without_injection(place).run(work)
    assert host.connections == 0


METADATA = (
    ["169.254.169.254"],
    ["127.0.0.1", "169.254.169.254"],
    ["::ffff:169.254.169.254"],
    ["fd00:ec2::254"],
    ["100.100.100.200"],
)
"""Where clouds tell machines their credentials, and how a name may lead there."""


@dataclass
class Names:
    """A name server of a stranger: another answer each time."""

    answers: list[list[str]]
    asked: int = 0

    async def __call__(self, _: str, __: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def test_no_name_leads_to_a_metadata_address(
    place: Place, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it resolves to at first, then, or beside a good address."""
    assert place.fetching is not None
    names = Names([["127.0.0.1"], *METADATA])
    rebound = replace(place, fetching=replace(place.fetching, resolver=names))

    async def work(browser: Browser) -> None:
        found = await browser.authorize(host.publish("/first.json"))
        assert found.headers["location"].startswith("/consent")
        for number, _ in enumerate(METADATA):
            refused = await browser.authorize(host.publish(f"/{number}.json"))
            assert refused.status_code == 400
        assert caplog.text.count("private address") == len(METADATA)

    rebound.run(work)
    assert (host.connections, names.asked) == (1, 1 + len(METADATA))
    assert host.asked == ["/first.json"]


def test_no_answer_leads_there_and_none_is_endless(
    place: Place, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    assert place.fetching is not None
    quick = replace(place, fetching=replace(place.fetching, seconds=0.3))
    there = {"Location": "https://169.254.169.254/latest/meta-data/"}

    async def work(browser: Browser) -> None:
        host.speaks.clear()
        assert (await browser.authorize(host.publish("/slow.json"))).status_code == 400
        host.speaks.set()

    quick.run(work)
    assert "longer than 0.3 s" in caplog.text

    async def more(browser: Browser) -> None:
        for status in (301, 302, 303, 307, 308):
            host.put("/id.json", b"", status=status, headers=there)
            assert (await browser.authorize(host.address())).status_code == 400
        large = host.publish("/large.json", client_uri="x" * (70 << 10))
        assert (await browser.authorize(large)).status_code == 400
        assert "too large" in caplog.text

    place.run(more)
    assert host.asked == ["/slow.json", *["/id.json"] * 5, "/large.json"]


def test_nobody_else_makes_the_server_fetch(place: Place, host: Host) -> None:
    client_id = host.publish()

    async def work(browser: Browser) -> None:
        answer = await browser.authorize(client_id, signed_in=False)
        assert answer.headers["location"].startswith("/login?next=")
        for path in ("token", "revoke", "introspect"):
            form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
            refused = await browser.post(path, client_id=client_id, **form)
            assert refused.json()["error"] == "invalid_client"
        refused = await browser.redeem(client_id, "bsc_ac_x", **signed(client_id))
        assert refused.json()["error"] == "invalid_client"

    place.run(work)
    assert host.connections == 0


@pytest.mark.parametrize(
    ("domains", "status"),
    [
        ("[]", 400),
        ('["other.example"]', 400),
        ('["*.client.example"]', 400),
        (f'["{HOST}"]', 303),
        ('["*.example"]', 303),
    ],
)
def test_the_operator_says_whose_documents_count(
    place: Place, host: Host, domains: str, status: int
) -> None:
    place = replace(place, config=f"{CONFIG}\n[clients]\ncimd_domains = {domains}\n")
    client_id = host.publish()

    async def work(browser: Browser) -> None:
        assert (await browser.authorize(client_id)).status_code == status
        said = await browser.client.get("/.well-known/oauth-authorization-server")
        assert said.json()["client_id_metadata_document_supported"] is (domains != "[]")

    place.run(work)
    assert (host.connections == 0) is (status == 400)


# What is kept (GW-123)


def test_a_good_document_is_kept_and_a_bad_one_is_not(place: Place, host: Host) -> None:
    client_id = host.publish(client_name=None)

    async def work(browser: Browser) -> None:
        assert (await browser.authorize(client_id)).status_code == 400
        host.publish(headers={"Cache-Control": "no-store"})
        for _ in range(3):
            assert (await browser.authorize(client_id)).status_code == 303

    place.run(work)
    assert len(host.asked) == 2


def test_markup_in_a_document_is_text(place: Place, host: Host) -> None:
    client_id = host.publish(client_name="<img src=x onerror=alert(1)>")

    async def work(browser: Browser) -> None:
        page = await browser.page(await browser.authorize(client_id))
        assert "<img src=x" not in page.text
        assert "&lt;img" in page.text

    place.run(work)


def test_an_agent_of_the_operator_is_not_replaced_by_a_document(
    place: Place, host: Host
) -> None:
    client_id = host.publish()
    add = partial(agents.add, client_id=client_id, secret_hash=bytes(32), jwks=None)
    registered = ("https://other.example/cb",)
    place.store.run(partial(add, redirect_uris=registered, now=system_clock()))

    async def work(browser: Browser) -> None:
        assert (await browser.authorize(client_id)).status_code == 400

    place.run(work)
    assert host.connections == 0
