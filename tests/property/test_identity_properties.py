"""What holds for every token and every text that is shown as one."""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken, InvalidTokenError, issue, verify
from bascule.identity.client_keys import public_jwks
from bascule.identity.keys import BadKeyError, KeySet, from_jwk, new_key
from bascule.identity.revocation import Revocation, Revocations

NOW = UnixTime(1_800_000_000)
KEY = new_key(NOW)
KEYS = KeySet([KEY])
RESOURCE = "https://bridge.example/c/tickets/mcp"
ISSUER = "https://bridge.example"

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
tokens = st.builds(
    AccessToken,
    user=st.none() | names.map(lambda name: f"user:{name}"),
    agent=names,
    jti=names,
    scopes=st.frozensets(names, max_size=4),
    issued_at=st.just(NOW),
    expires_at=st.integers(NOW + 1, NOW + 3600).map(UnixTime),
    issue_number=st.integers(0, 2**53),
    grant=st.none() | names,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def is_valid(token: bytes) -> bool:
    """Verify; any other error than the one that is announced goes on."""
    try:
        verify(token, keys=KEYS, issuer=ISSUER, resource=RESOURCE, now=NOW, leeway=0)
    except InvalidTokenError:
        return False
    return True


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@given(tokens)
def test_verifying_gives_back_what_was_issued(token: AccessToken) -> None:
    shown = issue(token, issuer=ISSUER, resource=RESOURCE, key=KEY).encode()
    assert (
        verify(shown, keys=KEYS, issuer=ISSUER, resource=RESOURCE, now=NOW, leeway=0)
        == token
    )


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_by_the_one_error(token: bytes) -> None:
    assert not is_valid(token)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=70))
def test_any_three_segments_are_refused_by_the_one_error(
    header: bytes, claims: bytes, signature: bytes
) -> None:
    assert not is_valid(b".".join(encoded(it) for it in (header, claims, signature)))


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), json_values
    ),
    claims=st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "client_id", "jti", "iat", "exp", "bsc_n"]),
        json_values,
    ),
)
def test_any_json_signed_by_us_but_not_our_claims_is_refused_by_the_one_error(
    header: dict[str, object], claims: dict[str, object]
) -> None:
    usual: dict[str, object] = {"typ": "at+jwt", "alg": "Ed25519", "kid": KEY.kid}
    private = KEY.key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    body = b".".join(
        encoded(json.dumps(part).encode()) for part in ({**usual, **header}, claims)
    )
    assert not is_valid(body + b"." + encoded(private.sign(body)))


@given(tokens, st.data())
def test_no_other_text_than_the_issued_one_is_valid(
    token: AccessToken, data: st.DataObject
) -> None:
    """One text for each token: no padding, no other last bits, nothing around it."""
    shown = issue(token, issuer=ISSUER, resource=RESOURCE, key=KEY).encode()
    place = data.draw(st.integers(0, len(shown)))
    middle = data.draw(st.binary(max_size=2))
    end = data.draw(st.integers(place, min(len(shown), place + 2)))
    changed = shown[:place] + middle + shown[end:]
    assert is_valid(changed) is (changed == shown)


@given(tokens, st.lists(st.tuples(names, st.integers(0, 2**53))), names)
def test_revoking_more_never_brings_a_token_back(
    token: AccessToken, entries: list[tuple[str, int]], connector: str
) -> None:
    made = [Revocation("agent", key, up_to, NOW) for key, up_to in dict(entries).items()]
    covered = False
    for count in range(len(made) + 1):
        before, covered = covered, Revocations(made[:count]).covers(token, connector)
        assert covered or not before


@given(st.binary(max_size=200))
def test_any_bytes_are_a_jwk_set_or_the_one_error(document: bytes) -> None:
    try:
        kept = public_jwks(document)
    except BadKeyError:
        return
    assert public_jwks(kept.encode()) == kept


@given(
    st.lists(
        st.fixed_dictionaries(
            {"kty": st.sampled_from(["OKP", "EC", "RSA", "oct"]) | json_values},
            optional={
                name: json_values | st.sampled_from(["Ed25519", "P-256", "AQAB"])
                for name in ("crv", "x", "y", "n", "e", "d", "k", "kid")
            },
        ),
        max_size=2,
    )
)
def test_any_json_keys_are_a_jwk_set_or_the_one_error(
    keys: list[dict[str, object]],
) -> None:
    document = json.dumps({"keys": keys}).encode()
    try:
        kept = public_jwks(document)
    except BadKeyError:
        return
    assert public_jwks(kept.encode()) == kept


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "d", "created"]), json_values))
def test_any_json_is_a_signing_key_or_the_one_error(document: dict[str, object]) -> None:
    try:
        from_jwk(document)
    except BadKeyError:
        return
    raise AssertionError("it has no `retired`, so it is none of ours")
