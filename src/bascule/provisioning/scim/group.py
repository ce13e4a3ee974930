"""The Group resource (RFC 7643 §4.2): read, changed and shown; nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bascule.clock import UnixTime
from bascule.provisioning.scim.body import CORE, Body, members, optional_text, text
from bascule.provisioning.scim.errors import ScimError, bad_path, bad_value
from bascule.provisioning.scim.filters import comparisons
from bascule.provisioning.scim.frame import meta
from bascule.provisioning.scim.patch import Edit
from bascule.storage.scim_groups import ScimGroup, WantedGroup
from bascule.storage.scim_members import MemberChange

SCHEMA = f"{CORE}Group"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group as it shall be, and what becomes of its members."""

    group: ScimGroup
    members: MemberChange


def new_group(body: Body, *, issuer: str, id: str, now: UnixTime) -> GroupChange:
    """Read a group that is to be created. Raises `ScimError`."""
    group = ScimGroup(
        id=id,
        issuer=issuer,
        external_id=optional_text(body.get("externalid"), "externalId"),
        display_name=text(body.get("displayname"), "displayName"),
        created_at=now,
        changed_at=now,
    )
    return GroupChange(group, MemberChange(_ids(body.get("members")), only=True))


def replaced(group: ScimGroup, body: Body, *, now: UnixTime) -> GroupChange:
    """Give a group as a PUT wants it: members that it leaves out are none. Raises."""
    external_id = body.get("externalid")
    changed = replace(
        group,
        external_id=group.external_id
        if external_id is None
        else optional_text(external_id, "externalId"),
        display_name=text(body.get("displayname"), "displayName"),
    )
    wanted = MemberChange(_ids(body.get("members")), only=True)
    return GroupChange(_next(changed, now), wanted)


def patched(group: ScimGroup, edits: Iterable[Edit], *, now: UnixTime) -> GroupChange:
    """Give a group as a PATCH wants it. Raises `ScimError`."""
    wanted, found = MemberChange(), group
    for edit in edits:
        if edit.name == "members":
            wanted = _after(wanted, edit)
        else:
            found = replace(found, **_change(edit, group))
    return GroupChange(_next(found, now), wanted)


def _change(edit: Edit, group: ScimGroup) -> dict[str, Any]:
    gone = edit.op == "remove"
    if edit.within or edit.chosen is not None:
        raise bad_path(f"`{edit.name}` has no parts")
    match edit.name:
        case "displayname" if gone:
            raise ScimError(400, "`displayName` cannot be removed", "mutability")
        case "displayname":
            return {"display_name": text(edit.value, "displayName")}
        case "externalid":
            named = "" if gone else optional_text(edit.value, "externalId")
            return {"external_id": named}
        case "id" if edit.value != group.id or gone:
            raise ScimError(400, "`id` cannot be changed", "mutability")
        case "" | "id" | "schemas" | "meta":
            return {}
        case _:
            raise bad_path("`path` leads to no attribute of a group")


def _after(wanted: MemberChange, edit: Edit) -> MemberChange:
    """Give what becomes of the members with one edit more."""
    if edit.within:
        raise bad_path("members are added and removed whole")
    if edit.chosen is not None:
        if edit.op != "remove":
            raise bad_path("`members[…]` is for `remove`: add members by their `value`")
        return _without(wanted, frozenset({_chosen(edit.chosen)}))
    if edit.op == "remove":
        if edit.value in (None, [], {}):
            return MemberChange(only=True)
        return _without(wanted, _ids(edit.value))
    ids = _ids(edit.value)
    if edit.op == "replace":
        return MemberChange(ids, only=True)
    return MemberChange(wanted.added | ids, wanted.removed - ids, wanted.only)


def _without(wanted: MemberChange, ids: frozenset[str]) -> MemberChange:
    return MemberChange(wanted.added - ids, wanted.removed | ids, wanted.only)


def _chosen(text: str) -> str:
    found = comparisons(text)
    value = found.get("value")
    if len(found) != 1 or not isinstance(value, str):
        raise bad_path('members are chosen by `members[value eq "ID"]`')
    return value


def _ids(value: object) -> frozenset[str]:
    """Give the ids of members. Raises `ScimError` for what is none, and for groups."""
    listed = [value] if isinstance(value, dict) else value
    if listed is None:
        return frozenset()
    if not isinstance(listed, list):
        raise bad_value("`members` must be a list")
    return frozenset(map(_id, listed))


def _id(value: object) -> str:
    member = members(value)
    if str(member.get("type", "User")).lower() == "group":
        raise bad_value("groups within groups are not taken: provision their users")
    return text(member.get("value"), "value")


def _next(group: ScimGroup, now: UnixTime) -> ScimGroup:
    return replace(group, changed_at=now, version=group.version + 1)


def wanted(filter_text: str | None) -> WantedGroup:
    """Read which groups are asked for. Raises `ScimError`."""
    if filter_text is None:
        return WantedGroup()
    found: dict[str, str] = {}
    for name, value in comparisons(filter_text).items():
        field = _FILTERED.get(name, "")
        if not field or field in found or not isinstance(value, str):
            raise ScimError(
                400,
                "groups are found by id, displayName, externalId and members",
                "invalidFilter",
            )
        found[field] = value
    return WantedGroup(**found)


_FILTERED = {
    "id": "id",
    "displayname": "display_name",
    "externalid": "external_id",
    "members": "member",
    "members.value": "member",
}


def shown(group: ScimGroup, found: Sequence[str], base: str) -> dict[str, Any]:
    """Give a group as its provider sees it; `found`: ids of its members."""
    external_id = {"externalId": group.external_id} if group.external_id else {}
    listed = [{"value": id, "$ref": f"{base}/Users/{id}", "type": "User"} for id in found]
    return {
        "schemas": [SCHEMA],
        "id": group.id,
        **external_id,
        "displayName": group.display_name,
        **({"members": listed} if listed else {}),
        "meta": meta(
            base, "Group", group.id, group.created_at, group.changed_at, group.version
        ),
    }
