"""What makes an ID-JAG one for this client here; each rule broken by itself."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.clock import UnixTime
from bascule.config.providers import Provider
from bascule.identity.foreign_token import read
from bascule.identity.id_jag import TYPE, IdJag, InvalidIdJagError, verify_id_jag
from bascule.identity.issuer_documents import read_keys
from foreign import Signer, changed, jwks, signer

NOW = UnixTime(1_900_000_000)
PROVIDER = Provider(client_id="b", issuer="https://login.example", id_jag=True)
COMPANY = signer("k", "ES256")
KEY = read_keys(jwks(COMPANY)).find("k", "ES256")
CLAIMS = {
    "iss": "https://login.example",
    "sub": "00u1",
    "aud": "https://gate.example",
    "client_id": "app",
    "jti": "j-1",
    "iat": NOW,
    "exp": NOW + 300,
    "resource": "https://gate.example/c/desk/mcp",
    "scope": "mcp:desk",
    "email": "alice@corp.example",
}


def verified(claims: object = CLAIMS, by: Signer = COMPANY, **header: Any) -> IdJag:
    assert KEY is not None
    return verify_id_jag(
        read(by.sign(claims, **{"typ": TYPE, **header})),
        KEY,
        PROVIDER,
        audience="https://gate.example",
        client_id="app",
        now=NOW,
        leeway=30,
    )


def test_issuer_and_subject_are_the_user_whatever_the_address() -> None:
    found = verified()
    assert (found.issuer, found.subject) == ("https://login.example", "00u1")
    assert found.resources == ("https://gate.example/c/desk/mcp",)
    assert found.scope == "mcp:desk"
    assert verified(changed(CLAIMS, email="bob@corp.example")).subject == "00u1"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://login.example/"},
        {"iss": "https://gate.example"},
        {"aud": "https://gate.example/"},
        {"aud": ["https://gate.example", "https://other.example"]},
        {"aud": ["https://gate.example", "https://gate.example"]},
        {"aud": [["https://gate.example"]]},
        {"aud": []},
        {"aud": ""},
        {"aud": {"https://gate.example": 1}},
        {"aud": "HTTPS://gate.example"},
        {"aud": "https://gate.example/oauth/token"},
        {"aud": "https://gate.example/c/desk/mcp"},
        {"aud": None},
        {"client_id": ["app"]},
        {"client_id": "APP"},
        {"client_id": "other"},
        {"client_id": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": 7},
        {"jti": None},
        {"jti": ""},
        {"jti": "j" * 256},
        {"exp": NOW - 31},
        {"exp": NOW + 3601},
        {"exp": None},
        {"exp": str(NOW + 300)},
        {"exp": True},
        {"exp": [NOW + 300]},
        {"iat": False},
        {"nbf": "now"},
        {"iat": None},
        {"iat": NOW + 31},
        {"nbf": NOW + 31},
        {"iat": NOW - 3700, "exp": NOW - 100 + 200},
        {"resource": None},
        {"resource": []},
        {"resource": [1]},
        {"resource": {"https://gate.example/c/desk/mcp": 1}},
        {"sub": None},
        {"sub": "s" * 256},
        {"scope": 1},
        {"act": {"sub": "other"}},
        {"cnf": {"unknown": "x"}},
    ],
    ids=str,
)
def test_one_wrong_claim_is_enough(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidIdJagError):
        verified(changed(CLAIMS, **change))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": "oauth-id-jag"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"crit": ["exp"]},
    ],
    ids=str,
)
def test_other_kinds_of_tokens_are_none(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidIdJagError):
        verified(**header)


def test_a_forged_signature_is_refused() -> None:
    with pytest.raises(InvalidIdJagError, match="signature"):
        verified(by=signer("k", "ES256"))


def test_a_key_that_comes_with_it_proves_nothing() -> None:
    forger = signer("k", "ES256")
    for name, value in (("jwk", forger.jwk()), ("jku", "https://evil.example/keys")):
        with pytest.raises(InvalidIdJagError, match="signature"):
            verified(by=forger, **{name: value})


def test_the_audience_may_stand_in_a_list_alone_and_the_type_be_written_in_full() -> None:
    assert verified(changed(CLAIMS, aud=["https://gate.example"])).subject == "00u1"
    for typ in (f"application/{TYPE}", TYPE.upper()):
        assert verified(typ=typ).subject == "00u1"


def test_an_address_names_nobody() -> None:
    with pytest.raises(InvalidIdJagError, match="sub"):
        verified(changed(CLAIMS, sub=None, email_verified=True))


def test_two_issuers_may_use_one_jti() -> None:
    assert verified().digest == verified(changed(CLAIMS, sub="00u2")).digest
    assert verified().digest != verified(changed(CLAIMS, jti="j-2")).digest
