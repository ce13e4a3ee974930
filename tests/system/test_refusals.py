"""The negative matrix: no method of any kind gets through without a good token."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OctKey

from bascule.clock import UnixTime, system_clock
from bascule.identity.keys import SigningKey, new_key
from bascule.storage import key_files
from system.recorder import Recorder
from system.server import Answer, Installation, body_of, headers_of

METHODS = (
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "subscriptions/listen",
    "logging/setLevel",
    "notifications/cancelled",
    "no/such-method",
)
PARAMS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "echo", "arguments": {}},
    "prompts/get": {"name": "greet"},
    "resources/read": {"uri": "note:1"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "greet"}},
}
Claims = dict[str, Any]


def signing_key(bascule: Installation) -> SigningKey:
    return key_files.load(bascule.data / "keys", now=system_clock()).active()


def good_claims(bascule: Installation) -> Claims:
    """Give the claims of a token that would be accepted."""
    _, claims, _ = bascule.token().split(".")
    found: Claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return found


def signed(claims: object, key: SigningKey, header: dict[str, Any] | None = None) -> str:
    protected = {"typ": "at+jwt", "alg": "Ed25519", "kid": key.kid, **(header or {})}
    content = f"{encoded(protected)}.{encoded(claims)}"
    private = key.key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    return f"{content}.{encoded(private.sign(content.encode()))}"


def encoded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def with_claims(**changes: Any) -> Callable[[Installation], str]:
    def make(bascule: Installation) -> str:
        claims = {**good_claims(bascule), **changes}
        present = {name: value for name, value in claims.items() if value is not None}
        return signed(present, signing_key(bascule))

    return make


def with_header(**changes: Any) -> Callable[[Installation], str]:
    return lambda bascule: signed(good_claims(bascule), signing_key(bascule), changes)


def moved(seconds: int) -> Callable[[Installation], str]:
    """Make a token as it would be, issued so many seconds from now."""

    def make(bascule: Installation) -> str:
        now = system_clock() + seconds
        return with_claims(iat=now, nbf=now, exp=now + 600)(bascule)

    return make


def unsigned(bascule: Installation) -> str:
    header = {"typ": "at+jwt", "alg": "none", "kid": signing_key(bascule).kid}
    return f"{encoded(header)}.{encoded(good_claims(bascule))}."


def stripped(bascule: Installation) -> str:
    """Take the signature off a good token."""
    return bascule.token().rpartition(".")[0] + "."


def keyed_with_the_public_key(bascule: Installation) -> str:
    """Sign by HMAC with the bytes that everybody can fetch."""
    key = signing_key(bascule)
    public = base64.urlsafe_b64decode(key.public()["x"] + "=")
    return jws.serialize_compact(
        {"typ": "at+jwt", "alg": "HS256", "kid": key.kid},
        json.dumps(good_claims(bascule)).encode(),
        OctKey.import_key(public),
        algorithms=["HS256"],
    )


def of_a_stranger(bascule: Installation) -> str:
    """Sign with a key of one's own, under our key's name."""
    stranger = new_key(UnixTime(0))
    kid = {"kid": signing_key(bascule).kid}
    return signed(good_claims(bascule), stranger, kid)


def with_a_key_inside(bascule: Installation) -> str:
    stranger = new_key(UnixTime(0))
    inside = {"jwk": stranger.public(), "kid": stranger.kid}
    return signed(good_claims(bascule), stranger, inside)


def revoked(bascule: Installation) -> str:
    """Issue a token and end it; returns once that is in force."""
    token = bascule.token()
    jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
    bascule.ask("revoke", "--jti", jti, "--reason", "test")
    while bascule.call(token, "tools/list").status == 200:
        pass
    return token


def changed(bascule: Installation) -> str:
    """Put other claims under a good signature."""
    header, _, signature = bascule.token().split(".")
    claims = {**good_claims(bascule), "sub": "bob"}
    return f"{header}.{encoded(claims)}.{signature}"


TOKENS: dict[str, Callable[[Installation], str]] = {
    "garbage": lambda _: "garbage",
    "three dots": lambda _: "a.b.c",
    "long": lambda _: "a" * 9000,
    "expired": moved(-3600),
    "just expired": with_claims(exp=1_700_000_000),
    "not yet valid": moved(3600),
    "wrong issuer": with_claims(iss="https://login.evil.example"),
    "issuer as a list": with_claims(iss=["http://127.0.0.1"]),
    "wrong audience": with_claims(aud="https://elsewhere.example/mcp"),
    "two audiences": lambda it: with_claims(aud=[f"{it.url}/c/desk/mcp", "x"])(it),
    "no audience": with_claims(aud=None),
    "no expiry": with_claims(exp=None),
    "no subject": with_claims(sub=None),
    "no client": with_claims(client_id=None),
    "no jti": with_claims(jti=None),
    "no issue number": with_claims(bsc_n=None),
    "no kind of subject": with_claims(bsc_sub=None),
    "another kind of subject": with_claims(bsc_sub="admin"),
    "a user that there is not": with_claims(sub="mallory"),
    "an agent that there is not": with_claims(client_id="mallory"),
    "an agent as user": with_claims(bsc_sub="agent", client_id="alice"),
    "another connector's": lambda it: it.token("alice", "annex"),
    "alg none": unsigned,
    "no signature": stripped,
    "HS256 with the public key": keyed_with_the_public_key,
    "a stranger's key": of_a_stranger,
    "a key of its own inside": with_a_key_inside,
    "changed claims": changed,
    "ID token": with_header(typ="JWT"),
    "no type": with_header(typ=""),
    "unknown key": with_header(kid="unknown"),
    "critical extension": with_header(crit=["exp"]),
    "revoked": revoked,
}


@pytest.fixture(scope="module")
def bad_tokens(bascule: Installation) -> dict[str, str | None]:
    return {"none": None, **{name: make(bascule) for name, make in TOKENS.items()}}


def challenge(bascule: Installation, connector: str, *, shown: bool) -> str:
    error = 'error="invalid_token", ' if shown else ""
    metadata = f"{bascule.url}/.well-known/oauth-protected-resource/c/{connector}/mcp"
    return f'Bearer {error}resource_metadata="{metadata}", scope="mcp:{connector}"'


@pytest.mark.parametrize("bad", ["none", *TOKENS])
def test_no_method_gets_through_with(
    bad: str,
    bascule: Installation,
    upstream: Recorder,
    bad_tokens: dict[str, str | None],
) -> None:
    token = bad_tokens[bad]
    want = challenge(bascule, "desk", shown=token is not None)
    for method in METHODS:
        answer = bascule.call(token, method, PARAMS.get(method))
        assert (answer.status, answer.headers.get("www-authenticate")) == (401, want), (
            method
        )
        assert answer.error["code"] == 401
    assert upstream.take() == []


def test_all_that_was_refused_is_valid_but_for_one_thing(bascule: Installation) -> None:
    """The forger's own tools make tokens that pass, so the refusals have their reason."""
    claims = good_claims(bascule)
    assert bascule.call(signed(claims, signing_key(bascule)), "tools/list").status == 200
    assert bascule.call(moved(0)(bascule), "tools/list").status == 200


@pytest.mark.parametrize("verb", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
def test_other_verbs_need_a_token_too(verb: str, bascule: Installation) -> None:
    without = bascule.send(b"", headers_of({}, None), verb=verb)
    assert without.status == 401
    assert "www-authenticate" in without.headers
    known = bascule.send(b"", headers_of({}, bascule.token()), verb=verb)
    assert (known.status, known.headers.get("allow")) == (405, "POST")


SCHEMES = ["", "Bearer", "Bearer ", "Basic YTpi", "bearer\tx", "Token {token}", "{token}"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_good_token_counts_only_as_a_bearer(scheme: str, bascule: Installation) -> None:
    body = body_of("tools/list")
    value = scheme.format(token=bascule.token())
    answer = bascule.send(body, {**headers_of(body, None), "Authorization": value})
    assert answer.status == 401


def test_a_token_elsewhere_than_in_its_header_is_not_seen(
    bascule: Installation, upstream: Recorder
) -> None:
    token = bascule.token()
    body = body_of("tools/list", {"access_token": token})
    for extra in ({"Cookie": f"access_token={token}"}, {"X-Authorization": token}):
        path = f"/c/desk/mcp?access_token={token}"
        assert (
            bascule.send(body, {**headers_of(body, None), **extra}, path=path).status == 401
        )
    form = {**headers_of(body, None), "Content-Type": "application/x-www-form-urlencoded"}
    assert bascule.send(f"access_token={token}".encode(), form).status == 401
    assert upstream.take() == []


def test_a_query_changes_nothing_for_a_good_token(bascule: Installation) -> None:
    body = body_of("tools/list")
    headers = headers_of(body, bascule.token())
    answer = bascule.send(body, headers, path="/c/desk/mcp?access_token=garbage")
    assert answer.status == 200


def shape(answer: Answer, connector: str) -> tuple[int, dict[str, str], bytes]:
    """Give an answer without the connector's own name."""
    headers = {k: v.replace(connector, "NAME") for k, v in answer.headers.items()}
    return answer.status, headers, answer.body.replace(connector.encode(), b"NAME")


@pytest.mark.parametrize("token", [None, "garbage", "another connector's"])
def test_an_unknown_connector_answers_like_a_known_one(
    token: str | None, bascule: Installation
) -> None:
    shown = bascule.token("alice", "annex") if token == "another connector's" else token
    known, unknown = (
        bascule.call(shown, "tools/list", connector=name) for name in ("desk", "dusk")
    )
    assert shape(known, "desk") == shape(unknown, "dusk")


def test_metadata_of_an_unknown_connector_looks_like_that_of_a_known_one(
    bascule: Installation,
) -> None:
    base = "/.well-known/oauth-protected-resource/c"
    known, unknown = (
        bascule.send(b"", {}, path=f"{base}/{name}/mcp", verb="GET")
        for name in ("desk", "dusk")
    )
    assert known.status == 200
    assert known.json["resource"] == f"{bascule.url}/c/desk/mcp"
    assert shape(known, "desk") == shape(unknown, "dusk")


@pytest.mark.parametrize(
    "path",
    [
        "/c/desk/mcp/",
        "/c/desk/mcp/../mcp",
        "/c//desk/mcp",
        "//c/desk/mcp",
        "/c/%64esk/mcp",
        "/C/desk/mcp",
        "/c/DESK/mcp",
        "/c/desk/mcp;x=1",
        "/mcp",
        "/",
    ],
)
def test_no_other_spelling_of_the_path_reaches_the_upstream(
    path: str, bascule: Installation, upstream: Recorder
) -> None:
    body = body_of("tools/list")
    for token in (None, bascule.token()):
        assert bascule.send(body, headers_of(body, token), path=path).status in {401, 404}
    assert upstream.take() == []


def test_refused_tokens_are_recorded_without_their_text(bascule: Installation) -> None:
    canary = "canary-" + "x" * 40
    bascule.call(canary, "tools/list")
    failures = bascule.wait_for_records("--type", "auth.fail")
    assert all(row["user"] is None and row["decision"] == "deny" for row in failures)
    for path in bascule.data.rglob("*"):
        assert not path.is_file() or canary.encode() not in path.read_bytes()
    assert canary not in bascule.log


def test_two_authorization_headers_are_one_too_many(bascule: Installation) -> None:
    body = json.dumps(body_of("tools/list")).encode()
    connection = http.client.HTTPConnection("127.0.0.1", bascule.public, timeout=10)
    connection.putrequest("POST", "/c/desk/mcp")
    for name, value in headers_of(body_of("tools/list"), bascule.token()).items():
        connection.putheader(name, value)
    connection.putheader("Authorization", "Bearer other")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    assert connection.getresponse().status == 400
    connection.close()
