"""Which tokens of a platform stand for a workload, and which for none."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.clock import UnixTime
from bascule.config.workloads import Workload
from bascule.identity.foreign_token import read
from bascule.identity.issuer_documents import read_keys
from bascule.identity.workload import (
    NoWorkloadError,
    ShownWorkload,
    candidates,
    fits,
    verify_workload,
)
from foreign import changed, jwks, signer

NOW = UnixTime(1_900_000_000)
ISSUER = "https://kubernetes.default.svc"
PLATFORM = signer("k", "ES256")
KEY = read_keys(jwks(PLATFORM)).find("k", "ES256")
OURS = frozenset({"https://gate.example", "https://gate.example/oauth/token"})
SUBJECT = "system:serviceaccount:shop:agent"
# As a projected service account token of Kubernetes has them.
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": SUBJECT,
    "aud": ["https://gate.example"],
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "exp": NOW + 3000,
    "jti": "5f1c",
    "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "agent"}},
}
RULES = Workload(
    issuer=ISSUER,
    agent="shop-agent",
    subject="system:serviceaccount:shop:*",
    claims={"kubernetes.io": {"namespace": "shop"}},
)


def shown(
    claims: dict[str, Any] = CLAIMS, rules: Workload = RULES, **header: Any
) -> ShownWorkload:
    token = PLATFORM.sign(claims, **{"typ": None, **header})
    assert KEY is not None
    return verify_workload(
        read(token), KEY, ("shop", rules), audiences=OURS, now=NOW, leeway=30
    )


def test_a_service_account_is_its_agent() -> None:
    found = shown()
    assert (found.name, found.agent, found.subject) == ("shop", "shop-agent", SUBJECT)
    assert found.issuer == ISSUER


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"},
        {"sub": "system:serviceaccount:shopping:agent"},
        {"sub": None},
        {"sub": ["system:serviceaccount:shop:agent"]},
        {"sub": "system:serviceaccount:shop:agent\nanother line"},
        {"aud": "https://gate.example.evil"},
        {"aud": ["https://gate.example", "https://other.example"]},
        {"aud": []},
        {"aud": None},
        {"exp": NOW - 30},
        {"exp": NOW + 86_401},
        {"exp": None},
        {"exp": True},
        {"exp": str(NOW + 60)},
        {"iat": NOW + 31},
        {"nbf": NOW + 31},
        {"kubernetes.io": {"namespace": "shops"}},
        {"kubernetes.io": {}},
        {"kubernetes.io": "shop"},
        {"kubernetes.io": None},
        {"nonce": "of a login"},
        {"scope": "of an access token"},
        {"events": {}},
        {"act": {"sub": "somebody"}},
        {"cnf": {"jkt": "a key"}},
    ],
    ids=str,
)
def test_any_other_claim_is_for_nobody(change: dict[str, Any]) -> None:
    with pytest.raises(NoWorkloadError):
        shown(changed(CLAIMS, **change))


@pytest.mark.parametrize("typ", ["at+jwt", "oauth-id-jag+jwt", "logout+jwt", "dpop+jwt"])
def test_tokens_for_something_else_are_refused(typ: str) -> None:
    with pytest.raises(NoWorkloadError, match="no workload's token"):
        shown(typ=typ)


def test_what_an_extension_changes_is_not_understood() -> None:
    for header in ({"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}):
        with pytest.raises(NoWorkloadError, match="extensions"):
            shown(**header)


def test_only_workloads_of_the_issuer_that_is_named_come_into_question() -> None:
    elsewhere = Workload(issuer="https://other.example", agent="a", subject=SUBJECT)
    both = {"shop": RULES, "elsewhere": elsewhere}
    assert candidates(read(PLATFORM.sign(CLAIMS, typ=None)), both) == {"shop": RULES}


def test_a_forged_signature_is_refused() -> None:
    forger = signer("k", "ES256")
    assert KEY is not None
    with pytest.raises(NoWorkloadError, match="signature"):
        verify_workload(
            read(forger.sign(CLAIMS, typ=None)),
            KEY,
            ("shop", RULES),
            audiences=OURS,
            now=NOW,
            leeway=30,
        )


def test_an_audience_of_its_own_is_the_only_one() -> None:
    rules = Workload(issuer=ISSUER, agent="a", subject=SUBJECT, audience="bascule")
    assert shown(changed(CLAIMS, aud="bascule"), rules).agent == "a"
    with pytest.raises(NoWorkloadError, match="aud"):
        shown(CLAIMS, rules)


def test_a_token_counts_once_by_its_id_or_by_all_of_it() -> None:
    assert shown().once == shown(changed(CLAIMS, iat=NOW - 20)).once
    assert shown(changed(CLAIMS, jti="5f1d")).once != shown().once
    nameless = changed(CLAIMS, jti=None)
    assert shown(nameless).once == shown(nameless).once
    assert shown(nameless).once != shown(changed(nameless, iat=NOW - 20)).once
    other = "https://other.example"
    same_id = shown(
        changed(CLAIMS, iss=other), Workload(issuer=other, agent="a", subject=SUBJECT)
    )
    assert same_id.once != shown().once, "ids are an issuer's own"
    assert shown().expires_at > CLAIMS["exp"] + 30, "remembered for as long as it counts"
    again = Workload(issuer=ISSUER, agent="a", subject=SUBJECT, once=False)
    assert shown(rules=again).once is None


# As the platforms write them: what is matched there, and a neighbour that must not fit.
PLATFORMS: dict[str, tuple[dict[str, Any], Workload, dict[str, Any]]] = {
    "kubernetes": (
        {
            "jti": "5f1c", "nbf": NOW, "sub": "system:serviceaccount:shop:agent",
            "kubernetes.io": {
                "namespace": "shop", "node": {"name": "n1", "uid": "1"},
                "pod": {"name": "agent-1", "uid": "2"},
                "serviceaccount": {"name": "agent", "uid": "3"}, "warnafter": NOW + 9,
            },
        },
        RULES,
        {"kubernetes.io": {"namespace": "shop-2", "serviceaccount": {"name": "agent"}}},
    ),
    "github": (
        {
            "jti": "a-b", "nbf": NOW - 600, "ref": "refs/heads/main", "actor": "alice",
            "sub": "repo:corp/app:environment:production", "repository": "corp/app",
            "repository_id": "74", "repository_owner_id": "65", "run_attempt": "1",
            "job_workflow_ref": "corp/app/.github/workflows/x.yml@refs/heads/main",
        },
        Workload(
            issuer=ISSUER, agent="shop-agent", claims={"repository_id": "74"},
            subject="repo:corp/app:environment:production",
        ),
        {"sub": "repo:corp/app:environment:production-2"},
    ),
    "google": (
        {
            "sub": "1137", "azp": "1137", "email": "a@p.iam.example",
            "email_verified": True, "aud": "https://gate.example",
        },
        Workload(issuer=ISSUER, agent="shop-agent", subject="1137"),
        {"sub": "11370"},
    ),
    "azure": (
        {
            "aud": "https://gate.example", "sub": "oid-1", "oid": "oid-1", "tid": "t-1",
            "azp": "app-1", "azpacr": "2", "rh": "x", "uti": "u", "ver": "2.0", "nbf": NOW,
        },
        Workload(
            issuer=ISSUER, agent="shop-agent", subject="oid-1", claims={"tid": "t-1"}
        ),
        {"tid": "t-2"},
    ),
    "spiffe": (
        {"jti": None, "iat": None, "nbf": None, "sub": "spiffe://corp.example/ns/shop/a"},
        Workload(
            issuer=ISSUER, agent="shop-agent", subject="spiffe://corp.example/ns/shop/*"
        ),
        {"sub": "spiffe://corp.example/ns/shopping/a"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("typ", [None, "JWT"])
def test_tokens_of_platforms_are_of_their_workload_alone(
    platform: str, typ: str | None
) -> None:
    more, rules, neighbour = PLATFORMS[platform]
    claims = changed({**CLAIMS, "kubernetes.io": None}, **more)
    assert shown(claims, rules, typ=typ).agent == "shop-agent"
    with pytest.raises(NoWorkloadError, match="claims"):
        shown(changed(claims, **neighbour), rules, typ=typ)


@pytest.mark.parametrize(
    "io",
    [
        None,
        "shop",
        [],
        {},
        ["namespace"],
        {"namespace": ["shop"]},
        {"namespace": None},
        {"Namespace": "shop"},
        {"serviceaccount": {"namespace": "shop"}},
    ],
    ids=str,
)
def test_a_claim_within_a_claim_has_to_stand_there(io: object) -> None:
    with pytest.raises(NoWorkloadError):
        shown(changed(CLAIMS, **{"kubernetes.io": io}))


def test_a_workload_that_matches_nothing_matches_nobody() -> None:
    with pytest.raises(NoWorkloadError):
        shown(rules=Workload(issuer=ISSUER, agent="a"))


@pytest.mark.parametrize(
    ("pattern", "text", "fitting"),
    [
        ("repo:corp/app:ref:refs/heads/main", "repo:corp/app:ref:refs/heads/main", True),
        ("repo:corp/app:ref:refs/heads/main", "repo:corp/app:ref:refs/heads/main2", False),
        ("repo:corp/*", "repo:corp/app:pull_request", True),
        ("repo:corp/*", "repo:corporate/app", False),
        ("spiffe://corp/*/agent", "spiffe://corp/ns/shop/agent", True),
        ("spiffe://corp/*/agent", "spiffe://corp/agent", False),
        ("spiffe://corp/*/agent", "spiffe://corp/ns/shop/agents", False),
        ("repo:corp/*:environment:production", "repo:corp/app:environment:test", False),
        ("a*a", "a", False),
        ("*ab*ab", "ab", False),
        ("*ab*ab", "abab", True),
        ("[a-z]?", "b1", False),
        ("", "", True),
    ],
)
def test_patterns(pattern: str, text: str, fitting: bool) -> None:
    assert fits(pattern, text) is fitting


@pytest.mark.parametrize("value", [None, True, 1, ["a"], {"a": "b"}])
def test_only_texts_fit(value: object) -> None:
    assert not fits("*", value)
