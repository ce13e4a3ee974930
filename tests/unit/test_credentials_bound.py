"""Tokens of accounts that are bound to a key: the key, its proofs, a server's nonces."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from bascule.clock import UnixTime, system_entropy
from bascule.credentials import link_flow
from bascule.credentials.bound import Bound
from bascule.credentials.link_flow import LinkFlow, decode_begun
from bascule.credentials.linked_tokens import KeptClient, LinkedTokens, decode
from bascule.gateway.credentials import Presented, proven
from bascule.gateway.upstream import Response
from bascule.oauthclient.authorization import Pending
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer, ProtectedResource
from bascule.oauthclient.dpop import Prover, new_prover
from bascule.oauthclient.errors import UnusableServerError
from bascule.oauthclient.scopes import MAX_SCOPES
from linked import SERVER, TARGET, URL, tokens

NOW = UnixTime(1_800_000_000)
TOKEN = "access-1"


@pytest.fixture
def bound() -> Bound:
    return Bound(new_prover(), TOKEN, URL, lambda: NOW, system_entropy)


def presented(bound: Bound) -> Presented:
    return Presented(b"Authorization: DPoP access-1\r\n", 1, bound)


def claims_of(lines: bytes) -> dict[str, Any]:
    """Verify the proof among header lines with the key that it names."""
    (proof,) = (it[6:] for it in lines.splitlines() if it.startswith(b"DPoP: "))
    header = jws.extract_compact(proof).headers()
    key = ECKey.import_key(header["jwk"])
    assert "d" not in header["jwk"]
    assert header["typ"] == "dpop+jwt"
    found = jws.deserialize_compact(proof.decode(), key, algorithms=["ES256"])
    return dict(json.loads(found.payload))


def test_each_request_has_a_proof_of_its_own(bound: Bound) -> None:
    shown = presented(bound)
    said = [claims_of(shown.lines(verb)) for verb in ("POST", "POST", "GET")]
    assert [it["htm"] for it in said] == ["POST", "POST", "GET"]
    assert len({it["jti"] for it in said}) == 3
    digest = hashlib.sha256(TOKEN.encode()).digest()
    for it in said:
        assert it["ath"] == urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert (it["htu"], it["iat"]) == (URL, NOW)
        assert "nonce" not in it


def test_nothing_of_the_key_shows(bound: Bound) -> None:
    private = json.loads(bound.prover.kept)["d"]
    assert private not in repr(bound) + repr(presented(bound))
    assert TOKEN not in repr(bound)
    assert Prover.of(bound.prover.kept).thumbprint == bound.prover.thumbprint


@dataclass
class Server:
    """An upstream that wants its newest nonce, and gives the next with each answer."""

    nonces: list[bytes]
    streams: bool = False
    shown: list[str | None] = field(default_factory=list)

    async def send(self, presented: Presented) -> Response:
        self.shown.append(claims_of(presented.lines("POST")).get("nonce"))
        wanted = self.nonces[0].decode() or None
        status = 200 if self.shown[-1] == wanted else 401
        kind = b"text/event-stream" if self.streams else b"application/json"
        found = Response(None, status, kind, b"")  # type: ignore[arg-type]  # of no connection
        if status == 200 and len(self.nonces) > 1:
            self.nonces.pop(0)
        found.nonce = self.nonces[0]
        return found


def statuses(server: Server, bound: Bound, count: int) -> list[int]:
    async def run() -> list[int]:
        found = [await proven(presented(bound), server.send) for _ in range(count)]
        return [it.status for it in found]

    return asyncio.run(run())


def test_a_nonce_is_learnt_from_the_refusal_and_from_each_answer(bound: Bound) -> None:
    server = Server([b"one", b"two", b"three"])
    assert statuses(server, bound, 3) == [200, 200, 200]
    assert server.shown == [None, "one", "two", "three"]


def test_requests_at_the_same_time_all_learn_the_nonce(bound: Bound) -> None:
    server, shown = Server([b"one"]), presented(bound)

    async def send(presented: Presented) -> Response:
        found = await server.send(presented)
        await asyncio.sleep(0)  # all three are on their way before one is answered
        return found

    async def run() -> list[int]:
        found = await asyncio.gather(*[proven(shown, send) for _ in range(3)])
        return [it.status for it in found]

    assert asyncio.run(run()) == [200, 200, 200]
    assert len(server.shown) == 6


@pytest.mark.parametrize("nonce", [b"", b"\xff\xfe", b"x" * 2000])
def test_a_refusal_without_a_usable_nonce_is_not_answered_by_another_request(
    bound: Bound, nonce: bytes
) -> None:
    server = Server([b"never shown"])

    async def send(presented: Presented) -> Response:
        found = await server.send(presented)
        found.nonce = nonce
        return found

    assert asyncio.run(proven(presented(bound), send)).status == 401
    assert server.shown == [None]


def test_who_refuses_its_own_nonce_is_asked_twice_and_no_more(bound: Bound) -> None:
    server = Server([b"one"])

    async def send(presented: Presented) -> Response:
        found = await server.send(presented)
        server.nonces = [b"another"]
        return found

    assert asyncio.run(proven(presented(bound), send)).status == 401
    assert server.shown == [None, "one"]


# Where the key comes from


BINDS = msgspec.structs.replace(
    SERVER, dpop_signing_alg_values_supported=("EdDSA", "ES256")
)


def destination(
    monkeypatch: pytest.MonkeyPatch,
    server: AuthorizationServer,
    *,
    demands: bool = False,
    configured: bool = False,
) -> link_flow.Destination:
    described = ProtectedResource(URL, dpop_bound_access_tokens_required=demands)

    async def found(*_: object, **__: object) -> tuple[Any, AuthorizationServer]:
        return described, server

    async def challenge(_: object) -> None:
        return None

    monkeypatch.setattr(link_flow, "find_server", found)
    monkeypatch.setattr(link_flow, "_challenge", challenge)
    target = replace(TARGET, dpop=configured)
    asked = FLOW.destination(target, wanted=(), account=None)
    return asyncio.run(asked)


class Clients:
    async def get(self, *_: object) -> Client:
        return Client(client_id="us", issuer=SERVER.issuer, method="none")


FLOW = LinkFlow("https://gw.example", Clients(), lambda: NOW, system_entropy)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("demands", "configured", "binds"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_tokens_are_bound_where_the_server_or_the_operator_wants_it(
    monkeypatch: pytest.MonkeyPatch, demands: bool, configured: bool, binds: bool
) -> None:
    there = destination(monkeypatch, BINDS, demands=demands, configured=configured)
    assert there.dpop is binds
    there = replace(
        there,
        server=msgspec.structs.replace(
            BINDS,
            authorization_endpoint="https://as.example/authorize",
            code_challenge_methods_supported=("S256",),
        ),
    )
    _, begun = asyncio.run(FLOW.begin(there, 7))
    again = decode_begun(begun.encode())
    if not binds:
        assert again.prover is None
        return
    assert begun.prover is not None
    assert again.prover is not None
    assert again.prover.thumbprint == begun.prover.thumbprint
    assert str(begun.dpop_key) not in repr(begun)


def test_no_unbound_token_is_asked_for_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnusableServerError, match="DPoP"):
        destination(monkeypatch, SERVER, demands=True)


def test_accounts_from_before_have_no_key_and_bound_ones_keep_theirs() -> None:
    client = KeptClient(client_id="us", issuer=SERVER.issuer)
    linked = LinkedTokens(tokens(), client, SERVER, URL, 1)
    before = msgspec.json.decode(linked.encode())
    del before["dpop_key"]
    assert decode(msgspec.json.encode(before)).prover is None
    kept = replace(linked, dpop_key=new_prover().kept)
    assert decode(kept.after(tokens(2)).encode()).dpop_key == kept.dpop_key


def test_an_account_with_more_scopes_than_anybody_reads_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    got = replace(tokens(), scope=tuple(f"scope-{it}" for it in range(MAX_SCOPES + 1)))
    given_back: list[object] = []

    async def redeemed(*_: object, **__: object) -> object:
        return got

    async def give_back(*said: object, **_: object) -> None:
        given_back.append(said[-1])

    monkeypatch.setattr(link_flow, "read_response", lambda *_: "code")
    monkeypatch.setattr(link_flow, "redeem_code", redeemed)
    monkeypatch.setattr(link_flow, "give_back", give_back)
    client = KeptClient(client_id="us", issuer=SERVER.issuer)
    begun = link_flow.Begun(cast("Pending", None), SERVER, client, URL, URL, 7)
    with pytest.raises(UnusableServerError, match="more scopes"):
        asyncio.run(FLOW.complete(begun, "", TARGET))
    assert given_back == [got]
