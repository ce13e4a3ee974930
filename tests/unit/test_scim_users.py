"""Users by SCIM: what providers really send, and whom it lets in or keeps out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bascule.audit.writer import LogUnavailableError
from bascule.authserver.provisioned import as_provisioned
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime
from bascule.identity import provider_claims
from bascule.identity.access_token import AccessToken
from bascule.identity.provider_claims import NotAdmittedError, Person
from bascule.identity.revocation import LONGEST_LIFE_SECONDS
from bascule.provisioning.scim.user import SCHEMA
from bascule.storage import directory, federated_users, foreigners, revocations, tokens
from bascule.storage.federated_users import FederatedUser
from bascule.storage.foreigners import Foreigner
from oauth_state import NOW
from scim import CORP, ENTRA, PATCH, Rig

OKTA_USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "Test.User@corp.example",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": True, "value": "test.user@corp.example", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}
OID = "5f1b0c2e-9c58-4f4f-9d6d-0f6f5a1e2b3c"
ENTRA_USER = {
    "schemas": [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ],
    "externalId": OID,
    "userName": "alice@corp.example",
    "active": True,
    "addresses": None,
    "displayName": "Alice",
    "emails": [{"type": "work", "value": "alice@corp.example", "primary": True}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Alice", "familyName": "A", "givenName": "Alice"},
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "IT"},
}
ENTRA_DISABLES = {"op": "Replace", "path": "active", "value": "False"}
OKTA_DISABLES = {"op": "replace", "value": {"active": False}}
OKTA_ENABLES = {"op": "replace", "value": {"active": True}}


def test_a_user_as_okta_creates_it(rig: Rig) -> None:
    answer = rig.ask("POST", "/Users", OKTA_USER)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == made["meta"]["location"]
    assert answer.headers["Content-Type"] == "application/scim+json"
    assert made == rig.done("GET", f"/Users/{made['id']}")
    kept = {"schemas", "id", "externalId", "userName", "displayName", "active", "meta"}
    assert set(made) == kept, "what is not needed is not kept, passwords first of all"
    assert "1mz050nq" not in str(rig.records.events)


def test_a_user_as_entra_creates_finds_and_changes_it(rig: Rig) -> None:
    made = rig.done("POST", "/Users", ENTRA_USER, name="azure")
    query = {"filter": 'userName eq "ALICE@corp.example"'}
    found = rig.done("GET", "/Users", params=query, name="azure")
    assert [it["id"] for it in found["Resources"]] == [made["id"]]
    changed = rig.patch(
        f"/Users/{made['id']}",
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "a@corp.example"},
        {"op": "Replace", "path": "name.familyName", "value": "B"},
        {"op": "Replace", "path": "displayName", "value": "Alice B"},
        {
            "op": "Add",
            "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            "value": "HR",
        },
        {"op": "Remove", "path": 'phoneNumbers[type eq "mobile"].value'},
        name="azure",
    )
    assert changed["displayName"] == "Alice B"
    rig.patch(
        f"/Users/{made['id']}",
        {
            "op": "replace",
            "value": {
                "name.givenName": "Al",
                "urn:ietf:params:scim:schemas:core:2.0:User:displayName": "Al",
            },
        },
        name="azure",
    )
    shown = rig.done("GET", f"/Users/{made['id']}", name="azure")
    assert (shown["displayName"], shown["active"]) == ("Al", True)


@pytest.mark.parametrize("operation", [ENTRA_DISABLES, OKTA_DISABLES])
def test_who_is_deactivated_is_out_and_comes_back(
    any_rig: Rig, operation: dict[str, Any]
) -> None:
    id = any_rig.user("alice")
    assert any_rig.signs_in("alice")
    assert any_rig.groups_of("alice") is not None
    any_rig.patch(f"/Users/{id}", operation)
    assert any_rig.groups_of("alice") is None
    assert not any_rig.signs_in("alice")
    enabled = partial(
        directory.is_enabled, user=f"user:{CORP}|alice", client_id="bascule-cli"
    )
    assert not any_rig.store.read(enabled)
    any_rig.patch(f"/Users/{id}", OKTA_ENABLES)
    assert any_rig.signs_in("alice")
    assert any_rig.groups_of("alice") == frozenset()


def test_what_ends_is_written_down_first(rig: Rig) -> None:
    id = rig.user("alice")
    rig.signs_in("alice")
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    reason = "deactivated by provisioning"
    assert rig.records.of("revoke") == [
        (
            f"user:{CORP}|alice",
            {"kind": "user", "key": "alice", "provider": "corp", "reason": reason},
        )
    ]
    assert [it["change"] for _, it in rig.records.of("provision.user")] == [
        "create",
        "change",
    ]


def test_nothing_is_done_that_cannot_be_written_down(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = rig.user("alice")

    async def fail(*_: Any, **__: Any) -> None:
        raise LogUnavailableError("full")

    monkeypatch.setattr(rig.records, "event", fail)
    for verb, body in (
        ("DELETE", None),
        ("PUT", {"userName": "b", "externalId": "b"}),
        ("PATCH", {"schemas": [PATCH], "Operations": [OKTA_DISABLES]}),
    ):
        assert rig.refused(verb, f"/Users/{id}", body)[0] == 503
    assert rig.refused("POST", "/Users", {"userName": "b", "externalId": "b"})[0] == 503
    assert rig.done("GET", "/Users")["totalResults"] == 1
    assert rig.done("GET", f"/Users/{id}")["active"] is True


def test_who_is_ended_before_the_first_login_never_comes_in(any_rig: Rig) -> None:
    any_rig.user("carol", active=False)
    dave = any_rig.user("dave")
    any_rig.done("DELETE", f"/Users/{dave}")
    assert not any_rig.signs_in("carol")
    assert not any_rig.signs_in("dave")
    any_rig.user("dave")
    assert any_rig.signs_in("dave"), "created again, and active"


def test_the_id_is_the_claim_that_the_configuration_says(rig: Rig) -> None:
    id = rig.done("POST", "/Users", ENTRA_USER, name="azure")["id"]
    assert rig.signs_in("pairwise-sub", OID, name="azure")
    rig.patch(f"/Users/{id}", ENTRA_DISABLES, name="azure")
    assert not rig.signs_in("pairwise-sub", OID, name="azure")
    assert rig.groups_of("pairwise-sub", name="azure") is None
    assert rig.records.of("revoke")[0][0] == f"user:{ENTRA}|pairwise-sub"


def test_an_answer_without_the_id_keeps_nobody_in(rig: Rig) -> None:
    id = rig.done("POST", "/Users", ENTRA_USER, name="azure")["id"]
    assert rig.signs_in("sub", OID, name="azure")
    bare = partial(
        federated_users.vouch,
        who=FederatedUser(ENTRA, "sub", "azure"),
        groups=(),
        now=UnixTime(NOW),
    )
    assert rig.store.run(bare)
    rig.patch(f"/Users/{id}", ENTRA_DISABLES, name="azure")
    assert rig.groups_of("sub", name="azure") is None
    assert not rig.store.run(bare)


def test_a_login_that_provisioning_could_never_end_is_refused(rig: Rig) -> None:
    async def told(who: FederatedUser, claimed: str) -> Person:
        server = SimpleNamespace(config=lambda: rig.config, store=rig.store)
        person = Person(groups=frozenset({claimed}))
        return await as_provisioned(cast("AuthorizationServer", server), who, person)

    nameless = FederatedUser(ENTRA, "sub", "azure")
    with pytest.raises(NotAdmittedError, match=r"scim\.claim"):
        asyncio.run(told(nameless, "admins"))
    known = replace(nameless, external_id=OID)
    assert asyncio.run(told(known, "admins")).groups == frozenset()
    rig.signs_in("sub", OID, name="azure")
    assert asyncio.run(told(nameless, "admins")).groups == frozenset(), "known from before"
    silent = FederatedUser("https://login.silent.example", "sub", "silent")
    assert asyncio.run(told(silent, "admins")).groups == {"admins"}


def test_an_activation_lifts_no_administrators_word(rig: Rig) -> None:
    id = rig.user("alice")
    rig.signs_in("alice")
    who = Foreigner("user", f"user:{CORP}|alice")
    rig.store.run(partial(foreigners.disable, who=who, now=UnixTime(NOW)))
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    rig.patch(f"/Users/{id}", OKTA_ENABLES)
    assert not rig.signs_in("alice")
    assert rig.groups_of("alice") is None
    assert who in rig.store.read(foreigners.every)
    rig.store.run(partial(foreigners.enable, who=who, now=UnixTime(NOW)))
    assert rig.signs_in("alice")


def test_groups_that_cannot_be_read_keep_nobody_in(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = rig.user("alice")
    rig.group("one", id)
    rig.group("two", id)
    rig.signs_in("alice")
    monkeypatch.setattr(provider_claims, "MAX_GROUPS", 1)  # as where names were dropped
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    assert rig.groups_of("alice") is None
    body = {"schemas": [PATCH], "Operations": [OKTA_ENABLES]}
    assert rig.refused("PATCH", f"/Users/{id}", body) == (400, "invalidValue")
    assert rig.groups_of("alice") is None
    rig.done("DELETE", f"/Users/{id}")


def test_an_administrators_word_about_a_stranger_outlives_provisionings(rig: Rig) -> None:
    """Somebody disabled who never signed in, and of whom the provider speaks then."""
    id = rig.user("alice")
    who = Foreigner("user", f"user:{CORP}|alice")
    rig.store.run(partial(foreigners.disable, who=who, now=UnixTime(NOW)))
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    rig.patch(f"/Users/{id}", OKTA_ENABLES)
    later = UnixTime(NOW + LONGEST_LIFE_SECONDS + 1)
    other = partial(revocations.revoke, kind="user", key="user:bob", reason="r", now=later)
    rig.store.run(other)  # which sweeps what has ended
    assert who in rig.store.read(foreigners.every)
    assert not rig.signs_in("alice")


def test_an_administrator_can_let_in_again_whom_provisioning_ended(rig: Rig) -> None:
    id = rig.user("alice")
    rig.signs_in("alice")
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    who = Foreigner("user", f"user:{CORP}|alice")
    assert rig.store.read(partial(foreigners.is_kept_out, who=who))
    assert rig.store.run(partial(foreigners.enable, who=who, now=UnixTime(NOW)))
    assert rig.signs_in("alice")
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    assert not rig.signs_in("alice"), "the next word of the provider counts again"


def issued(rig: Rig, jti: str) -> AccessToken:
    """Give a token of Bascule's own, as it is issued now."""
    number = rig.store.run(
        partial(
            tokens.register,
            jti=jti,
            user=f"user:{CORP}|alice",
            client_id="bascule-cli",
            connector="desk",
            scope="",
            issued_at=NOW,
            expires_at=UnixTime(NOW + 600),
            grant_id=None,
        )
    )
    assert number is not None
    return token(number, jti=jti)


def test_what_was_issued_before_stays_revoked(rig: Rig) -> None:
    id = rig.user("alice")
    rig.signs_in("alice")
    before = issued(rig, "before")
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    rig.patch(f"/Users/{id}", OKTA_ENABLES)
    after = issued(rig, "after")
    revoked = rig.store.read(directory.load).revocations
    assert revoked.covers(before, "desk")
    assert not revoked.covers(after, "desk")


def test_no_token_of_the_issuer_itself_counts_while_somebody_is_out(rig: Rig) -> None:
    id = rig.user("alice")
    rig.signs_in("alice")
    rig.patch(f"/Users/{id}", OKTA_DISABLES)
    later = token(None, issued_at=UnixTime(NOW + 3600))
    assert rig.store.read(directory.load).revocations.covers(later, "desk")
    rig.patch(f"/Users/{id}", OKTA_ENABLES)
    assert not rig.store.read(directory.load).revocations.covers(later, "desk")


def test_a_put_that_leaves_something_out_brings_nobody_back(rig: Rig) -> None:
    id = rig.user("alice", active=False)
    found = rig.done("PUT", f"/Users/{id}", {"userName": "alice"})
    assert (found["active"], found["externalId"]) == (False, "alice")
    assert not rig.signs_in("alice")
    rig.done("PUT", f"/Users/{id}", {"userName": "alice", "active": True})
    assert rig.signs_in("alice")


NO_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"op": "remove", "path": "active"}, "mutability"),
    ({"op": "remove", "path": "externalId"}, "mutability"),
    ({"op": "replace", "path": "active", "value": "no"}, "invalidValue"),
    ({"op": "replace", "path": "active", "value": 0}, "invalidValue"),
    ({"op": "replace", "path": "activ", "value": False}, "invalidPath"),
    ({"op": "replace", "path": "active.value", "value": False}, "invalidPath"),
    ({"op": "replace", "path": "userName", "value": " "}, "invalidValue"),
    ({"op": "replace", "path": "externalId", "value": ""}, "invalidValue"),
    ({"op": "replace", "path": "displayName", "value": "x" * 256}, "invalidValue"),
    ({"op": "replace", "path": "displayName", "value": "\u0000"}, "invalidValue"),
    ({"op": "replace", "value": {"active": False, "Active": True}}, "invalidSyntax"),
    ({"op": "replace", "value": {"id": "another"}}, "mutability"),
    ({"op": "replace", "value": {SCHEMA: {"active": False}}}, "invalidSyntax"),
    ({"op": "replace", "path": f"{SCHEMA}.active", "value": False}, "invalidPath"),
]


def test_what_is_no_change_of_a_user_changes_nothing(rig: Rig) -> None:
    id = rig.user("alice")
    before = rig.done("GET", f"/Users/{id}")
    for operation, kind in NO_CHANGES:
        good = {"op": "replace", "path": "displayName", "value": "half"}
        body = {"schemas": [PATCH], "Operations": [good, operation]}
        assert rig.refused("PATCH", f"/Users/{id}", body) == (400, kind), operation
    assert rig.done("GET", f"/Users/{id}") == before


def test_who_could_not_be_told_apart_is_not_created(rig: Rig) -> None:
    refused = rig.ask("POST", "/Users", {"userName": "alice"}).json()
    assert "claim `sub`" in refused["detail"]
    by_mail = {**ENTRA_USER, "externalId": "alice"}
    refused = rig.ask("POST", "/Users", by_mail, name="azure").json()
    assert "map `objectId` to `externalId`" in refused["detail"]
    assert rig.done("GET", "/Users", name="azure")["totalResults"] == 0


def token(
    number: int | None, *, jti: str = "jti", issued_at: UnixTime = NOW
) -> AccessToken:
    return AccessToken(
        issuer=None,
        user=f"user:{CORP}|alice",
        agent="bascule-cli",
        jti=jti,
        scopes=frozenset(),
        issue_number=number,
        issued_at=issued_at,
        expires_at=UnixTime(issued_at + 600),
    )
