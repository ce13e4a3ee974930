"""How Bascule proves to a provider who it is, and what of that is never shown."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from bascule.authserver.provider_exchange import Kept, assertion_key
from bascule.oauthclient.errors import UnusableServerError

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Key) -> str:
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data.decode()


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bascule")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=365))
        .sign(RSA, SHA256())
    )


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
)
def test_a_key_signs_with_its_own_algorithm(key: Key, algorithm: str) -> None:
    found = assertion_key(pem(key))
    assert found.algorithm == algorithm
    assert not found.header


def test_a_certificate_beside_the_key_names_it() -> None:
    beside = certificate().public_bytes(Encoding.PEM).decode()
    found = assertion_key(pem(RSA) + beside)
    assert found.algorithm == "PS256"
    assert set(found.header) == {"x5t#S256"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_what_is_no_usable_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UnusableServerError) as caught:
        assertion_key(text)
    assert not text or text not in str(caught.value)


def test_what_is_kept_of_a_login_shows_nothing_of_itself() -> None:
    kept = Kept(refresh_token="secret-1", access_token="secret-2", id_token="secret-3")
    assert "secret" not in repr(kept)
    assert "secret" not in str([kept])
