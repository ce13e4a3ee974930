"""The token endpoint: what is sent for each grant, and what its answer means."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bascule.clock import UnixTime, system_entropy
from bascule.identity.client_assertion import verify_assertion
from bascule.identity.client_keys import public_jwks
from bascule.identity.dpop import verify_proof
from bascule.identity.keys import BadKeyError
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.assertion import redeem_assertion
from bascule.oauthclient.authorization import Pending, redeem_code, refresh
from bascule.oauthclient.client import AssertionKey, Client, read_assertion_key
from bascule.oauthclient.client_credentials import client_credentials
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import new_prover
from bascule.oauthclient.errors import (
    GrantRefusedError,
    OAuthClientError,
    ServerUnavailableError,
    UnusableServerError,
)
from bascule.oauthclient.exchange import ACCESS_TOKEN, ID_TOKEN, Shown, exchange_token
from bascule.oauthclient.id_jag import redeem_id_jag, request_id_jag
from bascule.oauthclient.revocation import revoke_token
from bascule.oauthclient.tokens import MAX_LIFETIME, Tokens, read_answer
from bascule.oauthclient.wif import redeem_workload_token
from canned import Answer, Heard, http, json, serving

NOW = UnixTime(1_800_000_000)
NEAR = FetchPolicy(loopback=True, seconds=2)
RESOURCE = "https://rs.example/mcp"
USUAL: dict[str, Any] = {"now": NOW, "entropy": system_entropy}
GOOD = {"access_token": "at", "token_type": "bearer", "expires_in": 600}
ISSUED = json("200 OK", GOOD)
Ask = Callable[[AuthorizationServer, Client], Awaitable[Any]]


def server_at(url: str, **more: Any) -> AuthorizationServer:
    return AuthorizationServer(
        issuer=url,
        token_endpoint=f"{url}/token",
        revocation_endpoint=f"{url}/revoke",
        **more,
    )


def client_at(url: str, **more: Any) -> Client:
    return Client(client_id="us", issuer=url, **{"secret": "s3cret-s3cret", **more})


def asked(
    ask: Ask,
    answer: Answer | bytes = ISSUED,
    *,
    client: Callable[..., Client] = client_at,
    **metadata: Any,
) -> tuple[Any, list[Heard]]:
    """Run one request against a server that gives one answer; what it heard."""

    async def run() -> tuple[Any, list[Heard]]:
        respond = (lambda _: answer) if isinstance(answer, bytes) else answer
        async with serving(respond) as site:
            found = await ask(server_at(site.url, **metadata), client(site.url))
            return found, site.heard

    return asyncio.run(run())


def form(heard: Heard) -> dict[str, str]:
    return dict(parse_qsl(heard.body.decode(), strict_parsing=True))


def alone(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return client_credentials(
        server, client, NEAR, resource=RESOURCE, scopes=["a", "b"], **USUAL
    )


def pending(url: str) -> Pending:
    return Pending(
        state="s", verifier="v", issuer=url, names_issuer=True, client_id="us",
        redirect_uri="https://gw.example/cb", resource=RESOURCE, scopes=("a",),
    )  # fmt: skip


def code(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return redeem_code(server, client, "c", pending(server.issuer), NEAR, **USUAL)


def again(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return refresh(server, client, "rt", NEAR, resource=RESOURCE, held=("a",), **USUAL)


def exchanged(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return exchange_token(
        server, client, Shown("st", ACCESS_TOKEN), NEAR, resource=RESOURCE,
        audience="aud", scopes=["a"], actor=Shown("act", ACCESS_TOKEN), **USUAL,
    )  # fmt: skip


def asserted(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return redeem_assertion(server, client, "jwt", NEAR, resource=None, scopes=(), **USUAL)


def workload(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
    return redeem_workload_token(server, "jwt", NEAR, resource=RESOURCE, **USUAL)


TYPES = "urn:ietf:params:oauth:token-type:"
GRANTS = "urn:ietf:params:oauth:grant-type:"


@pytest.mark.parametrize(
    ("ask", "answer", "sent"),
    [
        (
            alone,
            GOOD,
            {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "a b"},
        ),
        (
            code,
            GOOD,
            {
                "grant_type": "authorization_code",
                "code": "c",
                "redirect_uri": "https://gw.example/cb",
                "code_verifier": "v",
                "resource": RESOURCE,
            },
        ),
        (
            again,
            GOOD,
            {"grant_type": "refresh_token", "refresh_token": "rt", "resource": RESOURCE},
        ),
        (
            exchanged,
            {**GOOD, "issued_token_type": f"{TYPES}access_token"},
            {
                "grant_type": f"{GRANTS}token-exchange",
                "requested_token_type": f"{TYPES}access_token",
                "subject_token": "st",
                "subject_token_type": f"{TYPES}access_token",
                "actor_token": "act",
                "actor_token_type": f"{TYPES}access_token",
                "resource": RESOURCE,
                "audience": "aud",
                "scope": "a",
            },
        ),
        (asserted, GOOD, {"grant_type": f"{GRANTS}jwt-bearer", "assertion": "jwt"}),
    ],
)
def test_what_each_grant_sends(
    ask: Ask, answer: dict[str, Any], sent: dict[str, str]
) -> None:
    tokens, (heard,) = asked(ask, json("200 OK", answer))
    assert form(heard) == sent
    assert (
        heard.headers["authorization"] == f"Basic {b64encode(b'us:s3cret-s3cret').decode()}"
    )
    assert heard.headers["user-agent"].startswith("bascule-probe/")
    assert heard.path == "/token"
    assert (tokens.authorization(), tokens.expires_at) == ("Bearer at", NOW + 600)


def test_a_workload_shows_its_jwt_alone_and_only_where_that_is_known() -> None:
    known = (f"{GRANTS}jwt-bearer",)
    _, (heard,) = asked(workload, grant_types_supported=known)
    assert form(heard) == {
        "grant_type": known[0],
        "assertion": "jwt",
        "resource": RESOURCE,
    }
    assert "authorization" not in heard.headers
    with pytest.raises(UnusableServerError):
        asked(workload)


def test_an_identity_assertion_goes_both_legs() -> None:
    async def legs(server: AuthorizationServer, client: Client) -> Any:
        vouched = await request_id_jag(
            server, client, Shown("id", ID_TOKEN), NEAR, issuer=server.issuer,
            resource=RESOURCE, scopes=["a", "b"], **USUAL,
        )  # fmt: skip
        assert "jag" not in repr(vouched)
        tokens = await redeem_id_jag(server, client, vouched, NEAR, **USUAL)
        elsewhere = replace(vouched, issuer="https://other.example")
        with pytest.raises(UnusableServerError):
            await redeem_id_jag(server, client, elsewhere, NEAR, **USUAL)
        public = replace(client, secret=None)
        with pytest.raises(UnusableServerError):
            await redeem_id_jag(server, public, vouched, NEAR, **USUAL)
        return tokens

    jag = {
        "access_token": "jag",
        "token_type": "N_A",
        "issued_token_type": f"{TYPES}id-jag",
        "scope": "a",
    }

    def answer(heard: Heard) -> bytes:
        return json("200 OK", GOOD if "assertion" in form(heard) else jag)

    tokens, (first, second) = asked(legs, answer)
    assert form(first)["requested_token_type"] == f"{TYPES}id-jag"
    assert form(first)["audience"].startswith("http://127.0.0.1")
    assert form(first)["subject_token_type"] == f"{TYPES}id_token"
    assert form(second) == {
        "grant_type": f"{GRANTS}jwt-bearer",
        "assertion": "jag",
        "resource": RESOURCE,
        "scope": "a",
    }
    assert tokens.scope == ("a",)
    for wrong in ({"issued_token_type": f"{TYPES}access_token"}, {"token_type": "Bearer"}):
        with pytest.raises(ServerUnavailableError):
            asked(legs, json("200 OK", {**jag, **wrong}))


def test_an_exchange_that_gives_something_else_gives_nothing() -> None:
    for kind in (None, f"{TYPES}refresh_token", f"{TYPES}id-jag"):
        with pytest.raises(ServerUnavailableError):
            asked(exchanged, json("200 OK", {**GOOD, "issued_token_type": kind}))


def test_a_code_goes_to_the_server_that_was_asked_alone() -> None:
    async def elsewhere(server: AuthorizationServer, client: Client) -> None:
        for other in (
            replace(pending(server.issuer), issuer="https://evil.example"),
            replace(pending(server.issuer), client_id="somebody"),
        ):
            with pytest.raises(UnusableServerError):
                await redeem_code(server, client, "c", other, NEAR, **USUAL)

    assert asked(elsewhere)[1] == []


def test_a_refresh_without_a_new_token_keeps_the_old_one() -> None:
    assert asked(again)[0].refresh_token == "rt"
    rotated = json("200 OK", {**GOOD, "refresh_token": "rt2", "scope": "a b"})
    tokens, _ = asked(again, rotated)
    assert (tokens.refresh_token, tokens.scope) == ("rt2", ("a", "b"))
    assert not any(secret in repr(tokens) for secret in ("rt2", "'at'"))


@pytest.mark.parametrize(
    ("client", "methods", "expected"),
    [
        ({}, None, "basic"),
        ({}, ("client_secret_post", "client_secret_basic"), "basic"),
        ({}, ("client_secret_post",), "post"),
        ({"method": "client_secret_post"}, None, "post"),
        ({"secret": None}, None, "none"),
        ({"secret": None, "issuer": None}, None, "none"),
        ({"method": "none"}, None, "none"),
    ],
)
def test_how_a_client_proves_itself(
    client: dict[str, Any], methods: tuple[str, ...] | None, expected: str
) -> None:
    _, (heard,) = asked(
        alone,
        client=lambda url: replace(client_at(url), **client),
        token_endpoint_auth_methods_supported=methods,
    )
    sent = form(heard)
    assert ("authorization" in heard.headers) is (expected == "basic")
    assert sent.get("client_secret") == ("s3cret-s3cret" if expected == "post" else None)
    assert sent.get("client_id") == (None if expected == "basic" else "us")


def test_names_and_secrets_of_any_characters_go_into_basic() -> None:
    _, (heard,) = asked(alone, client=lambda url: client_at(url, secret="a:b/ü +%"))
    expected = b64encode(b"us:a%3Ab%2F%C3%BC+%2B%25").decode()
    assert heard.headers["authorization"] == f"Basic {expected}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"method": "private_key_jwt"},
        {"method": "client_secret_post", "secret": None},
    ],
)
def test_what_is_not_sent(wrong: dict[str, Any]) -> None:
    async def refused(server: AuthorizationServer, client: Client) -> None:
        with pytest.raises(UnusableServerError):
            await alone(server, client)

    assert asked(refused, client=lambda url: replace(client_at(url), **wrong))[1] == []


KEYS = [
    ("Ed25519", OKPKey.generate_key("Ed25519", private=True)),
    ("ES256", ECKey.generate_key("P-256", private=True)),
    ("ES384", ECKey.generate_key("P-384", private=True)),
    ("RS256", RSAKey.generate_key(2048, private=True)),
    ("PS256", RSAKey.generate_key(2048, private=True)),
]


@pytest.mark.parametrize(("algorithm", "key"), KEYS, ids=[name for name, _ in KEYS])
@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
def test_an_assertion_is_one_that_we_would_take(
    algorithm: str, key: Any, audience: Any
) -> None:
    signer = AssertionKey(key, algorithm, {"kid": "k"})
    _, (heard,) = asked(
        alone,
        client=lambda url: client_at(url, secret=None, key=signer, audience=audience),
    )
    sent = form(heard)
    assert sent["client_assertion_type"].endswith("client-assertion-type:jwt-bearer")
    origin = f"http://{heard.headers['host']}"
    wanted = origin if audience == "issuer" else f"{origin}/token"
    jwks = public_jwks(f'{{"keys":[{_public(key)}]}}'.encode())
    verify_assertion(
        sent["client_assertion"], client_id="us", jwks=jwks,
        audiences=frozenset({wanted}), now=NOW, leeway=0,
    )  # fmt: skip
    assert key.as_dict(private=True)["d"] not in repr(signer)


def _public(key: Any) -> str:
    return msgspec.json.encode({**key.as_dict(private=False), "kid": "k"}).decode()


REFUSED = {"error": "invalid_grant", "error_description": "line\r\none <b>"}


@pytest.mark.parametrize(
    ("answer", "error", "description"),
    [
        (json("400 Bad Request", REFUSED), "invalid_grant", "line one <b>"),
        (json("401 Unauthorized", {"error": "invalid_client"}), "invalid_client", ""),
        (json("200 OK", {"error": "bad_verification_code"}), "bad_verification_code", ""),
        (json("400 Bad Request", {"error": "Say <script>"}), "unknown_error", ""),
        (json("400 Bad Request", {**REFUSED, "error_description": 7}), "invalid_grant", ""),
        (
            json("400 Bad Request", {**REFUSED, "error_description": "no s3cret-s3cret"}),
            "invalid_grant",
            "",
        ),
        (
            json("400 Bad Request", {**REFUSED, "error_description": f"no {RESOURCE}"}),
            "invalid_grant",
            "",
        ),
    ],
)
def test_a_refusal(answer: bytes, error: str, description: str) -> None:
    with pytest.raises(GrantRefusedError) as raised:
        asked(alone, answer)
    assert (raised.value.error, raised.value.description) == (error, description)
    assert raised.value.is_final is (error == "invalid_grant")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "retry"),
    [
        (http("503 Service Unavailable", b"", "Retry-After: 7"), 7),
        (http("429 Too Many Requests", b"", "Retry-After: 99999"), 3600),
        (json("429 Too Many Requests", {"error": "invalid_grant"}), None),
        (json("500 Internal Server Error", {"error": "invalid_grant"}), None),
        (json("400 Bad Request", {"error": "temporarily_unavailable"}), None),
        (json("200 OK", {"error": "server_error"}), None),
        (
            http("302 Found", b"", "Location: http://169.254.169.254/", "Retry-After: x"),
            None,
        ),
        (http("404 Not Found", b"<html>"), None),
        (http("200 OK", b"<html>"), None),
        (http("200 OK", b"x" * (300 << 10)), None),
        (json("200 OK", {**GOOD, "access_token": ""}), None),
        (json("200 OK", {**GOOD, "access_token": "a\r\nX: y"}), None),
        (json("200 OK", {**GOOD, "access_token": "a b"}), None),
        (json("200 OK", {**GOOD, "access_token": "a" * (17 << 10)}), None),
        (json("200 OK", {**GOOD, "refresh_token": "ü"}), None),
        (json("200 OK", {**GOOD, "token_type": "mac"}), None),
        (json("200 OK", {"access_token": "a"}), None),
        (b"nonsense\r\n\r\n", None),
    ],
)
def test_no_decision(answer: bytes, retry: int | None) -> None:
    with pytest.raises(ServerUnavailableError) as raised:
        asked(alone, answer)
    assert raised.value.retry_seconds == retry


def test_nobody_there() -> None:
    gone = server_at("http://127.0.0.1:1")
    with pytest.raises(ServerUnavailableError):
        asyncio.run(_await(alone(gone, client_at(gone.issuer))))
    with pytest.raises(UnusableServerError):
        asyncio.run(
            _await(alone(AuthorizationServer(issuer="https://a"), client_at("https://a")))
        )


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@pytest.mark.parametrize("seconds", [600, "600", 1.5, None, -5, "soon", []], ids=repr)
def test_when_a_token_ends(seconds: object) -> None:
    expected = {"600": NOW + 600, "1.5": NOW + 1}.get(str(seconds))
    tokens, _ = asked(alone, json("200 OK", {**GOOD, "expires_in": seconds}))
    assert tokens.expires_at == expected
    assert tokens.is_due(NOW, ahead=599) is (expected is not None and expected < NOW + 600)


@pytest.mark.parametrize(
    "seconds", [1e30, 1 << 63, "9" * 4000], ids=["1e30", "big", "text"]
)
def test_no_token_ends_later_than_can_be_written_down(seconds: object) -> None:
    tokens, _ = asked(alone, json("200 OK", {**GOOD, "expires_in": seconds}))
    assert tokens.expires_at == NOW + MAX_LIFETIME


@given(st.binary())
def test_any_answer_is_read(body: bytes) -> None:
    with pytest.raises(ServerUnavailableError):
        read_answer(body)


def test_a_proof_is_one_that_we_would_take_and_a_nonce_is_learnt() -> None:
    prover = new_prover()

    def answer(heard: Heard) -> bytes:
        nonces: list[str | None] = []
        proof = verify_proof(
            heard.headers["dpop"].encode(), method="POST",
            address=f"http://{heard.headers['host']}/token", now=NOW,
            is_fresh=lambda nonce: nonces.append(nonce) or True,
        )  # fmt: skip
        assert proof.key == prover.thumbprint
        if nonces == [None]:
            wanted = {"error": "use_dpop_nonce"}
            return json("400 Bad Request", wanted, "DPoP-Nonce: n1")
        return json("200 OK", {**GOOD, "token_type": "DPoP"}, "DPoP-Nonce: n2")

    def bound(server: AuthorizationServer, client: Client) -> Awaitable[Tokens]:
        return client_credentials(
            server, client, NEAR, resource=None, scopes=(), prover=prover, **USUAL
        )

    tokens, heard = asked(bound, answer)
    assert tokens.authorization() == "DPoP at"
    assert len(heard) == 2
    assert len({it.headers["dpop"] for it in heard}) == 2
    url = f"http://{heard[0].headers['host']}/mcp?x=1"
    shown = prover.proof("GET", url, access_token="at", **USUAL)
    verify_proof(
        shown.encode(), method="GET", address=url.partition("?")[0], now=NOW, token=b"at",
        is_fresh=lambda nonce: nonce == "n2",
    )  # fmt: skip


def test_a_server_that_never_has_enough_nonces_is_asked_twice() -> None:
    prover = new_prover()
    count = iter(range(9))

    def answer(_: Heard) -> bytes:
        fresh = f"DPoP-Nonce: n{next(count)}"
        return json("400 Bad Request", {"error": "use_dpop_nonce"}, fresh)

    async def bound(server: AuthorizationServer, client: Client) -> None:
        with pytest.raises(GrantRefusedError):
            await client_credentials(
                server, client, NEAR, resource=None, scopes=(), prover=prover, **USUAL
            )

    assert len(asked(bound, answer)[1]) == 2
    assert not prover.learn("https://h", "n\u00fc")
    assert not prover.learn("https://h", "n" * 2000)


def revoked(server: AuthorizationServer, client: Client) -> Awaitable[bool]:
    return revoke_token(server, client, "rt", NEAR, hint="refresh_token", **USUAL)


def test_a_token_is_given_back() -> None:
    done, (heard,) = asked(revoked, http("200 OK"))
    assert done
    assert (heard.path, form(heard)) == (
        "/revoke",
        {"token": "rt", "token_type_hint": "refresh_token"},
    )
    problems: list[tuple[bytes, type[OAuthClientError]]] = [
        (json("400 Bad Request", {"error": "unsupported_token_type"}), GrantRefusedError),
        (http("503 Service Unavailable"), ServerUnavailableError),
        (http("302 Found", b"", "Location: https://x/"), ServerUnavailableError),
    ]
    for answer, error in problems:
        with pytest.raises(error):
            asked(revoked, answer)
    nowhere = AuthorizationServer(issuer="https://a")
    assert not asyncio.run(_await(revoked(nowhere, client_at("https://a"))))


@pytest.mark.parametrize(("algorithm", "key"), KEYS, ids=[name for name, _ in KEYS])
def test_a_private_key_is_read_with_its_algorithm(algorithm: str, key: Any) -> None:
    document = {**key.as_dict(private=True), "alg": algorithm, "kid": "mine"}
    found = read_assertion_key(msgspec.json.encode(document).decode())
    assert (found.algorithm, found.header) == (algorithm, {"kid": "mine"})
    public = {**key.as_dict(private=False), "alg": algorithm}
    for wrong in (public, {**document, "alg": "HS256"}, {**document, "kty": "oct"}, [], {}):
        with pytest.raises(BadKeyError) as raised:
            read_assertion_key(msgspec.json.encode(wrong).decode())
        assert document["d"] not in str(raised.value)
