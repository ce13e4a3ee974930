"""Tokens of a real OpenID provider at a running gateway, good ones and all others."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import signal
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bascule.clock import monotonic, system_clock
from conformance.rig import fixture_server
from foreign import Signer, changed, segment, signer
from patience import until
from ports import free_ports
from system.provider import Provider, providing
from system.recorder import Recorder
from system.server import Answer, Installation, Stream, install, serving
from system.test_refusals import METHODS, PARAMS

ISSUERS = """
[roles.foreign]
members = ["user:{url}|alice", "group:{url}|friends of carol", "agent:{url}|agent-7"]
allow = ["desk/echo", "desk/opens", "annex/*"]

[agents.ceilings]
"{url}|planner" = ["desk/*"]
"{url}|reader" = ["desk/opens"]

[issuers.corp]
issuer = "{url}"
audiences = {{ desk = "api://desk", annex = "api://annex" }}
"""
BOTH = "mcp:desk desk.echo"


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway and the provider whose tokens it accepts."""

    bascule: Installation
    provider: Provider
    signer: Signer

    def ends(self, token: str) -> bool:
        return self.bascule.call(token, "tools/list").status == 401


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def installed(
    folder: Path, recorder: Recorder, port: int, *, more: str = ""
) -> contextlib.AbstractContextManager[Installation]:
    url = f"http://127.0.0.1:{port}"
    return serving(folder, recorder, more=ISSUERS.format(url=url) + more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    key = signer("first", "RS256")
    folder = tmp_path_factory.mktemp("corp")
    (port,) = free_ports(1)
    with providing(folder, port, key) as provider, installed(folder, recorder, port) as it:
        yield Site(it, provider, key)


@pytest.fixture
def alice(site: Site) -> tuple[str, str]:
    """Give an access token and an ID token of one login."""
    return site.provider.login("alice", "api://desk", BOTH)


def test_a_user_of_the_provider_calls_a_tool(
    site: Site, alice: tuple[str, str], upstream: Recorder
) -> None:
    answer = site.bascule.tool(alice[0], "echo", text="hello")
    assert answer.status == 200
    (request,) = upstream.take()
    assert alice[0].encode() not in request.raw


def test_the_record_names_user_and_agent_by_their_issuer(
    site: Site, alice: tuple[str, str]
) -> None:
    site.bascule.tool(alice[0], "echo")
    user, agent = f"user:{site.provider.url}|alice", f"{site.provider.url}|agent-7"
    found = site.bascule.wait_for_records("--user", user, "--agent", agent)
    assert found[-1]["user"] == user
    assert found[-1]["agent"] == agent
    assert found[-1]["agent_verified"] is False
    whole = next(it for it in site.bascule.whole_records() if it["seq"] == found[-1]["seq"])
    named = {key: whole["user"][key] for key in ("iss", "sub")}
    assert named == {"iss": site.provider.url, "sub": "alice"}


def test_what_no_role_gives_is_not_there(site: Site, alice: tuple[str, str]) -> None:
    assert site.bascule.tool(alice[0], "fails").error["code"] == -32602
    listed = site.bascule.call(alice[0], "tools/list").json["result"]["tools"]
    assert sorted(tool["name"] for tool in listed) == ["echo", "opens"]


def test_a_local_user_of_the_same_name_is_somebody_else(
    site: Site, alice: tuple[str, str]
) -> None:
    """The local alice may call this tool; the provider's alice may not."""
    assert site.bascule.tool(site.bascule.token(), "fails").status == 200
    assert site.bascule.tool(alice[0], "fails").status == 400


def test_a_group_of_the_provider_gives_its_rights(site: Site) -> None:
    carol, _ = site.provider.login("carol", "api://desk", BOTH)
    dave, _ = site.provider.login("dave", "api://desk", BOTH)
    assert site.bascule.tool(carol, "echo").status == 200
    assert site.bascule.tool(dave, "echo").error["code"] == -32602


def test_an_agent_that_acts_alone_has_rights_of_its_own(site: Site) -> None:
    token = site.provider.alone("api://desk", "mcp:desk")
    assert site.bascule.tool(token, "echo").status == 200
    agent = f"{site.provider.url}|agent-7"
    until(
        lambda: any(
            (it["user"], it["agent_verified"]) == (None, True)
            for it in site.bascule.records("--agent", agent, "--type", "call.start")
        )
    )


def test_a_scope_that_is_missing_is_named(site: Site) -> None:
    token, _ = site.provider.login("alice", "api://desk", "desk.echo")
    assert site.bascule.tool(token, "echo").status == 200
    answer = site.bascule.tool(token, "opens")
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert "mcp:desk" in answer.headers["www-authenticate"]


def test_a_token_for_one_connector_is_refused_at_another(
    site: Site, alice: tuple[str, str], upstream: Recorder
) -> None:
    annex, _ = site.provider.login("alice", "api://annex", "mcp:annex")
    assert site.bascule.call(annex, "tools/list", connector="annex").status == 200
    upstream.take()
    assert site.bascule.call(annex, "tools/list").status == 401
    assert site.bascule.call(alice[0], "tools/list", connector="annex").status == 401
    assert upstream.take() == []


# Who else stands between its user and the call


def acting(site: Site, token: str, *names: str, **claims: Any) -> str:
    """Give the same token with a chain of actors, the one that acts now first."""
    chain: dict[str, Any] = {}
    for name in reversed(names):
        chain = {"act": {"sub": name, **chain}}
    return site.signer.sign(claims_of(token) | chain | claims).decode()


@pytest.mark.parametrize("hops", [["reader"], ["reader", "planner"], ["planner", "reader"]])
def test_a_call_is_within_the_ceiling_of_each_actor(
    site: Site, alice: tuple[str, str], upstream: Recorder, hops: list[str]
) -> None:
    token = acting(site, alice[0], *hops)
    upstream.take()
    assert site.bascule.tool(token, "echo").error["code"] == -32602
    assert upstream.take() == []
    listed = site.bascule.call(token, "tools/list").json["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["opens"]
    assert site.bascule.tool(acting(site, alice[0], "planner"), "echo").status == 200


def test_the_chain_of_actors_is_recorded(site: Site, alice: tuple[str, str]) -> None:
    site.bascule.tool(acting(site, alice[0], "planner", "reader", jti="hops"), "echo")
    chain = [f"{site.provider.url}|{name}" for name in ("planner", "reader")]
    until(lambda: chain in [it["agent"].get("act") for it in calls_by_agents(site)])


def calls_by_agents(site: Site) -> list[dict[str, Any]]:
    return [it for it in site.bascule.whole_records() if "agent" in it]


def test_revoking_an_actor_ends_the_tokens_that_it_acts_with(
    site: Site, alice: tuple[str, str]
) -> None:
    token = acting(site, alice[0], "planner", "courier", iat=claims_of(alice[0])["iat"])
    assert site.bascule.call(token, "tools/list").status == 200
    courier = f"{site.provider.url}|courier"
    site.bascule.ask("revoke", "--agent", courier, "--reason", "a test")
    until(lambda: site.ends(token))
    assert not site.ends(alice[0])


# What is no access token of this provider for this connector

Make = Callable[[Site, dict[str, Any]], bytes]


def with_claims(**changes: Any) -> Make:
    return lambda site, claims: site.signer.sign(changed(claims, **changes))


def with_header(**header: Any) -> Make:
    return lambda site, claims: site.signer.sign(claims, **header)


def hmac_with_public_key(site: Site, claims: dict[str, Any]) -> bytes:
    header = {"alg": "HS256", "kid": site.signer.kid, "typ": "at+jwt"}
    signed = segment(header) + b"." + segment(claims)
    secret = site.signer.key.as_pem(private=False)
    return signed + b"." + segment(hmac.new(secret, signed, hashlib.sha256).digest())


def by_a_stranger(site: Site, claims: dict[str, Any]) -> bytes:
    stranger = signer(site.signer.kid, "RS256")
    return stranger.sign(claims, jwk=stranger.jwk(), jku="https://evil.example/jwks")


def chain_of(length: int) -> dict[str, Any]:
    """Give the actors of a chain that no ceiling would mind."""
    chain: dict[str, Any] = {"sub": "planner"}
    for _ in range(length - 1):
        chain = {"sub": "planner", "act": chain}
    return chain


BAD: dict[str, Make] = {
    "garbage": lambda _, __: b"e30.e30.e30",
    "expired": with_claims(exp=1_700_000_000),
    "not valid yet": lambda site, claims: site.signer.sign(
        {**claims, "nbf": claims["exp"]}
    ),
    "issued in the future": lambda site, claims: site.signer.sign(
        {**claims, "iat": claims["exp"]}
    ),
    "another issuer": with_claims(iss="https://login.example"),
    "our own issuer": lambda site, claims: site.signer.sign(
        {**claims, "iss": site.bascule.url}
    ),
    "an issuer with one letter more": lambda site, claims: site.signer.sign(
        {**claims, "iss": claims["iss"] + "/"}
    ),
    "another audience": with_claims(aud="api://nobody"),
    "audience of another connector": with_claims(aud="api://annex"),
    "audience of several connectors": with_claims(aud=["api://desk", "api://annex"]),
    "no audience": with_claims(aud=None),
    "our own resource as audience": lambda site, claims: site.signer.sign(
        {**claims, "aud": f"{site.bascule.url}/c/desk/mcp"}
    ),
    "no subject": with_claims(sub=None),
    "no client": with_claims(client_id=None),
    "no expiry": with_claims(exp=None),
    "bound to a key": with_claims(cnf={"jkt": "thumb"}),
    "more actors than are followed": with_claims(act=chain_of(6)),
    "an actor without a name": with_claims(act={"sub": "planner", "act": {}}),
    "actors that are none": with_claims(act="planner"),
    "groups left out": with_claims(groups=None, _claim_names={"groups": "src1"}),
    "alg none": with_header(alg="none"),
    "alg of another family": with_header(alg="ES256"),
    "PSS instead of PKCS#1": with_header(alg="PS256"),
    "typ of an ID token": with_header(typ="JWT"),
    "no typ": with_header(typ=None),
    "unknown key": with_header(kid="../../../dev/null"),
    "no key": with_header(kid=None),
    "critical header": with_header(crit=["x"], x=1),
    "unencoded payload": with_header(b64=False, crit=["b64"]),
    "nested token": lambda site, claims: site.signer.sign(
        site.signer.sign(claims), cty="JWT"
    ),
    "public key as secret": hmac_with_public_key,
    "a stranger's key": by_a_stranger,
}


@pytest.mark.parametrize("bad", BAD)
def test_no_other_token_gets_through(
    site: Site, alice: tuple[str, str], upstream: Recorder, bad: str
) -> None:
    token = BAD[bad](site, claims_of(alice[0])).decode()
    for method in METHODS:
        answer = site.bascule.call(token, method, PARAMS.get(method))
        assert answer.status == 401, answer.body
        assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert upstream.take() == []


def test_an_id_token_of_the_same_login_is_refused(
    site: Site, alice: tuple[str, str], upstream: Recorder
) -> None:
    for method in METHODS:
        assert site.bascule.call(alice[1], method, PARAMS.get(method)).status == 401
    assert upstream.take() == []


def test_an_id_token_is_refused_where_untyped_tokens_are_accepted(
    tmp_path: Path, recorder: Recorder
) -> None:
    """Even when the operator took the client's own id for the audience."""
    key = signer("first", "RS256")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    more = ISSUERS.format(url=url).replace("api://annex", "agent-7") + "untyped = true\n"
    with (
        providing(tmp_path, port, key) as provider,
        serving(tmp_path, recorder, more=more) as bascule,
    ):
        access, id_token = provider.login("alice", "api://desk", BOTH)
        untyped = key.sign(claims_of(access), typ="JWT").decode()
        assert bascule.tool(untyped, "echo").status == 200
        assert bascule.call(id_token, "tools/list").status == 401
        assert bascule.call(id_token, "tools/list", connector="annex").status == 401
        claims = changed(claims_of(id_token), nonce=None, client_id="agent-7")
        bare = key.sign(claims, typ="JWT")
        assert bascule.call(bare.decode(), "tools/list", connector="annex").status == 401


def test_the_answer_does_not_say_what_was_wrong(site: Site, alice: tuple[str, str]) -> None:
    claims = claims_of(alice[0])
    answers = [site.bascule.tool(BAD[it](site, claims).decode(), "echo") for it in BAD]
    assert len({answer.body for answer in answers}) == 1


# Stopping


@pytest.mark.parametrize("by", ["user", "agent", "jti", "all"])
def test_a_revocation_ends_a_token_and_its_stream(
    site: Site, upstream: Recorder, by: str
) -> None:
    token, _ = site.provider.login("alice", "api://desk", BOTH)
    stream = site.bascule.stream(token, "tools/call", {"name": "opens"})
    stream.expect()
    value = {
        "user": f"user:{site.provider.url}|alice",
        "agent": f"{site.provider.url}|agent-7",
        "jti": claims_of(token)["jti"],
    }
    since = monotonic()
    named = [f"--{by}", value[by]] if by in value else ["--all"]
    assert site.bascule.ask("revoke", *named, "--reason", "a test")["revoked"] == 1
    assert stream.next() is None
    stream.close()
    until(lambda: site.ends(token))
    assert monotonic() - since < 2.0
    # What was issued in that second is revoked too; a later login is not.
    until(lambda: not site.ends(site.provider.login("alice", "api://desk", BOTH)[0]))


@pytest.mark.parametrize("kind", ["user", "agent"])
def test_who_is_disabled_stays_out_until_enabled(site: Site, kind: str) -> None:
    name = f"{site.provider.url}|agent-7"
    if kind == "user":
        name = f"user:{site.provider.url}|erin"
    token, _ = site.provider.login("erin", "api://desk", BOTH)
    assert not site.ends(token)
    assert site.bascule.ask(kind, "disable", name) == {kind: name, "disabled": True}
    until(lambda: site.ends(token))
    assert site.ends(site.provider.login("erin", "api://desk", BOTH)[0])
    rows = site.bascule.cli(kind, "list", "--json").stdout.splitlines()
    assert [row for row in rows if name in row]
    assert site.bascule.ask(kind, "enable", name) == {kind: name, "disabled": False}
    until(lambda: not site.ends(site.provider.login("erin", "api://desk", BOTH)[0]))
    assert site.bascule.wait_for_records(f"--{kind}", name, "--type", f"{kind}.disable")
    assert site.bascule.cli(kind, "enable", name).exit_code == 3
    assert site.bascule.cli(kind, "disable", "|x").exit_code == 2


# Keys


def listening(bascule: Installation, token: str) -> Stream:
    """Open a stream that stays open."""
    stream = bascule.stream(token, "subscriptions/listen", {"notifications": {}})
    stream.expect()
    stream.expect()
    return stream


def test_keys_are_read_again_when_the_provider_changes_them(
    tmp_path: Path, recorder: Recorder
) -> None:
    old, new = signer("old", "ES256"), signer("new", "EdDSA")
    (port,) = free_ports(1)
    with contextlib.ExitStack() as stack:
        with providing(tmp_path, port, old) as provider:
            bascule = stack.enter_context(installed(tmp_path, recorder, port))
            first, _ = provider.login("alice", "api://desk", BOTH)
            second = old.sign(claims_of(first), extra=1).decode()
            assert bascule.tool(first, "echo").status == 200
        # The provider is down: what its known key signed is good still.
        assert bascule.tool(second, "echo").status == 200
        stream = listening(bascule, first)
        with providing(tmp_path, port, new) as provider:
            third, _ = provider.login("alice", "api://desk", BOTH)
            assert bascule.tool(third, "echo").status in {401, 503}
            until(lambda: bascule.tool(third, "echo").status == 200)
            assert stream.next() is None
            stream.close()
            assert bascule.tool(first, "echo").status == 401
            assert bascule.tool(second, "echo").status == 401
    changes = [it for it in bascule.whole_records() if it["type"] == "issuer.keys"]
    assert [it["admin"]["issuer"] for it in changes] == [provider.url] * 2
    thumbprints = [key.key.thumbprint() for key in (old, new)]
    assert changes[0]["admin"]["added"] == thumbprints[0]
    assert changes[1]["admin"] == {
        "issuer": provider.url,
        "added": thumbprints[1],
        "removed": thumbprints[0],
    }


def test_a_provider_that_is_down_is_unavailable_and_not_a_reason_to_log_in(
    tmp_path: Path, recorder: Recorder
) -> None:
    key = signer("first", "PS256")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    now = system_clock()
    claims = {
        "iss": url,
        "aud": "api://desk",
        "sub": "alice",
        "client_id": "agent-7",
        "iat": now,
        "exp": now + 600,
        "scope": "mcp:desk",
    }
    token = key.sign(claims).decode()
    with installed(tmp_path, recorder, port) as bascule:
        answer = bascule.tool(token, "echo")
        assert answer.status == 503
        assert "www-authenticate" not in answer.headers
        assert bascule.tool(bascule.token(), "echo").status == 200
        stale = key.sign(changed(claims, exp=now - 60)).decode()
        assert bascule.tool(stale, "echo").status == 401
        with providing(tmp_path, port, key):
            until(lambda: bascule.tool(token, "echo").status == 200)
    assert f"keys of `{url}` cannot be read: the host cannot be reached" in bascule.log


def test_a_reload_ends_the_tokens_of_an_issuer_that_is_taken_away(
    tmp_path: Path, recorder: Recorder
) -> None:
    key = signer("first", "Ed25519")
    (port,) = free_ports(1)
    with (
        providing(tmp_path, port, key) as provider,
        installed(tmp_path, recorder, port) as bascule,
    ):
        token, _ = provider.login("alice", "api://desk", BOTH)
        stream = listening(bascule, token)
        whole = bascule.config.read_text()
        bascule.config.write_text(whole.partition("[issuers.corp]")[0])
        bascule.signal(signal.SIGHUP)
        assert stream.next() is None
        stream.close()
        until(lambda: bascule.tool(token, "echo").status == 401)
        bascule.config.write_text(whole)
        bascule.signal(signal.SIGHUP)
        until(lambda: bascule.tool(token, "echo").status == 200)


def test_every_worker_reads_the_keys_and_hears_of_revocations(
    tmp_path: Path, recorder: Recorder
) -> None:
    key = signer("first", "ES384")
    (port,) = free_ports(1)
    own = install(tmp_path, recorder, more=ISSUERS.format(url=f"http://127.0.0.1:{port}"))
    with providing(tmp_path, port, key) as provider:
        own.start("--workers", "2")
        try:
            token, _ = provider.login("alice", "api://desk", BOTH)
            assert {own.tool(token, "echo").status for _ in range(20)} == {200}
            user = f"user:{provider.url}|alice"
            own.ask("revoke", "--user", user, "--reason", "a test")
            until(lambda: {own.tool(token, "echo").status for _ in range(20)} == {401})
        finally:
            own.kill()


def test_a_session_of_the_older_revisions_belongs_to_the_foreign_user_who_began_it(
    tmp_path: Path, recorder: Recorder
) -> None:
    key = signer("first", "RS256")
    (port,) = free_ports(1)
    more = ISSUERS.format(url=f"http://127.0.0.1:{port}")
    with providing(tmp_path, port, key) as provider, fixture_server("legacy") as behind:
        own = install(tmp_path, recorder, more=more)
        here = f"http://127.0.0.1:{recorder.port}/mcp"
        there = f"http://127.0.0.1:{behind}/mcp"
        own.config.write_text(own.config.read_text().replace(here, there))
        own.start()
        try:
            alice, _ = provider.login("alice", "api://desk", BOTH)
            carol, _ = provider.login("carol", "api://desk", BOTH)
            params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
            begun = legacy(own, alice, "initialize", params)
            assert begun.status == 200, begun.body
            session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
            assert legacy(own, alice, "tools/list", {}, **session).status == 200
            assert legacy(own, carol, "tools/list", {}, **session).status == 404
            user = f"user:{provider.url}|alice"
            own.ask("revoke", "--user", user, "--reason", "a test")
            until(lambda: legacy(own, alice, "tools/list", {}, **session).status == 401)

            def again() -> str:
                return provider.login("alice", "api://desk", BOTH)[0]

            until(lambda: legacy(own, again(), "initialize", params).status == 200)
            assert legacy(own, again(), "tools/list", {}, **session).status == 404
        finally:
            own.kill()


LEGACY = "2025-11-25"
CLIENT = {"name": "tests", "version": "1"}


def legacy(
    bascule: Installation, token: str, method: str, params: dict[str, Any], **headers: str
) -> Answer:
    """Send a request of an older revision."""
    return bascule.send(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({} if method == "initialize" else {"MCP-Protocol-Version": LEGACY}),
            **headers,
        },
    )
