"""What is taken for an access token, and in which order it is looked at."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey

from bascule.clock import UnixTime
from bascule.identity.access_token import (
    MAX_TOKEN_BYTES,
    AccessToken,
    InvalidTokenError,
    issue,
    verify,
)
from bascule.identity.keys import KeySet, new_key

NOW = UnixTime(1_800_000_000)
ISSUER = "https://bridge.example"
RESOURCE = f"{ISSUER}/c/tickets/mcp"
KEY = new_key(NOW)
KEYS = KeySet([KEY])
LEEWAY = 30
ALICE = AccessToken(
    user="user:alice",
    agent="cli",
    jti="0190a1b2",
    scopes=frozenset({"mcp:tickets"}),
    issued_at=NOW,
    expires_at=UnixTime(NOW + 600),
    issue_number=7,
)


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decoded(segment: bytes) -> bytes:
    return base64.urlsafe_b64decode(segment + b"==")


GOOD = issue(ALICE, issuer=ISSUER, resource=RESOURCE, key=KEY).encode()
HEADER: dict[str, Any] = json.loads(decoded(GOOD.split(b".")[0]))
CLAIMS: dict[str, Any] = json.loads(decoded(GOOD.split(b".")[1]))


def signed(header: bytes, claims: bytes) -> bytes:
    """Sign any two texts with the right key, whatever they say."""
    private = KEY.key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    body = encoded(header) + b"." + encoded(claims)
    return body + b"." + encoded(private.sign(body))


def with_claims(**changes: object) -> bytes:
    """Sign the good token's claims but for `changes`; None leaves a claim out."""
    claims = {k: v for k, v in {**CLAIMS, **changes}.items() if v is not None}
    return signed(json.dumps(HEADER).encode(), json.dumps(claims).encode())


def with_header(**changes: object) -> bytes:
    header = {k: v for k, v in {**HEADER, **changes}.items() if v is not None}
    return signed(json.dumps(header).encode(), json.dumps(CLAIMS).encode())


def check(token: bytes, *, now: int = NOW, resource: str = RESOURCE) -> AccessToken:
    return verify(
        token,
        keys=KEYS,
        issuer=ISSUER,
        resource=resource,
        now=UnixTime(now),
        leeway=LEEWAY,
    )


def refusal(token: bytes, **changes: Any) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        check(token, **changes)
    return str(caught.value)


def test_what_was_issued_is_what_is_verified() -> None:
    assert check(GOOD) == ALICE


def test_an_agent_by_itself_is_no_user_of_that_name() -> None:
    alone = AccessToken(
        user=None,
        agent="alice",
        jti="j",
        scopes=frozenset(),
        issued_at=NOW,
        expires_at=UnixTime(NOW + 1),
        issue_number=8,
        grant="g-1",
    )
    assert check(issue(alone, issuer=ISSUER, resource=RESOURCE, key=KEY).encode()) == alone


def test_it_is_an_access_token_for_any_reader_of_rfc_9068() -> None:
    key = OKPKey.import_key(KEY.public())
    found = jws.deserialize_compact(GOOD, key, algorithms=["Ed25519"])
    assert found.headers() == {"typ": "at+jwt", "alg": "Ed25519", "kid": KEY.kid}
    required = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}
    assert required <= set(json.loads(found.payload or b""))


@pytest.mark.parametrize("typ", ["at+JWT", "application/at+jwt"])
def test_the_type_may_be_written_in_the_ways_of_rfc_9068(typ: str) -> None:
    assert check(with_header(typ=typ)) == ALICE


def test_one_audience_may_stand_in_an_array() -> None:
    assert check(with_claims(aud=[RESOURCE])) == ALICE


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", "malformed"),
        (b"garbage", "malformed"),
        (b"..", "malformed"),
        (b"." * 3, "malformed"),
        (GOOD + b".", "malformed"),
        (GOOD.rpartition(b".")[0], "malformed"),
        (GOOD.replace(b".", b"=.", 1), "malformed"),
        (GOOD.replace(b".", b"\n.", 1), "malformed"),
        (GOOD + b"\n", "signature"),
        (GOOD + b"=", "signature"),
        (b"A" * (MAX_TOKEN_BYTES + 1), "too long"),
        (signed(b"[]", b"{}"), "malformed"),
        (signed(b"\xff", b"{}"), "malformed"),
        (signed(b"[" * 5000, b"{}"), "malformed"),
        (signed(json.dumps(HEADER).encode(), b"{" * 2), "malformed"),
        (signed(json.dumps(HEADER).encode(), b'{"exp":' + b"[" * 4000), "malformed"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_token_is_refused(token: bytes, reason: str) -> None:
    assert reason in refusal(token)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"aud": f"{ISSUER}/c/notes/mcp"}, "audience"),
        ({"aud": RESOURCE + "/"}, "audience"),
        ({"aud": RESOURCE.upper()}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [RESOURCE, f"{ISSUER}/c/notes/mcp"]}, "audience"),
        ({"exp": NOW - LEEWAY}, "expired"),
        ({"exp": -(10**40)}, "expired"),
        ({"nbf": NOW + LEEWAY + 1}, "not valid yet"),
        ({"iat": NOW + LEEWAY + 1}, "not valid yet"),
        ({"iat": 10**300}, "not valid yet"),
        ({"exp": float(NOW + 600) + 0.5}, "malformed"),
        ({"exp": str(NOW + 600)}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"bsc_sub": "admin"}, "unknown kind"),
        ({"scope": ["mcp:tickets"]}, "malformed"),
    ],
)
def test_one_wrong_claim_is_enough(changes: dict[str, object], reason: str) -> None:
    assert reason in refusal(with_claims(**changes))


@pytest.mark.parametrize(
    "claim",
    ["iss", "aud", "sub", "client_id", "jti", "iat", "exp", "bsc_sub", "bsc_n"],
)
def test_every_claim_of_ours_is_needed(claim: str) -> None:
    assert "malformed" in refusal(with_claims(**{claim: None}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": "none"}, "algorithm"),
        ({"alg": "EdDSA"}, "algorithm"),
        ({"alg": "ed25519"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": None}, "malformed"),
        ({"typ": "JWT"}, "no access token"),
        ({"typ": "id+jwt"}, "no access token"),
        ({"typ": None}, "malformed"),
        ({"kid": "somebody's"}, "key is unknown"),
        ({"kid": None}, "malformed"),
        ({"kid": "../../etc/passwd"}, "key is unknown"),
        ({"crit": ["exp"]}, "critical"),
        ({"crit": []}, "critical"),
    ],
)
def test_one_wrong_header_is_enough(changes: dict[str, object], reason: str) -> None:
    assert reason in refusal(with_header(**changes))


def forged_with_public_key_as_secret() -> bytes:
    """Take the public key for an HMAC secret, as libraries without an allow-list do."""
    header = encoded(json.dumps({**HEADER, "alg": "HS256"}).encode())
    body = header + b"." + encoded(json.dumps(CLAIMS).encode())
    secret = base64.urlsafe_b64decode(KEY.public()["x"] + "==")
    return body + b"." + encoded(hmac.new(secret, body, hashlib.sha256).digest())


def forged_with_a_key_in_the_header() -> bytes:
    """Bring a key along, as `jwk` and behind `jku` and `x5u`."""
    mine = new_key(NOW)
    header = {
        **HEADER,
        "jwk": mine.public(),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x5u",
    }
    body = encoded(json.dumps(header).encode()) + b"." + GOOD.split(b".")[1]
    private = mine.key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    return body + b"." + encoded(private.sign(body))


def forged_without_signature() -> bytes:
    return GOOD.rpartition(b".")[0] + b"."


def forged_from_another_token() -> bytes:
    other = with_claims(sub="bob")
    return GOOD.rpartition(b".")[0] + b"." + other.rpartition(b".")[2]


def forged_by_a_namesake() -> bytes:
    """Sign with another key under the name of ours."""
    stolen = OKPKey.generate_key("Ed25519", private=True)
    payload = json.dumps(CLAIMS).encode()
    return jws.serialize_compact(HEADER, payload, stolen, algorithms=["Ed25519"]).encode()


@pytest.mark.parametrize(
    "forge",
    [
        forged_with_public_key_as_secret,
        forged_with_a_key_in_the_header,
        forged_without_signature,
        forged_from_another_token,
        forged_by_a_namesake,
    ],
)
def test_a_forgery_is_refused(forge: Callable[[], bytes]) -> None:
    assert refusal(forge())


def test_of_two_equal_names_the_last_counts_for_all_checks() -> None:
    """RFC 7515 §4; what is checked must be what is used."""
    claims = json.dumps(CLAIMS).encode()
    doubled = claims[:-1] + b',"sub":"bob","aud":"https://elsewhere.example"}'
    assert "audience" in refusal(signed(json.dumps(HEADER).encode(), doubled))
    header = json.dumps(HEADER).encode()[:-1] + b',"alg":"none"}'
    assert "algorithm" in refusal(signed(header, claims))


@pytest.mark.parametrize(
    "token",
    [
        with_header(alg="none"),
        with_header(kid="unknown"),
        with_claims(iss="https://elsewhere.example"),
        with_claims(aud="https://elsewhere.example"),
        with_claims(exp=NOW - 3600),
    ],
)
def test_the_signature_comes_last(token: bytes) -> None:
    """A wrong signature does not change the answer, so it was not looked at."""
    unsigned = token.rpartition(b".")[0] + b"." + encoded(bytes(64))
    assert refusal(unsigned) == refusal(token)
    assert refusal(GOOD.rpartition(b".")[0] + b"." + encoded(bytes(64))) == (
        "signature is wrong"
    )


def test_the_leeway_ends_where_it_says() -> None:
    assert check(GOOD, now=NOW + 600 + LEEWAY - 1) == ALICE
    assert "expired" in refusal(GOOD, now=NOW + 600 + LEEWAY)
    assert check(GOOD, now=NOW - LEEWAY) == ALICE
    assert "not valid yet" in refusal(GOOD, now=NOW - LEEWAY - 1)


@pytest.mark.parametrize(
    ("token", "permanent"),
    [
        (b"garbage", True),
        (with_claims(exp=NOW - 3600), True),
        (GOOD.rpartition(b".")[0] + b"." + encoded(bytes(64)), True),
        (with_claims(iat=NOW + 3600), False),
        (with_claims(aud=f"{ISSUER}/c/notes/mcp"), False),
        (with_header(kid="of a key that is made next"), False),
    ],
)
def test_only_what_never_becomes_valid_is_remembered(token: bytes, permanent: bool) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        check(token)
    assert caught.value.permanent is permanent


@pytest.mark.parametrize("token", [b"eyJ-secret", with_claims(sub="secret", iss="secret")])
def test_no_message_holds_what_the_token_says(token: bytes) -> None:
    assert "secret" not in refusal(token)
