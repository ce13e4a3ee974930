"""Signing keys, and the keys of agents."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from bascule.clock import UnixTime
from bascule.identity.client_keys import MAX_JWKS_BYTES, public_jwks
from bascule.identity.keys import BadKeyError, KeySet, from_jwk, new_key, to_jwk

NOW = UnixTime(1_800_000_000)
ED25519 = OKPKey.generate_key("Ed25519").as_dict(private=False)
P256 = ECKey.generate_key("P-256").as_dict(private=False)
RSA = RSAKey.generate_key(2048).as_dict(private=False)


def test_a_key_comes_back_from_its_file_as_it_was() -> None:
    key = replace(new_key(NOW), retired=UnixTime(NOW + 5))
    again = from_jwk(json.loads(json.dumps(to_jwk(key))))
    assert (again.kid, again.created, again.retired) == (key.kid, key.created, key.retired)
    assert again.key.as_dict(private=True)["d"] == key.key.as_dict(private=True)["d"]


def test_the_newest_key_that_is_not_retired_signs() -> None:
    old, new = new_key(NOW), new_key(UnixTime(NOW + 1))
    assert KeySet([new, old]).active() == new
    assert KeySet([old, replace(new, retired=NOW)]).active() == old


def test_without_a_key_nothing_is_signed() -> None:
    with pytest.raises(BadKeyError, match="key rotate"):
        KeySet([replace(new_key(NOW), retired=NOW)]).active()


def test_a_retired_key_is_published_and_found() -> None:
    old, new = replace(new_key(NOW), retired=NOW), new_key(NOW)
    keys = KeySet([old, new])
    assert keys.find(old.kid) == old
    published = keys.jwks()["keys"]
    assert isinstance(published, list)
    assert {it["kid"] for it in published} == {old.kid, new.kid}


def test_no_private_part_shows_outside_the_file() -> None:
    key = new_key(NOW)
    secret = str(key.key.as_dict(private=True)["d"])
    assert "d" not in key.public()
    assert secret not in json.dumps(KeySet([key]).jwks())
    assert secret not in repr(key)


@pytest.mark.parametrize("curve", ["X25519", "Ed448"])
def test_a_key_of_another_curve_does_not_sign(curve: Any) -> None:
    other = OKPKey.generate_key(curve).as_dict(private=True)
    with pytest.raises(BadKeyError):
        from_jwk({**other, "created": NOW, "retired": None})


@pytest.mark.parametrize("key", [ED25519, P256, RSA], ids=["Ed25519", "P-256", "RSA"])
def test_an_agent_may_have_a_key_of_each_kind(key: dict[str, object]) -> None:
    kept = json.loads(public_jwks(json.dumps({"keys": [{**key, "use": "sig"}]}).encode()))
    assert kept == {"keys": [{**key, "use": "sig"}]}


def test_of_an_agents_key_only_the_public_parts_are_kept() -> None:
    document = {"keys": [{**ED25519, "x5u": "https://evil.example", "oth": "?"}]}
    assert json.loads(public_jwks(json.dumps(document).encode())) == {"keys": [ED25519]}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([], "no keys"),
        ([OKPKey.generate_key("Ed25519").as_dict(private=True)], "private"),
        ([ED25519, ECKey.generate_key("P-256").as_dict(private=True)], "private"),
        ([OctKey.generate_key(256).as_dict(private=True)], "private"),
        ([OKPKey.generate_key("X25519").as_dict(private=False)], "not a JWK set of keys"),
        ([ECKey.generate_key("secp256k1").as_dict(private=False)], "not a JWK set of keys"),
        ([{"kty": "AKP"}], "not a JWK set of keys"),
        ([{"kty": ["OKP"]}], "not a JWK set of keys"),
        ([{}], "not a JWK set of keys"),
        ([{"kty": "OKP"}], "not a JWK set of keys"),
        ([{**ED25519, "kid": 7}], "not a JWK set of keys"),
        ([{**ED25519, "x": "AAAA"}], "cannot be read"),
        ([{**P256, "y": P256["x"]}], "cannot be read"),
        ([{**RSA, "e": "AA"}], "cannot be read"),
        ([{**RSA, "use": "enc"}], "not a JWK set of keys"),
        ([{"kty": "RSA", "e": "AQAB", "n": "g" + "A" * 170}], "2048"),
    ],
)
def test_a_key_that_an_agent_cannot_use_is_refused(keys: object, problem: str) -> None:
    with pytest.raises(BadKeyError, match=problem):
        public_jwks(json.dumps({"keys": keys}).encode())


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[]", b'{"keys":{}}', b" " * MAX_JWKS_BYTES + b"{}"]
)
def test_what_is_no_jwk_set_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeyError, match="JWK set"):
        public_jwks(document)
