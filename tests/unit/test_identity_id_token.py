"""ID tokens: one good token, and every way in which it could be none."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.providers import Provider
from bascule.identity.id_token import (
    IdToken,
    InvalidIdTokenError,
    Wanted,
    read_id_token,
    verify_id_token,
)
from bascule.identity.issuer_documents import read_keys
from bascule.identity.provider_metadata import ProviderMetadata
from foreign import Signer, changed, jwks, segment, signer

ISSUER = "https://login.corp.example"
NOW = UnixTime(1_800_000_000)
CORP = Provider(client_id="bascule", issuer=ISSUER)
ENTRA = Provider(
    kind="entra",
    client_id="bascule",
    issuer="https://login.microsoftonline.com/organizations/v2.0",
)
ENTRA_ISSUER = "https://login.microsoftonline.com/{tenantid}/v2.0"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "bascule",
    "sub": "alice-42",
    "nonce": "nonce of this login",
    "iat": NOW - 5,
    "exp": NOW + 300,
    "sid": "session-1",
}
WANTED = Wanted(CORP, ISSUER, nonce="nonce of this login", access_token="at")
GOOD = signer("key-1", "RS256")
EC = signer("key-2", "ES384")
KEYS = read_keys(jwks(GOOD, EC))


def verified(
    claims: dict[str, Any], wanted: Wanted = WANTED, by: Signer = GOOD, **header: Any
) -> IdToken:
    token = by.sign(claims, **{"typ": "JWT", **header}).decode()
    key = KEYS.find(by.kid, by.algorithm)
    assert key is not None
    return verify_id_token(read_id_token(token), key, wanted, now=NOW, leeway=30)


def test_a_good_token_says_who_signed_in() -> None:
    found = verified(CLAIMS)
    assert (found.issuer, found.subject, found.session) == (ISSUER, "alice-42", "session-1")
    assert verified({**CLAIMS, "aud": ["bascule"], "azp": "bascule"}) is not None
    assert verified(CLAIMS, by=EC).subject == "alice-42"
    assert verified(CLAIMS, typ=None).subject == "alice-42"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "https://login.corp.example/"),
        ("iss", "https://LOGIN.corp.example"),
        ("iss", "https://login.evil.example"),
        ("iss", "accounts.google.com"),
        ("aud", None),
        ("aud", "other"),
        ("aud", []),
        ("aud", ["other", "bascule"]),
        ("aud", ["bascule", "other"]),
        ("azp", "other"),
        ("nonce", None),
        ("nonce", "nonce of another login"),
        ("nonce", ["nonce of this login"]),
        ("exp", None),
        ("exp", NOW - 30),
        ("exp", "tomorrow"),
        ("exp", True),
        ("exp", float("inf")),
        ("iat", None),
        ("iat", NOW + 31),
        ("iat", NOW - 3600),
        ("nbf", NOW + 31),
        ("nbf", True),
        ("nbf", float("inf")),
        ("sub", None),
        ("sub", ""),
        ("sub", 42),
        ("sub", "a\nb"),
        ("sub", "x" * 256),
        ("events", {}),
        ("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
    ],
)
def test_a_token_with_one_wrong_claim_is_none(claim: str, value: object) -> None:
    with pytest.raises(InvalidIdTokenError):
        verified(changed(CLAIMS, **{claim: value}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"crit": ["exp"]},
        {"b64": False},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "oauth-id-jag+jwt"},
        {"typ": "secevent+jwt"},
    ],
)
def test_other_kinds_of_tokens_of_the_same_provider_are_no_logins(
    header: dict[str, Any],
) -> None:
    with pytest.raises(InvalidIdTokenError):
        verified(CLAIMS, **header)


def test_a_signature_by_another_key_is_none() -> None:
    stranger = replace(signer("key-1", "RS256"), kid="key-1")
    with pytest.raises(InvalidIdTokenError, match="signature"):
        verified(CLAIMS, by=stranger)
    first, second, signature = GOOD.sign(CLAIMS, typ="JWT").split(b".")
    forged = b".".join((first, segment({**CLAIMS, "sub": "bob"}), signature)).decode()
    key = KEYS.find("key-1", "RS256")
    assert key is not None
    assert second
    with pytest.raises(InvalidIdTokenError, match="signature"):
        verify_id_token(read_id_token(forged), key, WANTED, now=NOW, leeway=30)


def test_neither_of_two_beginnings_may_be_in_the_future() -> None:
    assert verified({**CLAIMS, "nbf": NOW - 5}).subject == "alice-42"
    for wrong in ({"iat": NOW + 31, "nbf": NOW - 5}, {"iat": NOW - 5, "nbf": NOW + 31}):
        with pytest.raises(InvalidIdTokenError, match="future"):
            verified({**CLAIMS, **wrong})


@pytest.mark.parametrize("sid", [None, "", 7, ["session-1"], "a\nb", "x" * 256])
def test_what_is_no_name_of_a_session_names_none(sid: object) -> None:
    assert verified(changed(CLAIMS, sid=sid)).session is None


def test_a_hash_of_the_access_token_must_be_of_the_one_that_came_along() -> None:
    half = base64.urlsafe_b64encode(hashlib.sha256(b"at").digest()[:16]).rstrip(b"=")
    claims = {**CLAIMS, "at_hash": half.decode()}
    assert verified(claims).subject == "alice-42"
    with pytest.raises(InvalidIdTokenError, match="access token"):
        verified(claims, replace(WANTED, access_token="swapped"))


def test_a_token_of_a_refresh_needs_no_nonce_but_the_same_person() -> None:
    again = replace(WANTED, nonce=None, access_token=None, subject="alice-42")
    old = changed(CLAIMS, nonce=None, iat=NOW - 7200)
    assert verified(old, again).subject == "alice-42"
    with pytest.raises(InvalidIdTokenError, match="somebody else"):
        verified({**old, "sub": "bob"}, again)


def test_with_many_tenants_a_user_is_under_the_issuer_of_its_own() -> None:
    wanted = replace(WANTED, provider=ENTRA, issuer=ENTRA_ISSUER)
    tenant = "8c1f-22"
    issuer = ENTRA_ISSUER.replace("{tenantid}", tenant)
    claims = {**CLAIMS, "iss": issuer, "tid": tenant}
    assert verified(claims, wanted).issuer == issuer
    for wrong in ({"tid": "other"}, {"tid": None}, {"iss": ENTRA_ISSUER}, {"tid": "a/b"}):
        with pytest.raises(InvalidIdTokenError):
            verified(changed(claims, **wrong), wanted)
    for odd in ("", "a/b", "t-1/v2.0?", "x" * 65, ["t-1"]):
        there = ENTRA_ISSUER.replace("{tenantid}", str(odd))
        with pytest.raises(InvalidIdTokenError, match="tenant"):
            verified({**claims, "tid": odd, "iss": there}, wanted)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("cognito", {"token_use": "access"}), ("keycloak", {"typ": "Bearer"})],
)
def test_what_a_provider_calls_an_access_token_is_no_id_token(
    kind: Any, said: dict[str, str]
) -> None:
    provider = Provider(kind=kind, client_id="bascule", issuer=ISSUER)
    with pytest.raises(InvalidIdTokenError):
        verified({**CLAIMS, **said}, replace(WANTED, provider=provider))


def test_the_short_spelling_of_google_is_the_same_issuer() -> None:
    google = Provider(kind="google", client_id="bascule")
    wanted = replace(WANTED, provider=google, issuer="https://accounts.google.com")
    found = verified({**CLAIMS, "iss": "accounts.google.com"}, wanted)
    assert found.issuer == "https://accounts.google.com"


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidIdTokenError):
        read_id_token(text)


@pytest.mark.parametrize(
    ("published", "issuer", "is_its"),
    [
        (ISSUER, ISSUER, True),
        (ISSUER, f"{ISSUER}/", False),
        (ENTRA_ISSUER, "https://login.microsoftonline.com/t-1/v2.0", True),
        (ENTRA_ISSUER, "https://login.microsoftonline.com//v2.0", False),
        (ENTRA_ISSUER, "https://login.microsoftonline.com/a/b/v2.0", False),
        (ENTRA_ISSUER, "https://login.microsoftonline.com/v2.0", False),
        (ENTRA_ISSUER, "https://login.other.example/t-1/v2.0", False),
        (ENTRA_ISSUER, ISSUER, False),
    ],
)
def test_whose_users_a_provider_has(published: str, issuer: str, is_its: bool) -> None:
    """A name that stands for another provider by now must not see logins at the old."""
    metadata = ProviderMetadata(published, "https://a", "https://t")
    assert metadata.is_issuer(issuer) is is_its
