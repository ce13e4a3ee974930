"""Proofs of possession end to end: a stolen token is worth nothing without its key."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from bascule.clock import UnixTime
from bascule.identity.nonces import Nonces
from patience import PATIENCE, until
from proofs import Prover
from system.legacy_client import LegacyClient
from system.legacy_recorder import LegacyServer
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in
from system.recorder import Recorder, recording
from system.server import Answer, Installation, body_of, headers_of, install

ATTEMPTS = 8
MORE = """
[agents.require]
strict = "dpop"
[connectors.safe]
url = "http://127.0.0.1:{port}/mcp"
require = "dpop"
mode = "observe"
[connectors.lodge]
url = "http://127.0.0.1:{lodge}/mcp"
mode = "observe"
[roles.guest]
members = ["user:alice"]
allow = ["lodge/*"]
[agents.ceilings]
app = ["desk/*", "lodge/*"]
"""


@pytest.fixture(scope="module")
def lodge() -> Iterator[Recorder]:
    """Run a server of the revisions that have sessions."""
    with recording(LegacyServer()) as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, lodge: Recorder
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("dpop")
    more = MORE.format(port=recorder.port, lodge=lodge.port)
    made = install(folder, recorder, more=more)
    for name in ("app", "other", "strict"):
        made.ask("agent", "add", name, "--redirect-uri", CALLBACK)
    made.start("--workers", "2")
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def prover() -> Prover:
    return Prover()


def post(
    bascule: Installation, form: dict[str, str], prover: Prover | None, **claims: Any
) -> requests.Response:
    """Send a token request, with a proof of whoever proves."""
    address = f"{bascule.url}/oauth/token"
    headers = {}
    if prover is not None:
        headers["DPoP"] = prover.proof(address, now=time.time(), **claims).decode()
    return requests.post(address, form, headers=headers, timeout=PATIENCE)


def code_form(flow: Flow, **asked: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": flow.client_id,
        "code": answer_of(flow.callback(**asked))["code"],
        "code_verifier": flow.verifier,
        "redirect_uri": CALLBACK,
    }


def refresh_form(tokens: dict[str, Any], client_id: str = "app") -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "refresh_token": tokens["refresh_token"],
    }


@pytest.fixture
def flow(bascule: Installation) -> Flow:
    return Flow(bascule, sign_in(bascule, "alice"))


@pytest.fixture(scope="module")
def shared(bascule: Installation) -> tuple[Prover, str]:
    """One token with its key, for tests that leave both as they are."""
    prover, flow = Prover(), Flow(bascule, sign_in(bascule, "alice"))
    return prover, post(bascule, code_form(flow), prover).json()["access_token"]


def call(
    bascule: Installation,
    token: str,
    proof: bytes | None,
    *,
    scheme: str = "DPoP",
    connector: str = "desk",
    body: dict[str, Any] | None = None,
) -> Answer:
    body = body or body_of("tools/list")
    headers = {**headers_of(body, None), "Authorization": f"{scheme} {token}"}
    if proof is not None:
        headers["DPoP"] = proof.decode()
    return bascule.send(body, headers, path=f"/c/{connector}/mcp")


def address(bascule: Installation, connector: str = "desk") -> str:
    return f"{bascule.url}/c/{connector}/mcp"


def proof_for(bascule: Installation, held: tuple[Prover, str], **claims: Any) -> bytes:
    prover, token = held
    claims = {"now": time.time(), "token": token, **claims}
    return prover.proof(claims.pop("address", address(bascule)), **claims)


# At the token endpoint


def test_tokens_of_a_public_client_are_bound_and_stay_bound(
    bascule: Installation, flow: Flow, prover: Prover
) -> None:
    tokens = post(bascule, code_form(flow), prover).json()
    assert tokens["token_type"] == "DPoP"
    stolen = refresh_form(tokens)
    for thief in (None, Prover()):
        assert post(bascule, stolen, thief).json()["error"] == "invalid_grant"
    fresh = post(bascule, stolen, prover).json()
    assert fresh["token_type"] == "DPoP"
    held = (prover, fresh["access_token"])
    assert call(bascule, held[1], proof_for(bascule, held)).status == 200
    # Used up by now: whoever has no key does not even end the family.
    assert post(bascule, stolen, Prover()).json()["error"] == "invalid_grant"
    assert post(bascule, refresh_form(fresh), prover).status_code == 200


def test_a_code_can_be_bound_before_it_is_given(
    bascule: Installation, flow: Flow, prover: Prover
) -> None:
    form = code_form(flow, dpop_jkt=prover.thumbprint)
    for thief in (None, Prover()):
        assert post(bascule, form, thief).json()["error"] == "invalid_grant"
    assert post(bascule, form, prover).json()["token_type"] == "DPoP"


def test_a_malformed_thumbprint_is_told_to_the_client(flow: Flow) -> None:
    answer = flow.open(flow.link(dpop_jkt="short"))
    assert answer_of(answer.headers["location"])["error"] == "invalid_request"


def test_a_client_that_authenticates_may_change_its_key(
    bascule: Installation, prover: Prover
) -> None:
    made = bascule.ask("agent", "add", "web", "--secret", "--redirect-uri", CALLBACK)
    secret = {"client_secret": made["client_secret"]}
    flow = Flow(bascule, sign_in(bascule, "alice"), "web")
    form = {**code_form(flow, dpop_jkt=prover.thumbprint), **secret}
    tokens = post(bascule, form, prover).json()
    assert tokens["token_type"] == "DPoP"
    other = Prover()
    fresh = post(bascule, {**refresh_form(tokens, "web"), **secret}, other).json()
    held = (other, fresh["access_token"])
    assert call(bascule, held[1], proof_for(bascule, held)).status == 200
    said = requests.post(
        f"{bascule.url}/oauth/introspect",
        {"token": held[1], "client_id": "web", **secret},
        timeout=PATIENCE,
    ).json()
    assert (said["token_type"], said["cnf"]) == ("DPoP", {"jkt": other.thumbprint})


def test_a_token_for_an_agent_by_itself_is_bound(
    bascule: Installation, prover: Prover
) -> None:
    secret = bascule.ask("agent", "add", "headless", "--secret")["client_secret"]
    form = {
        "grant_type": "client_credentials",
        "client_id": "headless",
        "client_secret": secret,
        "resource": address(bascule),
    }
    answer = post(bascule, form, prover).json()
    assert answer["token_type"] == "DPoP"
    assert call(bascule, answer["access_token"], None, scheme="Bearer").status == 401
    recorded = bascule.wait_for_records("--agent", "headless", "--type", "token.issue")
    assert recorded
    whole = [it for it in bascule.whole_records() if it.get("type") == "token.issue"]
    assert any(it["admin"].get("jkt") == prover.thumbprint for it in whole)


@pytest.mark.parametrize(
    "claims",
    [
        {"htu": "https://elsewhere.example/oauth/token"},
        {"method": "GET"},
        {"iat": 1},
        {"jti": ""},
        {"header": {"typ": "JWT"}},
    ],
)
def test_a_wrong_proof_gets_no_token(
    bascule: Installation, flow: Flow, prover: Prover, claims: dict[str, Any]
) -> None:
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "none"}
    answer = post(bascule, form, prover, **claims)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


def test_a_proof_is_taken_once(bascule: Installation, prover: Prover) -> None:
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "none"}
    found = [
        post(bascule, form, prover, jti="again", iat=int(time.time())).json()["error"]
        for _ in range(3)
    ]
    assert found == ["invalid_grant", "invalid_dpop_proof", "invalid_dpop_proof"]


def test_who_must_prove_gets_no_token_otherwise(
    bascule: Installation, prover: Prover
) -> None:
    browser = sign_in(bascule, "alice")
    strict = code_form(Flow(bascule, browser, "strict"))
    assert post(bascule, strict, None).json()["error"] == "invalid_dpop_proof"
    assert post(bascule, strict, prover).json()["token_type"] == "DPoP"
    safe = code_form(Flow(bascule, browser), resource=address(bascule, "safe"))
    assert post(bascule, safe, None).json()["error"] == "invalid_dpop_proof"
    tokens = post(bascule, safe, prover).json()
    held = (prover, tokens["access_token"])
    proof = proof_for(bascule, held, address=address(bascule, "safe"))
    assert call(bascule, held[1], proof, connector="safe").status == 200


def test_metadata_says_which_signatures_are_taken(bascule: Installation) -> None:
    for path in ("oauth-authorization-server", "oauth-protected-resource/c/desk/mcp"):
        found = requests.get(f"{bascule.url}/.well-known/{path}", timeout=PATIENCE).json()
        assert {"ES256", "EdDSA"} <= set(found["dpop_signing_alg_values_supported"])
        assert "none" not in found["dpop_signing_alg_values_supported"]


# At the resource (GW-107)


def test_a_bound_token_is_no_bearer_token(
    bascule: Installation, shared: tuple[Prover, str]
) -> None:
    """With the right proof beside it, too: that would be a downgrade."""
    for proof in (None, proof_for(bascule, shared)):
        answer = call(bascule, shared[1], proof, scheme="Bearer")
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_unbound_token_cannot_seem_to_be_proven(
    bascule: Installation, prover: Prover
) -> None:
    token = bascule.token()
    assert call(bascule, token, proof_for(bascule, (prover, token))).status == 401
    assert call(bascule, token, None, scheme="Bearer").status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"address": "https://elsewhere.example/c/desk/mcp"},
        {"method": "GET"},
        {"ath": "A" * 43},
        {"token": None},
        {"iat": 1},
        {"iat": 4_000_000_000},
        {"header": {"alg": "none"}},
    ],
)
def test_a_proof_of_something_else_is_none(
    bascule: Installation, shared: tuple[Prover, str], claims: dict[str, Any]
) -> None:
    answer = call(bascule, shared[1], proof_for(bascule, shared, **claims))
    assert answer.status == 401
    said = answer.headers["www-authenticate"]
    assert said.startswith('DPoP algs="')
    assert 'error="invalid_dpop_proof"' in said
    assert "resource_metadata=" in said


def test_a_missing_doubled_or_stranger_s_proof_is_none(
    bascule: Installation, shared: tuple[Prover, str]
) -> None:
    two = proof_for(bascule, shared) + b", " + proof_for(bascule, shared)
    stranger = proof_for(bascule, (Prover(), shared[1]))
    found = [call(bascule, shared[1], proof) for proof in (None, two, stranger)]
    assert [it.status for it in found] == [401] * 3
    assert 'error="invalid_token"' in found[2].headers["www-authenticate"]


def test_of_many_at_different_processes_one_gets_through(
    bascule: Installation, shared: tuple[Prover, str]
) -> None:
    proof = proof_for(bascule, shared)
    with concurrent.futures.ThreadPoolExecutor(ATTEMPTS) as pool:
        tries = [pool.submit(call, bascule, shared[1], proof) for _ in range(ATTEMPTS)]
        found = sorted(it.result().status for it in tries)
    assert found == [200] + [401] * (ATTEMPTS - 1)


def test_a_replayed_call_does_not_reach_the_server(
    bascule: Installation, recorder: Recorder, shared: tuple[Prover, str]
) -> None:
    proof = proof_for(bascule, shared)
    body = body_of("tools/call", {"name": "echo", "arguments": {"text": "once"}})
    recorder.take()
    assert call(bascule, shared[1], proof, body=body).status == 200
    assert len(recorder.take()) == 1
    assert call(bascule, shared[1], proof, body=body).status == 401
    assert recorder.take() == []


def test_a_proof_of_a_body_is_for_no_other(
    bascule: Installation, shared: tuple[Prover, str]
) -> None:
    digest = f"sha-256=:{'A' * 43}=:"
    answer = call(bascule, shared[1], proof_for(bascule, shared, content_digest=digest))
    assert answer.status == 401


@dataclass(frozen=True, slots=True)
class Proven:
    """A client of 2025-11-25 whose token is bound to a key."""

    raw: LegacyClient
    prover: Prover
    token: str

    def shows(
        self, method: str = "POST", *, by: Prover | None = None, scheme: str = "DPoP"
    ) -> LegacyClient:
        """Give the client with a fresh proof for its next request."""
        proof = (by or self.prover).proof(
            address(self.raw.bascule, self.raw.connector),
            now=time.time(),
            method=method,
            token=self.token,
        )
        self.raw.extra = {
            "Authorization": f"{scheme} {self.token}",
            "DPoP": proof.decode(),
        }
        return self.raw

    def shows_none(self) -> LegacyClient:
        self.raw.extra = {"Authorization": f"DPoP {self.token}"}
        return self.raw


@pytest.fixture
def proven(bascule: Installation, flow: Flow, prover: Prover) -> Proven:
    form = code_form(flow, resource=address(bascule, "lodge"))
    token = post(bascule, form, prover).json()["access_token"]
    made = Proven(LegacyClient(bascule, None, "lodge"), prover, token)
    assert made.shows().initialize().status == 200
    return made


def test_each_request_of_a_session_needs_a_proof_of_its_own(
    proven: Proven, lodge: Recorder
) -> None:
    lodge.take()
    assert proven.raw.tool("echo").status == 401, "the proof that began the session"
    for client in (
        proven.shows_none(),
        proven.shows(by=Prover()),
        proven.shows(scheme="Bearer"),
        proven.shows("GET"),
    ):
        assert client.tool("echo").status == 401
        assert client.notify("notifications/initialized").status == 401
    assert lodge.take() == []
    assert proven.shows().notify("notifications/initialized").status == 202
    assert proven.shows().tool("echo").status == 200
    assert proven.raw.tool("echo").status == 401
    assert len(lodge.take()) == 2
    assert proven.shows("POST").verb("DELETE").status == 401
    assert proven.shows("DELETE").verb("DELETE").status == 204


def test_the_stream_of_a_session_opens_with_a_proof_and_ends_with_its_token(
    bascule: Installation, proven: Proven
) -> None:
    for client in (
        proven.shows_none(),
        proven.shows("POST"),
        proven.shows("GET", by=Prover()),
    ):
        with client.open("GET", None) as refused:
            assert refused.status == 401
    with proven.shows("GET").open("GET", None) as stream:
        assert stream.status == 200
        stream.expect()
        with proven.raw.open("GET", None) as replayed:
            assert replayed.status == 401
        jti = json.loads(urlsafe_b64decode(proven.token.split(".")[1] + "=="))["jti"]
        bascule.ask("revoke", "--jti", jti, "--reason", "a test")
        while stream.next() is not None:
            pass
    until(lambda: proven.shows().tool("echo").status == 401)


def test_a_token_that_is_not_bound_does_not_reach_what_demands_it(
    bascule: Installation,
) -> None:
    token = bascule.token("alice", "safe")
    answer = bascule.call(token, "tools/list", connector="safe")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("DPoP ")
    asked = bascule.call(None, "tools/list", connector="safe")
    assert asked.headers["www-authenticate"].startswith("Bearer ")


@pytest.fixture
def with_nonces(bascule: Installation) -> Iterator[None]:
    """Demand nonces, in all processes, for one test."""
    text = bascule.config.read_text()
    bascule.config.write_text(text + "\n[dpop]\nnonce = true\n")
    _reload(bascule, "use_dpop_nonce")
    yield
    bascule.config.write_text(text)
    _reload(bascule, "invalid_grant")


def _reload(bascule: Installation, expected: str) -> None:
    """Reload, and wait until every process says that to a proof without a nonce."""
    bascule.signal(signal.SIGHUP)
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "none"}

    def everywhere() -> bool:
        asked = [post(bascule, form, Prover()) for _ in range(ATTEMPTS)]
        return {it.json()["error"] for it in asked} == {expected}

    until(everywhere)


@pytest.mark.usefixtures("with_nonces")
def test_a_nonce_is_demanded_from_the_next_reload_on(
    bascule: Installation, flow: Flow, prover: Prover
) -> None:
    form = code_form(flow)
    refused = post(bascule, form, prover)
    assert refused.json()["error"] == "use_dpop_nonce"
    nonce = refused.headers["dpop-nonce"]
    token = post(bascule, form, prover, nonce=nonce).json()["access_token"]
    held = (prover, token)
    asked = call(bascule, token, proof_for(bascule, held))
    assert asked.status == 401
    assert 'error="use_dpop_nonce"' in asked.headers["www-authenticate"]
    nonce = asked.headers["dpop-nonce"]
    foreign = Nonces(bytes(32)).current(UnixTime(int(time.time())))
    for said, status in ((nonce, 200), (foreign, 401)):
        assert call(bascule, token, proof_for(bascule, held, nonce=said)).status == status
