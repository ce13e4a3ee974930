"""Foreign access tokens: one good token, and every way in which it could be none."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.model import GroupsClaim, Issuer
from bascule.gateway.issuers import Issuers, IssuerUnavailableError
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.authorization_details import Details, ToolCalls
from bascule.identity.foreign_token import Unverified, check, read
from bascule.identity.issuer_documents import read_keys
from foreign import changed, jwks, segment, signer

ISSUER = "https://login.corp.example/realms/one"
NOW = UnixTime(1_800_000_000)
CORP = Issuer(
    issuer=ISSUER,
    audiences={"tickets": "api://tickets", "time": "api://time"},
    client_claim="azp",
)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "api://tickets",
    "sub": "alice-42",
    "azp": "agent-7",
    "jti": "token-1",
    "iat": NOW - 60,
    "exp": NOW + 600,
    "scope": "tickets.read mcp:tickets",
    "groups": ["support", "staff"],
}
SIGNERS = {
    algorithm: signer(f"key of {algorithm}", algorithm)
    for algorithm in ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
}
KEYS = read_keys(jwks(*SIGNERS.values()))
GOOD = SIGNERS["RS256"]


def issuers(rules: Issuer = CORP) -> Issuers:
    made = Issuers({"corp": rules})
    for issuer in made.every():
        issuer.keys, issuer.reachable = KEYS, True
    return made


def verified(
    token: bytes, rules: Issuer = CORP, connector: str = "tickets"
) -> AccessToken | None:
    return issuers(rules).verify(token, connector, NOW, 30)


def accepted(token: bytes, rules: Issuer = CORP) -> AccessToken:
    found = verified(token, rules)
    assert found is not None
    return found


def refused(token: bytes, rules: Issuer = CORP, connector: str = "tickets") -> str:
    with pytest.raises(InvalidTokenError) as caught:
        verified(token, rules, connector)
    return str(caught.value)


def rules(**changes: Any) -> Issuer:
    return msgspec.structs.replace(CORP, **changes)


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_token_of_the_issuer_is_accepted(algorithm: str) -> None:
    found = accepted(SIGNERS[algorithm].sign(CLAIMS))
    assert found == AccessToken(
        user=f"user:{ISSUER}|alice-42",
        agent=f"{ISSUER}|agent-7",
        jti="token-1",
        scopes=frozenset({"tickets.read", "mcp:tickets"}),
        issued_at=UnixTime(NOW - 60),
        expires_at=UnixTime(NOW + 600),
        issue_number=None,
        issuer=ISSUER,
        groups=frozenset({f"group:{ISSUER}|support", f"group:{ISSUER}|staff"}),
    )


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "AT+JWT"},
        {"typ": "application/at+jwt"},
        {"nonce": "as Entra's", "x5t": "thumb"},
        {"jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert"},
        {"jwk": signer("evil", "RS256").jwk()},
    ],
)
def test_the_rest_of_the_header_changes_nothing(header: dict[str, Any]) -> None:
    accepted(GOOD.sign(CLAIMS, **header))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": None}, "no access token"),
        ({"typ": "JWT"}, "no access token"),
        ({"typ": "id+jwt"}, "no access token"),
        ({"typ": "logout+jwt"}, "no access token"),
        ({"typ": "secevent+jwt"}, "no access token"),
        ({"typ": "oauth-id-jag+jwt"}, "no access token"),
        ({"typ": "dpop+jwt"}, "no access token"),
        ({"typ": ["at+jwt"]}, "malformed"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "None"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": "RS1"}, "algorithm"),
        ({"alg": "RS512"}, "algorithm"),
        ({"alg": "ES256K"}, "algorithm"),
        ({"alg": "rs256"}, "algorithm"),
        ({"alg": None}, "malformed"),
        ({"alg": "PS256"}, "signature"),
        ({"alg": "ES256"}, "unknown"),
        ({"kid": None}, "malformed"),
        ({"kid": ""}, "unknown"),
        ({"kid": "../../dev/null"}, "unknown"),
        ({"kid": "key of ES256"}, "unknown"),
        ({"kid": "key of PS256"}, "signature"),
        ({"kid": "x' UNION SELECT 'x"}, "unknown"),
        ({"kid": 7}, "malformed"),
        ({"crit": ["exp"]}, "critical"),
        ({"crit": []}, "critical"),
        ({"crit": ["b64"], "b64": False}, "critical"),
        ({"b64": False}, "critical"),
    ],
)
def test_one_wrong_header_refuses(header: dict[str, Any], reason: str) -> None:
    assert reason in refused(GOOD.sign(CLAIMS, **header))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "api://time"}, "audience"),
        ({"aud": "API://tickets"}, "audience"),
        ({"aud": "api://tickets/"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "malformed"),
        ({"aud": {"api://tickets": 1}}, "malformed"),
        ({"aud": ["api://tickets", 7]}, "malformed"),
        ({"aud": ["api://tickets", "api://time"]}, "several connectors"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": None}, "`exp`"),
        ({"exp": str(NOW + 600)}, "`exp`"),
        ({"exp": True}, "`exp`"),
        ({"iat": None}, "`iat`"),
        ({"iat": NOW + 31}, "not valid yet"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"nbf": "now"}, "`nbf`"),
        ({"sub": None}, "`sub`"),
        ({"sub": ""}, "`sub`"),
        ({"sub": 42}, "`sub`"),
        ({"sub": "a" * 256}, "`sub`"),
        ({"sub": "alice\r\nX: y"}, "`sub`"),
        ({"sub": "\u202eecila"}, "`sub`"),
        ({"azp": "agent\x00"}, "`azp`"),
        ({"azp": None}, "`azp`"),
        ({"azp": ["agent-7"]}, "`azp`"),
        ({"azp": None, "client_id": "agent-7"}, "`azp`"),
        ({"jti": 1}, "`jti`"),
        ({"cnf": {"jkt": "thumb"}}, "not known here"),
        ({"cnf": {"jwk": {}}}, "not known here"),
        ({"scope": {"mcp": 1}}, "malformed"),
        ({"scope": [1]}, "malformed"),
        ({"groups": {"a": 1}}, "malformed"),
        ({"groups": [["staff"]]}, "malformed"),
        ({"groups": [""]}, "groups cannot be read"),
        ({"groups": ["g" * 256]}, "groups cannot be read"),
        ({"groups": ["g\x1b[2J"]}, "groups cannot be read"),
        ({"groups": None, "_claim_names": {"groups": "src1"}}, "left the groups out"),
        ({"groups": None, "hasgroups": True}, "left the groups out"),
        ({"_claim_names": "groups"}, "malformed"),
    ],
)
def test_one_wrong_claim_refuses(claims: dict[str, Any], reason: str) -> None:
    assert reason in refused(GOOD.sign(changed(CLAIMS, **claims)))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["api://tickets"]},
        {"aud": ["account", "api://tickets"]},
        {"exp": NOW - 29},
        {"exp": NOW + 600.75},
        {"iat": NOW + 30},
        {"nbf": NOW - 60},
        {"sub": "a" * 255},
        {"sub": "auth0|42"},
        {"sub": "\u00c5sa Str\u00f6m"},
        {"_claim_names": {"other": "src1"}},
    ],
)
def test_these_claims_are_as_good(claims: dict[str, Any]) -> None:
    accepted(GOOD.sign(changed(CLAIMS, **claims)))


@pytest.mark.parametrize(
    "issuer", [ISSUER + "/", ISSUER.upper(), "https://login.corp.example", "", None, 1]
)
def test_a_token_of_another_issuer_is_none_of_ours(issuer: object) -> None:
    token = GOOD.sign(changed(CLAIMS, iss=issuer))
    if isinstance(issuer, str):
        assert verified(token) is None
    else:
        assert refused(token) == "token is malformed"


def test_the_rules_of_another_issuer_are_never_applied() -> None:
    with pytest.raises(InvalidTokenError, match="issuer is another"):
        check(
            read(GOOD.sign(CLAIMS)),
            rules(issuer="https://other.example"),
            connector="tickets",
            now=NOW,
            leeway=30,
        )


def test_a_token_for_one_connector_is_refused_at_another() -> None:
    assert "audience" in refused(GOOD.sign(CLAIMS), connector="time")
    assert "audience" in refused(GOOD.sign(CLAIMS), connector="nowhere")


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """RS/HS confusion: the verifier must not take the RSA key for an HMAC secret."""
    public = GOOD.key.as_pem(private=False)
    for secret in (public, public.strip(), json.dumps(GOOD.jwk()).encode()):
        header = {"alg": "HS256", "kid": GOOD.kid, "typ": "at+jwt"}
        signed = segment(header) + b"." + segment(CLAIMS)
        mac = hmac.new(secret, signed, hashlib.sha256).digest()
        assert "algorithm" in refused(signed + b"." + segment(mac))


def test_a_token_without_signature_is_refused() -> None:
    head, claims, _ = GOOD.sign(CLAIMS).split(b".")
    none = segment({"alg": "none", "kid": GOOD.kid, "typ": "at+jwt"})
    assert "algorithm" in refused(none + b"." + claims + b".")
    assert "signature" in refused(head + b"." + claims + b".")


def test_a_key_of_the_same_name_from_elsewhere_does_not_sign() -> None:
    stranger = signer(GOOD.kid, GOOD.algorithm)
    assert "signature" in refused(stranger.sign(CLAIMS, jwk=stranger.jwk()))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_changed_bit_refuses(place: int) -> None:
    parts = SIGNERS["ES256"].sign(CLAIMS).split(b".")
    for at in range(len(parts[place])):
        for bit in range(8):
            part = bytearray(parts[place])
            part[at] ^= 1 << bit
            token = b".".join([*parts[:place], bytes(part), *parts[place + 1 :]])
            with contextlib.suppress(InvalidTokenError):
                assert verified(token) is None  # it names another issuer now


def test_a_nested_or_encrypted_token_is_refused() -> None:
    assert "malformed" in refused(GOOD.sign(GOOD.sign(CLAIMS), cty="JWT"))
    assert "malformed" in refused(GOOD.sign(CLAIMS) + b".." + b"x")


def test_a_token_that_is_too_long_is_refused_unread() -> None:
    assert "too long" in refused(GOOD.sign(changed(CLAIMS, x="x" * 16_000)))


def test_two_hundred_groups_fit() -> None:
    names = [f"{number:08x}-1111-2222-3333-444455556666" for number in range(200)]
    assert len(accepted(GOOD.sign(changed(CLAIMS, groups=names))).groups) == 200


# Tokens that do not say what they are


UNTYPED = rules(untyped=True)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt"])
def test_an_untyped_token_is_accepted_where_the_operator_said_so(typ: str | None) -> None:
    accepted(GOOD.sign(CLAIMS, typ=typ), UNTYPED)
    accepted(GOOD.sign(changed(CLAIMS, token_use="access"), typ=typ), UNTYPED)
    accepted(GOOD.sign(changed(CLAIMS, typ="Bearer"), typ=typ), UNTYPED)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"s_hash": "h"},
        {"events": {}},
        {"token_use": "id"},
        {"token_use": ["access"]},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Logout"},
        {"aud": "agent-7"},
        {"aud": ["api://tickets", "agent-7"]},
        {"azp": None},
        {"scope": None},
    ],
)
def test_an_id_token_is_refused_also_there(claims: dict[str, Any]) -> None:
    audiences = {"tickets": "api://tickets", "time": "agent-7"}
    assert refused(
        GOOD.sign(changed(CLAIMS, **claims), typ="JWT"),
        rules(untyped=True, audiences=audiences),
        "time" if claims.get("aud") == "agent-7" else "tickets",
    )


@pytest.mark.parametrize("typ", ["id+jwt", "logout+jwt", "dpop+jwt", "oauth-id-jag+jwt"])
def test_a_token_that_says_it_is_something_else_is_refused_also_there(typ: str) -> None:
    assert "no access token" in refused(GOOD.sign(CLAIMS, typ=typ), UNTYPED)


# What providers do differently


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scope": ["a", "b c"]}, {"a", "b", "c"}),
        ({"scope": None, "scp": "a b"}, {"a", "b"}),
        ({"scope": None, "scp": ["a", "b"]}, {"a", "b"}),
        ({"scope": "a", "scp": "b"}, {"a"}),
        ({"scope": ""}, set()),
        ({"scope": None}, {"mcp:tickets"}),
    ],
)
def test_scopes_in_the_forms_of_providers(claims: dict[str, Any], scopes: set[str]) -> None:
    assert accepted(GOOD.sign(changed(CLAIMS, **claims))).scopes == scopes


def test_a_token_without_a_scope_claim_gets_the_configured_ones() -> None:
    unscoped = GOOD.sign(changed(CLAIMS, scope=None))
    some, none = rules(default_scopes=("tickets.read",)), rules(default_scopes=())
    assert accepted(unscoped, some).scopes == {"tickets.read"}
    assert accepted(unscoped, none).scopes == set()
    assert accepted(GOOD.sign(changed(CLAIMS, scope="")), some).scopes == set()


@pytest.mark.parametrize(
    ("claim", "claims", "names"),
    [
        ("groups", {"groups": "support"}, {"support"}),
        ("groups", {"groups": []}, set()),
        ("groups", {"groups": None}, set()),
        ("cognito:groups", {"cognito:groups": ["a"]}, {"a"}),
        ("https://corp.example/groups", {"https://corp.example/groups": ["a"]}, {"a"}),
        ("https://corp.example/groups", {}, set()),
        ("realm_access.roles", {"realm_access": {"roles": ["a"]}}, {"a"}),
        ("realm_access.roles", {"realm_access": {}}, set()),
        ("realm_access.roles", {}, set()),
        ("realm_access.roles", {"realm_access.roles": "b", "realm_access": 7}, {"b"}),
    ],
)
def test_groups_in_the_forms_of_providers(
    claim: str, claims: dict[str, Any], names: set[str]
) -> None:
    found = accepted(GOOD.sign(changed(CLAIMS, **claims)), rules(groups=GroupsClaim(claim)))
    assert found.groups == {f"group:{ISSUER}|{name}" for name in names}


@pytest.mark.parametrize("roles", [7, "x", ["x"]])
def test_groups_below_something_else_than_an_object_refuse(roles: object) -> None:
    token = GOOD.sign(changed(CLAIMS, realm_access=roles))
    assert "groups" in refused(token, rules(groups=GroupsClaim("realm_access.roles")))


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "agent-7"},
        {"sub": "agent-7@clients", "gty": "client-credentials"},
        {"sub": "0000-object", "idtyp": "app"},
    ],
)
def test_a_token_that_no_user_stands_behind(claims: dict[str, Any]) -> None:
    found = accepted(GOOD.sign(changed(CLAIMS, **claims)))
    assert (found.user, found.agent) == (None, f"{ISSUER}|agent-7")


def test_a_token_without_a_number_is_named_by_its_digest_or_as_entra_does() -> None:
    assert accepted(GOOD.sign(changed(CLAIMS, jti=None, uti="u"))).jti == "u"
    token = GOOD.sign(changed(CLAIMS, jti=None))
    assert accepted(token).jti == hashlib.sha256(token).hexdigest()


def test_the_audience_may_stand_in_another_claim() -> None:
    cognito = rules(audience_claim="client_id", audiences={"tickets": "agent-7"})
    claims = changed(CLAIMS, aud=None, client_id="agent-7", token_use="access")
    accepted(GOOD.sign(claims, typ=None), msgspec.structs.replace(cognito, untyped=True))
    assert "audience" in refused(GOOD.sign(changed(claims, client_id="x")), cognito)


# Keys


def test_without_keys_nothing_can_be_told() -> None:
    unread = Issuers({"corp": CORP})
    with pytest.raises(IssuerUnavailableError):
        unread.verify(GOOD.sign(CLAIMS), "tickets", NOW, 30)
    with pytest.raises(InvalidTokenError):
        unread.verify(GOOD.sign(changed(CLAIMS, exp=1)), "tickets", NOW, 30)


@pytest.mark.parametrize("reachable", [True, False])
def test_an_unknown_key_asks_for_new_ones(reachable: bool) -> None:
    made, asked = issuers(), []
    (issuer,) = made.every()
    issuer.reachable, issuer.on_unknown_key = reachable, lambda: asked.append(1)
    with pytest.raises(InvalidTokenError if reachable else IssuerUnavailableError):
        made.verify(signer("new", "ES256").sign(CLAIMS), "tickets", NOW, 30)
    assert asked == [1]
    with pytest.raises(InvalidTokenError):
        made.verify(GOOD.sign(CLAIMS, alg="ES256"), "tickets", NOW, 30)
    assert asked == [1]


def test_a_token_is_trusted_as_long_as_its_issuer_and_key_are() -> None:
    made = issuers()
    token = made.verify(GOOD.sign(CLAIMS), "tickets", NOW, 30)
    assert token is not None
    assert made.trusts(token)
    assert not made.trusts(replace(token, issuer="https://other.example"))
    same_name = signer(GOOD.kid, GOOD.algorithm)
    made.every()[0].keys = read_keys(jwks(same_name))
    assert not made.trusts(token)


def test_a_changed_issuer_loses_its_keys_and_an_unchanged_one_keeps_them() -> None:
    made = issuers()
    made.configure({"renamed": CORP})
    assert made.every()[0].keys is KEYS
    made.configure({"corp": rules(untyped=True)})
    assert made.every() == [made.every()[0]]
    assert made.every()[0].keys is None
    made.configure({})
    assert made.every() == []
    assert made.verify(b"garbage", "tickets", NOW, 30) is None


# Any bytes


@given(st.binary())
def test_any_bytes_are_read_or_refused(token: bytes) -> None:
    with contextlib.suppress(InvalidTokenError):
        assert isinstance(read(token), Unverified)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    header=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("alg", "kid", "typ", "crit"), JSON)
    ),
    claims=st.fixed_dictionaries({}, optional=dict.fromkeys(CLAIMS, JSON)),
)
def test_any_json_is_checked_or_refused(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    full = {"alg": "RS256", "kid": GOOD.kid, "typ": "at+jwt", **header}
    token = segment(full) + b"." + segment({**CLAIMS, **claims}) + b".c2ln"
    with contextlib.suppress(InvalidTokenError):
        check(read(token), CORP, connector="tickets", now=NOW, leeway=30)
    with contextlib.suppress(InvalidTokenError):
        assert verified(token) is None, "nobody signed it"


CALLS = {"type": "mcp_tool_call", "locations": ["api://tickets"], "tools": ["search"]}


@pytest.mark.parametrize(
    ("claim", "details"),
    [
        ([CALLS], (ToolCalls(("search",)),)),
        ([CALLS, {"type": "payment_initiation"}], (ToolCalls(("search",)),)),
        ([{"type": "payment_initiation"}], ()),
        ([{**CALLS, "locations": ["api://time"]}], ()),
        ([], ()),
    ],
)
def test_authorization_details_limit_a_token(claim: object, details: Details) -> None:
    assert accepted(GOOD.sign({**CLAIMS, "authorization_details": claim})).details == (
        details
    )


@pytest.mark.parametrize(
    "claim", [None, {}, "search", [{**CALLS, "tools": []}], [{**CALLS, "locations": 7}]]
)
def test_details_that_cannot_be_read_make_a_token_invalid(claim: object) -> None:
    said = refused(GOOD.sign({**CLAIMS, "authorization_details": claim}))
    assert said == "authorization details cannot be read"
