"""Published examples: RFC 8037 appendix A, RFC 7515 appendix A."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.clock import UnixTime
from bascule.identity.access_token import InvalidTokenError, verify
from bascule.identity.client_keys import public_jwks
from bascule.identity.keys import KeySet, SigningKey, from_jwk

NOW = UnixTime(1_300_000_000)
RFC_8037_A1 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "created": NOW,
    "retired": None,
}
RFC_8037_A3_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
RFC_8037_A4 = (
    b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
    b"9g7sVvpAr_MuM0KAg"
)
RFC_7515_A1_HMAC = (
    b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
    b"c19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_7515_A5_NONE = (
    b"eyJhbGciOiJub25lIn0."
    b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
    b"c19yb290Ijp0cnVlfQ."
)


@pytest.fixture
def key() -> SigningKey:
    return from_jwk(RFC_8037_A1)


def test_a_key_is_named_by_its_thumbprint(key: SigningKey) -> None:
    assert key.kid == RFC_8037_A3_THUMBPRINT


def test_what_is_published_is_the_public_key_alone(key: SigningKey) -> None:
    assert key.public() == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": RFC_8037_A1["x"],
        "kid": RFC_8037_A3_THUMBPRINT,
        "use": "sig",
        "alg": "Ed25519",
    }


def test_the_key_signs_as_the_example_says(key: SigningKey) -> None:
    body, _, signature = RFC_8037_A4.rpartition(b".")
    private = key.key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    made = base64.urlsafe_b64encode(private.sign(body)).rstrip(b"=")
    assert made == signature


@pytest.mark.parametrize("token", [RFC_8037_A4, RFC_7515_A1_HMAC, RFC_7515_A5_NONE])
def test_jwts_that_are_no_access_tokens_are_refused(token: bytes, key: SigningKey) -> None:
    with pytest.raises(InvalidTokenError):
        verify(token, keys=KeySet([key]), issuer="joe", resource="x", now=NOW, leeway=0)


def test_of_an_agents_key_nothing_is_kept_that_leads_elsewhere() -> None:
    """The EC key of RFC 7517 appendix A.1, with an address to fetch another key from."""
    document = (
        b'{"keys":[{"kty":"EC","crv":"P-256",'
        b'"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",'
        b'"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",'
        b'"use":"sig","kid":"1","x5u":"https://evil.example/"}]}'
    )
    assert json.loads(public_jwks(document)) == {
        "keys": [
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
                "use": "sig",
                "kid": "1",
            }
        ]
    }
