"""Proofs of possession: what they must say, and who must have signed them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from bascule.clock import UnixTime
from bascule.identity.confirmation import Confirmation, read_confirmation
from bascule.identity.dpop import (
    WINDOW_SECONDS,
    InvalidProofError,
    Proof,
    StaleNonceError,
    verify_proof,
)
from bascule.identity.nonces import PERIOD_SECONDS, PERIODS, Nonces
from foreign import segment, signer
from proofs import Prover

NOW = UnixTime(1_800_000_000)
HERE = "https://bascule.example/c/time/mcp"
TOKEN = "a.b.c"
PROVER = Prover()


def verified(proof: bytes, **but: Any) -> Proof:
    usual = {"method": "POST", "address": HERE, "now": NOW, "token": TOKEN.encode()}
    return verify_proof(proof, **{**usual, **but})


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "Ed25519", "EdDSA", "PS256"])
def test_a_proof_names_the_key_that_signed_it(algorithm: str) -> None:
    prover = Prover(signer("", algorithm))
    proof = verified(prover.proof(HERE, now=NOW, token=TOKEN))
    assert (proof.key, proof.issued_at) == (prover.thumbprint, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"method": "GET"},
        {"method": "post"},
        {"htu": "https://bascule.example/c/other/mcp"},
        {"htu": "http://bascule.example/c/time/mcp"},
        {"htu": "https://bascule.example:444/c/time/mcp"},
        {"htu": "https://bascule.example@evil.example/c/time/mcp"},
        {"htu": "https://user@bascule.example/c/time/mcp"},
        {"htu": "https://bascule.example.evil.example/c/time/mcp"},
        {"htu": "https://[bad"},
        {"htu": "https://bascule.example:port/c/time/mcp"},
        {"htu": "/c/time/mcp"},
        {"htu": None},
        {"iat": NOW - WINDOW_SECONDS - 1},
        {"iat": NOW + WINDOW_SECONDS + 1},
        {"iat": 1e308},
        {"iat": str(NOW)},
        {"iat": True},
        {"iat": None},
        {"ath": "A" * 43},
        {"ath": None},
        {"jti": ""},
        {"jti": "j" * 256},
        {"jti": 7},
        {"jti": None},
        {"content_digest": "sha-512=:AAAA:"},
        {"header": {"typ": "jwt"}},
        {"header": {"typ": None}},
        {"header": {"alg": "none"}},
        {"header": {"alg": "HS256"}},
        {"header": {"alg": "ES384"}},
        {"header": {"crit": ["exp"]}},
        {"header": {"b64": False}},
        {"header": {"jwk": None}},
        {"header": {"jwk": PROVER.signer.key.as_dict(private=True)}},
        {"header": {"jwk": Prover().signer.key.as_dict(private=False)}},
        {"header": {"jwk": OctKey.generate_key(256).as_dict(private=True)}},
        {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": [], "y": 1}}},
        {"header": {"jwk": {"kty": ["EC"]}}},
    ],
)
def test_one_wrong_member_makes_a_proof_void(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidProofError):
        verified(PROVER.proof(HERE, **{"now": NOW, "token": TOKEN, **claims}))


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://BASCULE.example/c/time/mcp",
        "https://bascule.example:443/c/time/mcp",
        "https://bascule.example/c/time/mcp?session=1#top",
    ],
)
def test_another_spelling_of_the_address_is_the_same(htu: str) -> None:
    assert verified(PROVER.proof(HERE, now=NOW, token=TOKEN, htu=htu))


def test_weak_and_slow_rsa_keys_are_of_no_use() -> None:
    prover = Prover(signer("", "RS256"))
    jwk = prover.signer.key.as_dict(private=False)
    for change in ({"n": jwk["n"][:171]}, {"n": jwk["n"] * 5}, {"e": jwk["n"]}):
        header = {"jwk": {**jwk, **change}}
        with pytest.raises(InvalidProofError, match="of no use"):
            verified(prover.proof(HERE, now=NOW, token=TOKEN, header=header))


def test_a_changed_byte_makes_a_proof_void() -> None:
    proof = PROVER.proof(HERE, now=NOW, token=TOKEN)
    head, claims, signature = proof.split(b".")
    said = base64.urlsafe_b64decode(claims + b"==").replace(b"time", b"mail")
    mail = HERE.replace("time", "mail")
    with pytest.raises(InvalidProofError, match="signature"):
        verified(b".".join((head, segment(said), signature)), address=mail)


def test_other_spellings_of_one_proof_are_void_or_the_same_proof() -> None:
    """What is noted as used must not be had again by writing it another way."""
    proof = PROVER.proof(HERE, now=NOW, token=TOKEN)
    for other in (proof + b"=", proof + b"\n", proof + b".", b" " + proof):
        with pytest.raises(InvalidProofError):
            verified(other)
    signed, _, last = proof.rpartition(b".")
    raw = base64.urlsafe_b64decode(last + b"==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    mirrored = (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = verified(signed + b"." + segment(raw[:32] + mirrored))
    assert twin.digest == verified(proof).digest


def test_proofs_of_one_name_by_two_keys_are_two() -> None:
    one, two = (
        verified(Prover().proof(HERE, now=NOW, token=TOKEN, jti="same")) for _ in "12"
    )
    assert one.digest != two.digest


def test_a_digest_of_the_content_is_given() -> None:
    digest = hashlib.sha256(b"body").digest()
    said = f"sha-256=:{base64.b64encode(digest).decode()}:"
    proof = PROVER.proof(HERE, now=NOW, token=TOKEN, content_digest=said)
    assert verified(proof).content == digest


def test_a_nonce_is_wanted_only_of_who_has_signed() -> None:
    nonces = Nonces(bytes(32))
    is_fresh = partial(nonces.knows, now=NOW)
    proof = PROVER.proof(HERE, now=NOW, token=TOKEN, nonce=nonces.current(NOW))
    assert verified(proof, is_fresh=is_fresh)
    for nonce in (None, "", "\u00e9", Nonces(b"1" * 32).current(NOW)):
        with pytest.raises(StaleNonceError):
            verified(
                PROVER.proof(HERE, now=NOW, token=TOKEN, nonce=nonce), is_fresh=is_fresh
            )


def test_a_nonce_is_good_for_five_minutes() -> None:
    nonces = Nonces(bytes(32))
    nonce, life = nonces.current(NOW), PERIOD_SECONDS * PERIODS
    start = NOW - NOW % PERIOD_SECONDS
    assert nonces.knows(nonce, UnixTime(start + life - 1))
    assert not nonces.knows(nonce, UnixTime(start + life))
    assert not nonces.knows(nonce, UnixTime(start - 1))


@given(proof=st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_none(proof: bytes) -> None:
    with pytest.raises(InvalidProofError):
        verified(proof)


@given(jwk=st.dictionaries(st.text(max_size=4), st.text() | st.integers() | st.none()))
def test_any_key_is_one_or_none(jwk: dict[str, Any]) -> None:
    for kind in ("EC", "RSA", "OKP"):
        named = {"crv": "P-256", "e": "AQAB", **jwk, "kty": kind}
        with pytest.raises(InvalidProofError):
            verified(PROVER.proof(HERE, now=NOW, token=TOKEN, header={"jwk": named}))


@given(text=st.text(alphabet=st.characters(codec=None)))
def test_any_text_may_be_the_name_of_a_proof(text: str) -> None:
    with contextlib.suppress(InvalidProofError):
        assert verified(PROVER.proof(HERE, now=NOW, token=TOKEN, jti=text))


def test_a_confirmation_is_read_as_it_is_written() -> None:
    both = Confirmation(key="k" * 43, certificate="c" * 43)
    assert read_confirmation(both.document()) == both
    assert Confirmation(key="k" * 43).document() == {"jkt": "k" * 43}


@pytest.mark.parametrize(
    "claim",
    [
        None,
        {},
        "jkt",
        {"jkt": 1},
        {"jkt": "short"},
        {"jwk": {}},
        {"jkt": "k" * 43, "kid": "k" * 43},
    ],
)
def test_a_confirmation_that_says_something_else_is_none(claim: object) -> None:
    assert read_confirmation(claim) is None
