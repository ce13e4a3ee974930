"""Groups by SCIM: what providers really send, and what members may do by it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bascule.config.load import load
from bascule.identity.provider_claims import NotAdmittedError
from bascule.storage import counters, revocations
from scim import CONFIG, CORP, PATCH, Rig

OID = "5f1b0c2e-9c58-4f4f-9d6d-0f6f5a1e2b3c"


def test_who_is_in_a_group_has_it_and_who_leaves_has_it_no_more(rig: Rig) -> None:
    alice, bob = rig.user("alice"), rig.user("bob")
    assert rig.signs_in("alice")
    support = rig.group("support", alice)
    assert rig.groups_of("alice") == {"support"}
    entra_adds = {"op": "Add", "path": "members", "value": [{"value": bob}]}
    rig.patch(f"/Groups/{support}", entra_adds)
    rig.signs_in("bob")
    rig.patch(f"/Groups/{support}", entra_adds)  # again, as Entra does
    entra_removes = {"op": "Remove", "path": "members", "value": [{"value": alice}]}
    rig.patch(f"/Groups/{support}", entra_removes)
    assert rig.groups_of("alice") == frozenset()
    members = rig.done("GET", f"/Groups/{support}")["members"]
    assert [it["value"] for it in members] == [bob]


def test_members_are_removed_by_a_filter_and_by_none(rig: Rig) -> None:
    alice, bob = rig.user("alice"), rig.user("bob")
    support = rig.group("support", alice, bob)
    rig.signs_in("alice")
    rig.patch(f"/Groups/{support}", {"op": "remove", "path": f'members[value eq "{bob}"]'})
    members = rig.done("GET", f"/Groups/{support}")["members"]
    assert [it["value"] for it in members] == [alice]
    rig.patch(f"/Groups/{support}", {"op": "remove", "path": "members"})
    assert "members" not in rig.done("GET", f"/Groups/{support}")


def test_a_push_of_okta_renames_and_replaces(any_rig: Rig) -> None:
    alice, bob = any_rig.user("alice"), any_rig.user("bob")
    support = any_rig.group("support", alice)
    any_rig.signs_in("alice")
    any_rig.patch(
        f"/Groups/{support}",
        {"op": "replace", "value": {"id": support, "displayName": "Support Desk"}},
    )
    assert any_rig.groups_of("alice") == {"Support Desk"}
    any_rig.patch(
        f"/Groups/{support}",
        {"op": "replace", "path": "members", "value": [{"value": bob, "display": "b"}]},
    )
    assert any_rig.groups_of("alice") == frozenset()
    body = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": support,
        "displayName": "support",
        "members": [{"value": alice, "display": "alice@corp.example"}],
    }
    any_rig.done("PUT", f"/Groups/{support}", body)
    assert any_rig.groups_of("alice") == {"support"}
    any_rig.done("DELETE", f"/Groups/{support}")
    assert any_rig.groups_of("alice") == frozenset()


def test_groups_wait_for_the_first_login(rig: Rig) -> None:
    rig.group("support", rig.user("alice"))
    assert rig.groups_of("alice") is None
    rig.signs_in("alice")
    rig.signs_in("nobody here")
    assert rig.groups_of("alice") == {"support"}
    assert rig.groups_of("nobody here") == frozenset(), "the claim says nothing"


def test_names_of_the_configuration_choose_and_rename(rig: Rig) -> None:
    alice = rig.user(OID, name="azure")
    rig.signs_in("sub", OID, name="azure")
    rig.group("Engineers", alice, name="azure")
    rig.group("All of the company", alice, name="azure")
    assert rig.groups_of("sub", name="azure") == {"engineers"}


def test_a_user_that_is_deleted_is_in_no_group(any_rig: Rig) -> None:
    alice = any_rig.user("alice")
    support = any_rig.group("support", alice)
    any_rig.signs_in("alice")
    any_rig.done("DELETE", f"/Users/{alice}")
    assert "members" not in any_rig.done("GET", f"/Groups/{support}")
    any_rig.user("alice")
    assert any_rig.signs_in("alice")
    assert any_rig.groups_of("alice") == frozenset()


def test_another_id_of_a_user_takes_its_groups_along(rig: Rig) -> None:
    alice = rig.user("alice")
    rig.group("support", alice)
    rig.signs_in("alice")
    rig.signs_in("other")
    rig.patch(f"/Users/{alice}", {"op": "replace", "path": "externalId", "value": "other"})
    assert rig.groups_of("alice") is None, "nobody provisions it any more"
    assert rig.groups_of("other") == {"support"}


def test_two_groups_of_one_name_are_refused_and_nothing_is_half_done(rig: Rig) -> None:
    alice = rig.user("alice")
    rig.group("support", alice)
    admins = rig.group("admins")
    rig.signs_in("alice")
    assert rig.refused("POST", "/Groups", {"displayName": "support"}) == (409, "uniqueness")
    body = {
        "schemas": [PATCH],
        "Operations": [
            {"op": "add", "path": "members", "value": [{"value": alice}]},
            {"op": "replace", "path": "displayName", "value": "support"},
        ],
    }
    assert rig.refused("PATCH", f"/Groups/{admins}", body) == (409, "uniqueness")
    assert "members" not in rig.done("GET", f"/Groups/{admins}")
    assert rig.groups_of("alice") == {"support"}
    plain = rig.user("x", name="azure", externalId=OID)
    rig.group("support", plain, name="azure")


def test_a_change_of_many_members_is_recorded_and_raises_the_directory_once(
    any_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.provisioning.scim.group_change.IDS_IN_RECORD", 2)
    monkeypatch.setattr("bascule.storage.pieces.SIZE", 2)
    ids = [any_rig.user(f"user{number}") for number in range(5)]
    for number in range(5):
        any_rig.signs_in(f"user{number}")
    read = partial(counters.value, name="generation")
    before = any_rig.store.read(read)
    support = any_rig.group("support", *ids)
    assert any_rig.store.read(read) == before + 1
    assert all(any_rig.groups_of(f"user{number}") == {"support"} for number in range(5))
    added = [it["added"] for _, it in any_rig.records.of("provision.group")]
    assert [len(it.split()) for it in added] == [2, 2, 1]
    any_rig.patch(f"/Groups/{support}", {"op": "replace", "value": {"displayName": "desk"}})
    assert all(any_rig.groups_of(f"user{number}") == {"desk"} for number in range(5))
    assert any_rig.records.of("provision.group")[-1][1]["renamed_from"] == "support"


def test_who_is_in_no_group_any_more_that_may_sign_in_ends(rig: Rig) -> None:
    rig.config = load(
        CONFIG.replace("admit.everybody = true", 'admit.groups = ["staff", "guests"]'),
        source="test",
    )
    alice, bob = rig.user("alice"), rig.user("bob")
    staff, other = rig.group("staff", alice, bob), rig.group("other", alice)
    guests = rig.group("guests", bob)
    rig.signs_in("alice")
    rig.signs_in("bob")
    rig.patch(f"/Groups/{other}", {"op": "remove", "path": "members"})
    assert rig.records.of("revoke") == []
    rig.done("DELETE", f"/Groups/{staff}")
    (ended,) = rig.records.of("revoke")
    assert ended[0] == f"user:{CORP}|alice"
    assert [it.key for it in rig.store.read(revocations.every)] == [ended[0]]
    rig.patch(f"/Groups/{guests}", {"op": "replace", "value": {"displayName": "x"}})
    assert len(rig.records.of("revoke")) == 2
    with pytest.raises(NotAdmittedError):  # left after the login looked at the groups
        rig.signs_in("alice")
    rig.group("staff", alice)
    assert rig.signs_in("alice"), "nobody is kept out by it for longer"


NO_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"op": "add", "path": "members", "value": [{"value": "nobody"}]}, "invalidValue"),
    ({"op": "add", "path": "members", "value": "x"}, "invalidValue"),
    (
        {"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}]},
        "invalidValue",
    ),
    ({"op": "add", "path": 'members[value eq "x"]', "value": []}, "invalidPath"),
    ({"op": "remove", "path": 'members[display eq "x"]'}, "invalidPath"),
    ({"op": "remove", "path": 'members[value sw "x"]'}, "invalidFilter"),
    ({"op": "remove", "path": "displayName"}, "mutability"),
    ({"op": "replace", "path": "displayName", "value": ""}, "invalidValue"),
    ({"op": "replace", "path": "displayName", "value": "a\nb"}, "invalidValue"),
    ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
    ({"op": "replace", "path": "owner", "value": "x"}, "invalidPath"),
    ({"op": "move", "path": "members"}, "invalidSyntax"),
    ({"op": "remove"}, "noTarget"),
]


def test_what_is_no_change_of_a_group_changes_nothing(rig: Rig) -> None:
    alice = rig.user("alice")
    support = rig.group("support", alice)
    before = rig.done("GET", f"/Groups/{support}")
    for operation, kind in NO_CHANGES:
        body = {"schemas": [PATCH], "Operations": [operation]}
        found = rig.refused("PATCH", f"/Groups/{support}", body)
        assert found == (400, kind), operation
    assert rig.done("GET", f"/Groups/{support}") == before


def test_groups_are_found_by_what_providers_look_for(rig: Rig) -> None:
    alice = rig.user("alice")
    support = rig.group("support", alice)
    rig.group("others")
    for text, found in (
        ('displayName eq "support"', [support]),
        (f'id eq "{support}" and members eq "{alice}"', [support]),
        (f'members[value eq "{alice}"]', None),
        (f'members.value eq "{alice}"', [support]),
        ('displayName eq "Support"', []),
    ):
        params = {"filter": text, "excludedAttributes": "members"}
        if found is None:
            refused = rig.refused("GET", "/Groups", params=params)
            assert refused == (400, "invalidFilter")
            continue
        page = rig.done("GET", "/Groups", params=params)["Resources"]
        assert [it["id"] for it in page] == found, text
        assert all("members" not in it for it in page)


def test_where_the_claim_says_the_groups_there_are_none_here(rig: Rig) -> None:
    rig.user("alice", name="plain")
    assert rig.refused("GET", "/Groups", name="plain")[0] == 404
    assert rig.refused("POST", "/Groups", {"displayName": "a"}, name="plain")[0] == 404
    rig.signs_in("alice", name="plain")
    assert rig.groups_of("alice", name="plain") == {"of the claim"}
    types = rig.done("GET", "/ResourceTypes", name="plain")
    assert [it["id"] for it in types["Resources"]] == ["User"]
