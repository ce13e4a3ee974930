"""What the service says of itself (RFC 7644 §4, RFC 7643 §5 to §7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.provisioning.scim import group, user
from bascule.provisioning.scim.body import CORE
from bascule.provisioning.scim.frame import MAX_PAGE, Tenant

Document = dict[str, Any]
_CONFIG = f"{CORE}ServiceProviderConfig"
_TYPE = f"{CORE}ResourceType"
_SCHEMA = f"{CORE}Schema"


def service_provider_config(tenant: Tenant) -> Document:
    """Give what of the standard is offered."""
    no = {"supported": False}
    yes = {"supported": True}
    return {
        "schemas": [_CONFIG],
        "patch": yes,
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MAX_PAGE},
        "changePassword": no,
        "sort": no,
        "etag": yes,
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token that `scim.token` of the provider refers to",
                "primary": True,
            }
        ],
        "meta": _meta(tenant, "ServiceProviderConfig", ""),
    }


def resource_types(tenant: Tenant) -> Mapping[str, Document]:
    """Give the types of resources by name; of groups only where they are provisioned."""
    return {
        name: {
            "schemas": [_TYPE],
            "id": name,
            "name": name,
            "description": about,
            "endpoint": f"/{name}s",
            "schema": schema,
            "meta": _meta(tenant, "ResourceType", f"/{name}", "ResourceTypes"),
        }
        for name, about, schema in (
            ("User", "Who may sign in", user.SCHEMA),
            ("Group", "Who is together in something", group.SCHEMA),
        )
        if name == "User" or tenant.provider.provisions_groups
    }


def schemas(tenant: Tenant) -> Mapping[str, Document]:
    """Give the schemas by URN: what is kept of users and groups, and of these documents."""
    return {
        id: {
            "schemas": [_SCHEMA],
            "id": id,
            "name": id.rpartition(":")[2],
            "description": about,
            "attributes": attributes,
            "meta": _meta(tenant, "Schema", f"/{id}", "Schemas"),
        }
        for id, about, attributes in _schemas()
        if id != group.SCHEMA or tenant.provider.provisions_groups
    }


def _meta(tenant: Tenant, kind: str, place: str, where: str = "") -> dict[str, str]:
    return {"resourceType": kind, "location": f"{tenant.base}/{where or kind}{place}"}


def _attribute(name: str, about: str, **more: Any) -> Document:
    """Describe an attribute (RFC 7643 §7); `more` is what is not usual about it."""
    usual: Document = {
        "name": name,
        "type": "string",
        "multiValued": False,
        "description": about,
        "required": False,
        "caseExact": True,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    }
    return {**usual, **more}


def _read(name: str, about: str, type: str = "string", **more: Any) -> Document:
    """Describe an attribute that only the service sets."""
    return _attribute(name, about, type=type, mutability="readOnly", **more)


def _object(name: str, about: str, *parts: Document, **more: Any) -> Document:
    """Describe an attribute that has parts, which only the service sets."""
    return _read(name, about, "complex", subAttributes=list(parts), **more)


def _schemas() -> tuple[tuple[str, str, list[Document]], ...]:
    return (
        (user.SCHEMA, "Who may sign in", _user()),
        (group.SCHEMA, "Who is together in something", _group()),
        (_CONFIG, "What of the standard is offered", _config()),
        (_TYPE, "A type of resources", _type()),
        (_SCHEMA, "What a resource holds", _schema()),
    )


def _user() -> list[Document]:
    return [
        _attribute(
            "userName",
            "What the provider calls it, without case; for people",
            required=True,
            caseExact=False,
            uniqueness="server",
        ),
        _attribute(
            "externalId",
            "The provider's own id: what ties who signs in to this user",
            required=True,
            uniqueness="server",
        ),
        _attribute("displayName", "Its name, for people"),
        _attribute(
            "active",
            "Whether it may sign in; false ends all that it has",
            type="boolean",
            required=True,
        ),
    ]


def _group() -> list[Document]:
    immutable = {"mutability": "immutable"}
    return [
        _attribute(
            "displayName",
            "By this name policies know it",
            required=True,
            uniqueness="server",
        ),
        _attribute("externalId", "The provider's own id"),
        _attribute(
            "members",
            "Users that are in it",
            type="complex",
            multiValued=True,
            subAttributes=[
                _attribute("value", "Id of the user", **immutable),
                _attribute(
                    "$ref",
                    "Address of the user",
                    type="reference",
                    referenceTypes=["User"],
                    **immutable,
                ),
                _attribute("type", "Always `User`", canonicalValues=["User"], **immutable),
            ],
        ),
    ]


def _config() -> list[Document]:
    supported = _read("supported", "Whether it is offered", "boolean", required=True)
    return [
        _object("patch", "PATCH", supported, required=True),
        _object(
            "bulk",
            "Many requests in one",
            supported,
            _read("maxOperations", "How many", "integer", required=True),
            _read("maxPayloadSize", "How many bytes", "integer", required=True),
            required=True,
        ),
        _object(
            "filter",
            "Filters",
            supported,
            _read("maxResults", "Resources on a page", "integer", required=True),
            required=True,
        ),
        _object("changePassword", "Setting passwords", supported, required=True),
        _object("sort", "Sorting", supported, required=True),
        _object("etag", "Versions", supported, required=True),
        _object(
            "authenticationSchemes",
            "How to authenticate",
            _read("type", "Kind of it", required=True),
            _read("name", "Its name", required=True),
            _read("description", "What it is", required=True),
            _read("primary", "Whether it is preferred", "boolean"),
            multiValued=True,
            required=True,
        ),
    ]


def _type() -> list[Document]:
    return [
        _read("name", "Its name", required=True),
        _read("description", "What it is"),
        _read("endpoint", "Where they are", "reference", required=True, **_URI),
        _read("schema", "URN of their schema", "reference", required=True, **_URI),
    ]


_URI = {"referenceTypes": ["uri"]}


def _schema() -> list[Document]:
    texts = ("name", "type", "description", "mutability", "returned", "uniqueness")
    truths = ("multiValued", "required", "caseExact")
    parts = [
        *(_read(it, "See RFC 7643, section 7") for it in texts),
        *(_read(it, "See RFC 7643, section 7", "boolean") for it in truths),
        *(
            _read(it, "See RFC 7643, section 7", multiValued=True)
            for it in ("canonicalValues", "referenceTypes")
        ),
    ]
    nested = _object("subAttributes", "Parts of it", *parts, multiValued=True)
    return [
        _read("name", "Its name", required=True),
        _read("description", "What it is"),
        _object(
            "attributes", "What there is", *parts, nested, multiValued=True, required=True
        ),
    ]
