"""What a provider says of somebody: groups, names, and who may sign in."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.config.providers import Admission, Provider, ProviderGroups, Scim
from bascule.identity.provider_claims import (
    BadClaimsError,
    NotAdmittedError,
    claimed_groups,
    known_groups,
    person,
    require_admission,
)
from bascule.identity.provider_profiles import PROFILES, api_of, scopes_of


def provider(kind: Any = "oidc", **more: Any) -> Provider:
    return Provider(client_id="b", kind=kind, issuer="https://login.example", **more)


@pytest.mark.parametrize(
    ("claim", "claims", "groups"),
    [
        ("", {"groups": ["a", "b"]}, ["a", "b"]),
        ("", {"groups": "a"}, ["a"]),
        ("", {}, []),
        ("roles", {"groups": ["a"], "roles": ["b"]}, ["b"]),
        ("realm_access.roles", {"realm_access": {"roles": ["b"]}}, ["b"]),
        ("https://corp.example/groups", {"https://corp.example/groups": ["b"]}, ["b"]),
        ("", {"_claim_names": {"groups": "src1"}}, None),
        ("", {"hasgroups": True}, None),
        ("", {"_claim_names": {"other": "src1"}, "groups": ["a"]}, ["a"]),
    ],
)
def test_groups_are_read_where_they_are(
    claim: str, claims: dict[str, Any], groups: list[str] | None
) -> None:
    where = provider(groups=ProviderGroups(claim=claim))
    assert claimed_groups(claims, where) == groups


@pytest.mark.parametrize(
    ("claim", "value"),
    [("groups", 1), ("groups", {"a": 1}), ("groups", ["a", 1]), ("a.b", {"a": ["b"]})],
)
def test_groups_that_cannot_be_read_are_not_none(claim: str, value: object) -> None:
    claims = value if claim == "a.b" else {"groups": value}
    assert isinstance(claims, dict)
    with pytest.raises(BadClaimsError):
        claimed_groups(claims, provider(groups=ProviderGroups(claim=claim)))


def test_a_group_is_known_by_its_id_whatever_it_is_called_there() -> None:
    named = provider(groups=ProviderGroups(names={"id-1": "admins", "id-2": "staff"}))
    assert known_groups(["id-1", "id-9"], named) == {"admins"}
    # Somebody there calls a group of their own as one is called here.
    assert known_groups(["admins", "id-2"], named) == {"staff"}


def test_groups_are_told_apart_by_case() -> None:
    assert known_groups(["Admins", "admins"], provider()) == {"Admins", "admins"}


def test_too_many_groups_or_unreadable_names_are_refused() -> None:
    with pytest.raises(BadClaimsError):
        known_groups([str(it) for it in range(2001)], provider())
    for name in ("", "a\nb", "x" * 256):
        with pytest.raises(BadClaimsError):
            known_groups([name], provider())


def test_a_missing_e_mail_is_nothing_special() -> None:
    found = person({"name": "Alice", "email": 3}, ["a"], provider())
    assert (found.display_name, found.email, found.groups) == ("Alice", "", {"a"})


@pytest.mark.parametrize(
    ("kind", "admit", "claims", "groups", "good"),
    [
        ("oidc", Admission(), {}, [], True),
        ("oidc", Admission(groups=("a",)), {}, ["b"], False),
        ("oidc", Admission(groups=("a",)), {}, ["A"], False),
        ("oidc", Admission(groups=("a", "c")), {}, ["c"], True),
        ("google", Admission(domains=("corp.example",)), {"hd": "corp.example"}, [], True),
        ("google", Admission(domains=("corp.example",)), {"hd": "Corp.example"}, [], False),
        ("google", Admission(domains=("corp.example",)), {}, [], False),
        (
            "google",
            Admission(domains=("corp.example",)),
            {"email": "eve@corp.example", "email_verified": True},
            [],
            False,
        ),
        ("entra", Admission(tenants=("t-1",)), {"tid": "t-1"}, [], True),
        ("entra", Admission(tenants=("t-1",)), {"tid": "t-2"}, [], False),
        ("entra", Admission(tenants=("t-1",), groups=("a",)), {"tid": "t-1"}, [], False),
    ],
)
def test_who_may_sign_in(
    kind: Any, admit: Admission, claims: dict[str, Any], groups: list[str], good: bool
) -> None:
    where = provider(kind, admit=admit)
    found = person(claims, groups, where)
    if good:
        require_admission(found, where)
    else:
        with pytest.raises(NotAdmittedError):
            require_admission(found, where)


@pytest.mark.parametrize(
    ("kind", "scim", "found"),
    [
        ("oidc", None, ""),
        ("oidc", Scim(token="env:T"), "sub"),
        ("oidc", Scim(token="env:T", claim="employee"), "e-1"),
        ("oidc", Scim(token="env:T", claim="long"), ""),
        ("oidc", Scim(token="env:T", claim="number"), ""),
        ("entra", None, "oid"),
        ("entra", Scim(token="env:T"), "oid"),
        ("okta", Scim(token="env:T"), "sub"),
        ("cognito", Scim(token="env:T"), "sub"),
    ],
)
def test_what_provisioning_calls_somebody(kind: Any, scim: Scim | None, found: str) -> None:
    claims = {"sub": "sub", "oid": "oid", "employee": "e-1", "long": "x" * 256, "number": 7}
    assert person(claims, [], provider(kind, scim=scim)).external_id == found


def test_scopes_and_api_are_the_kinds_unless_they_are_written() -> None:
    for kind in PROFILES:
        assert scopes_of(provider(kind)) == PROFILES[kind].scopes
    assert scopes_of(provider(scopes=("openid",))) == ("openid",)
    assert api_of(provider("github", api="https://ghe.example/api/v3/")) == (
        "https://ghe.example/api/v3"
    )
