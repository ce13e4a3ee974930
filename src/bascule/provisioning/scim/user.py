"""The User resource (RFC 7643 §4.1): read, changed and shown; nothing is kept here.

Of all that providers send, what Bascule needs is kept: names, whether it is active, and the
id by which the provider calls it. Addresses and telephone numbers are nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bascule.clock import UnixTime
from bascule.config.providers import Provider
from bascule.identity.provider_profiles import external_id_claim
from bascule.provisioning.scim.body import CORE, Body, optional_text, text, truth
from bascule.provisioning.scim.errors import ScimError, bad_path, bad_value
from bascule.provisioning.scim.filters import comparisons
from bascule.provisioning.scim.frame import meta
from bascule.provisioning.scim.patch import Edit
from bascule.storage.scim_users import ScimUser, Wanted

SCHEMA = f"{CORE}User"
_NOT_KEPT = frozenset(
    {
        "addresses",
        "emails",
        "entitlements",
        "groups",
        "ims",
        "locale",
        "name",
        "nickname",
        "password",
        "phonenumbers",
        "photos",
        "preferredlanguage",
        "profileurl",
        "roles",
        "timezone",
        "title",
        "usertype",
        "x509certificates",
    }
)
"""Attributes of the standard that are taken and forgotten."""
_READ_ONLY = frozenset({"id", "meta", "schemas"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_user(
    body: Body, *, issuer: str, provider: Provider, id: str, now: UnixTime
) -> ScimUser:
    """Read a user that is to be created. Raises `ScimError`."""
    active = body.get("active")
    return ScimUser(
        id=id,
        issuer=issuer,
        external_id=_external_id(body.get("externalid"), provider),
        user_name=text(body.get("username"), "userName"),
        display_name=optional_text(body.get("displayname"), "displayName"),
        active=True if active is None else truth(active, "active"),
        created_at=now,
        changed_at=now,
    )


def replaced(user: ScimUser, body: Body, *, provider: Provider, now: UnixTime) -> ScimUser:
    """Give a user as a PUT wants it. Raises `ScimError`.

    `active` and `externalId` stay as they are when they are missing: nobody comes back, or
    is another one, because a client left something out.
    """
    active, external_id = body.get("active"), body.get("externalid")
    return _next(
        user,
        now,
        user_name=text(body.get("username"), "userName"),
        display_name=optional_text(body.get("displayname"), "displayName"),
        active=user.active if active is None else truth(active, "active"),
        external_id=user.external_id
        if external_id is None
        else _external_id(external_id, provider),
    )


def patched(
    user: ScimUser, edits: Iterable[Edit], *, provider: Provider, now: UnixTime
) -> ScimUser:
    """Give a user as a PATCH wants it. Raises `ScimError`."""
    changes: dict[str, Any] = {}
    for edit in edits:
        changes |= _change(edit, user, provider)
    return _next(user, now, **changes)


def _change(edit: Edit, user: ScimUser, provider: Provider) -> dict[str, Any]:
    gone = edit.op == "remove"
    if edit.name in _NOT_KEPT or not edit.name:
        return {}
    if edit.within or edit.chosen is not None:
        raise bad_path(f"`{edit.name}` has no parts")
    match edit.name:
        case "displayname":
            named = "" if gone else optional_text(edit.value, "displayName")
            return {"display_name": named}
        case "username" | "externalid" | "active" if gone:
            raise ScimError(400, f"`{edit.name}` cannot be removed", "mutability")
        case "username":
            return {"user_name": text(edit.value, "userName")}
        case "externalid":
            return {"external_id": _external_id(edit.value, provider)}
        case "active":
            return {"active": truth(edit.value, "active")}
        case "id" if edit.value == user.id:
            return {}
        case "schemas" | "meta" if not gone:
            return {}
        case name if name in _READ_ONLY:
            raise ScimError(400, f"`{name}` cannot be changed", "mutability")
        case _:
            raise bad_path("`path` leads to no attribute of a user")


def _next(user: ScimUser, now: UnixTime, **changes: Any) -> ScimUser:
    """Give the next version; the same one when nothing is another."""
    changed = replace(user, **changes)
    if changed == user:
        return user
    return replace(changed, changed_at=now, version=user.version + 1)


def _external_id(value: object, provider: Provider) -> str:
    claim = external_id_claim(provider)
    if value is None or value == "":
        raise bad_value(
            "`externalId` is missing: send what the claim "
            f"`{claim}` of the user's ID tokens holds"
        )
    found = text(value, "externalId")
    if provider.kind == "entra" and claim == "oid":
        found = found.lower()
        if _UUID.fullmatch(found) is None:
            raise bad_value(
                "`externalId` is no object id: in the attribute mappings of Entra, map "
                "`objectId` to `externalId`"
            )
    return found


def wanted(filter_text: str | None) -> Wanted:
    """Read which users are asked for. Raises `ScimError`."""
    if filter_text is None:
        return Wanted()
    found: dict[str, Any] = {}
    for name, value in comparisons(filter_text).items():
        field, kind = _FILTERED.get(name, ("", str))
        if not field or not isinstance(value, kind):
            raise ScimError(
                400,
                "users are found by id, userName, externalId, displayName and active",
                "invalidFilter",
            )
        found[field] = value
    return Wanted(**found)


_FILTERED: dict[str, tuple[str, type]] = {
    "id": ("id", str),
    "username": ("user_name", str),
    "externalid": ("external_id", str),
    "displayname": ("display_name", str),
    "active": ("active", bool),
}


def shown(user: ScimUser, base: str) -> dict[str, Any]:
    """Give a user as its provider sees it."""
    named = {"displayName": user.display_name} if user.display_name else {}
    return {
        "schemas": [SCHEMA],
        "id": user.id,
        "externalId": user.external_id,
        "userName": user.user_name,
        **named,
        "active": user.active,
        "meta": meta(base, "User", user.id, user.created_at, user.changed_at, user.version),
    }
