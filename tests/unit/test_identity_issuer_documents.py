"""What foreign issuers publish: where it is looked for, and which keys are taken of it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from bascule.identity.issuer_documents import (
    ALGORITHMS,
    BadDocumentError,
    IssuerKeys,
    metadata_urls,
    read_keys,
    read_metadata,
)
from foreign import jwks, segment, signer

WEAK = segment(
    rsa.generate_private_key(65537, 1024)  # noqa: S505 - too weak on purpose
    .public_key()
    .public_numbers()
    .n.to_bytes(128)
).decode()
RSA, EC = signer("rsa", "RS256"), signer("ec", "ES256")


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://a.example",
            (
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
        ),
        (
            "https://a.example/",
            (
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
        ),
        (
            "https://a.example:8443/tenant/v2.0",
            (
                "https://a.example:8443/tenant/v2.0/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/tenant/v2.0",
            ),
        ),
    ],
)
def test_metadata_is_where_the_standards_say(issuer: str, urls: tuple[str, ...]) -> None:
    assert metadata_urls(issuer) == urls


def test_metadata_gives_the_place_of_the_keys() -> None:
    document = {"issuer": "https://a.example", "jwks_uri": "https://b.example/k", "x": 1}
    found = read_metadata(json.dumps(document).encode(), "https://a.example")
    assert found == "https://b.example/k"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"issuer": "https://a.example"}',
        b'{"issuer": "https://a.example", "jwks_uri": 7}',
        b'{"issuer": "https://a.example/", "jwks_uri": "https://b.example"}',
        b'{"issuer": "https://login.example/{tenantid}/v2.0", "jwks_uri": "https://b"}',
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_no_other_metadata_is_taken(document: bytes) -> None:
    with pytest.raises(BadDocumentError):
        read_metadata(document, "https://a.example")


def test_only_asymmetric_algorithms_are_accepted() -> None:
    assert sorted(ALGORITHMS) == ["ES256", "ES384", "Ed25519", "EdDSA", "PS256", "RS256"]


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_key_serves_for_the_algorithms_of_its_kind(algorithm: str) -> None:
    keys = read_keys(jwks(signer("k", algorithm)))
    assert keys.find("k", algorithm) is not None
    assert keys.find("other", algorithm) is None
    others = [other for other in ALGORITHMS if keys.find("k", other) is not None]
    assert len(others) == {"R": 2, "P": 2, "E": 1}[algorithm[0]] + (algorithm[1] == "d")


def test_a_key_that_names_its_algorithm_serves_for_no_other() -> None:
    keys = read_keys(key_set(RSA.jwk(alg="PS256")))
    assert keys.find("rsa", "PS256") is not None
    assert keys.find("rsa", "RS256") is None


@pytest.mark.parametrize(
    "key",
    [
        7,
        None,
        {},
        RSA.jwk(use="enc"),
        RSA.jwk(kid=None),
        RSA.jwk(kid=""),
        RSA.jwk(kid=7),
        RSA.jwk(alg="RSA-OAEP"),
        RSA.jwk(alg="HS256"),
        RSA.jwk(alg="none"),
        RSA.jwk(kty="EC"),
        RSA.jwk(n="!"),
        RSA.jwk(e=None),
        EC.jwk(crv="P-521"),
        EC.jwk(crv="secp256k1"),
        EC.jwk(x="AAAA"),
        {"kty": "oct", "kid": "o", "k": "c2VjcmV0"},
        {**OctKey.generate_key(256).as_dict(), "kid": "o", "alg": "HS256"},
        {"kty": "RSA", "kid": "weak", "n": WEAK, "e": "AQAB"},
    ],
)
def test_a_key_that_cannot_be_used_is_left_out(key: Any) -> None:
    keys = read_keys(key_set(key, EC.jwk(kid="good")))
    assert keys.find("good", "ES256") is not None
    assert len(keys.thumbprints) == 1
    with pytest.raises(BadDocumentError):
        read_keys(key_set(key))


def test_private_numbers_are_not_kept() -> None:
    keys = read_keys(key_set({**RSA.key.as_dict(private=True), "kid": "rsa"}))
    found = keys.find("rsa", "RS256")
    assert found is not None
    assert not found.key.is_private


def test_of_two_keys_with_one_name_each_serves_for_its_kind() -> None:
    keys = read_keys(key_set(RSA.jwk(kid="k"), EC.jwk(kid="k")))
    assert keys.find("k", "RS256") != keys.find("k", "ES256")
    assert keys.find("k", "ES384") is None
    assert keys.knows("k")


@given(st.binary())
def test_any_bytes_are_a_key_set_or_refused(document: bytes) -> None:
    for read in (read_keys, lambda it: read_metadata(it, "https://a.example")):
        with contextlib.suppress(BadDocumentError):
            assert isinstance(read(document), IssuerKeys | str)


VALUES = st.none() | st.integers() | st.text() | st.lists(st.text())


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "n", "e", "crv", "x", "y", "alg", "use"]),
            VALUES | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB"]),
        )
    )
)
def test_any_keys_are_a_key_set_or_refused(keys: list[dict[str, Any]]) -> None:
    with contextlib.suppress(BadDocumentError):
        assert isinstance(read_keys(key_set(*keys)), IssuerKeys)
