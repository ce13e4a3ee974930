"""Tokens that must get nowhere: each is good but for one thing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OctKey

from bascule.clock import UnixTime, system_clock
from bascule.identity.keys import SigningKey, new_key
from bascule.storage import key_files
from bascule.storage.key_store import FolderKeys
from patience import until
from system.server import Installation

Claims = dict[str, Any]


def signing_key(bascule: Installation) -> SigningKey:
    return key_files.load(FolderKeys(bascule.data / "keys"), now=system_clock()).active()


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


def all_of_them(bascule: Installation) -> dict[str, str | None]:
    """Make one of each, and no token at all; the revocation is in force by then."""
    made = {name: make(bascule) for name, make in TOKENS.items()}
    until(lambda: bascule.tool(made["revoked"], "no such tool").status == 401)
    return {"none": None, **made}
